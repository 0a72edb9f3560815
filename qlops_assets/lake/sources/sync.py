"""Whether the one who writes the source has finished with a file.

Either some time without a write says so (``[source] quiet_seconds``), or a file that is written
last (``[source] marker``, such as Spark's ``_SUCCESS``), in the file's folder or in one above it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from qlops_assets.core.settings import SourceSettings
from qlops_assets.lake.sources.place import Place, Stamp


@dataclass(frozen=True, slots=True)
class Sync:
    """The rule of one source.

    Attributes:
        place: Where the markers are.
        quiet: How long a file must not have been written to, where there is no marker.
        marker: Name of the marker.
    """

    place: Place
    quiet: timedelta
    marker: str | None = None
    _newest: dict[str, datetime | None] = field(default_factory=dict)

    def unfinished(self, folder: str, stamp: Stamp, now: datetime) -> str | None:
        """Return why a new or changed file must wait; None where it need not.

        Args:
            folder: Where in the place it lies.
            stamp: Its own.
            now: The present.
        """
        if self.marker is None:
            # A clock that went backwards must not make a file wait for ever: the lower bound.
            if -self.quiet < now - stamp.modified_at < self.quiet:
                quiet = self.quiet.total_seconds()
                return f"modified within {quiet:g} s: it may still be written"
            return None
        finished = self._finished(folder)
        if finished is None:
            return f"there is no {self.marker} yet: the sync has not finished"
        if finished < stamp.modified_at:
            return f"modified after {self.marker}: the sync has not finished"
        return None

    def _finished(self, folder: str) -> datetime | None:
        """Return when the newest marker in a folder, or above it, was written."""
        if folder not in self._newest:
            own = self._marked(folder)
            above = self._finished(folder.rpartition("/")[0]) if folder else None
            self._newest[folder] = max((m for m in (own, above) if m), default=None)
        return self._newest[folder]

    def _marked(self, folder: str) -> datetime | None:
        try:
            name = f"{folder}/{self.marker}" if folder else str(self.marker)
            return self.place.stamp(name).modified_at
        except OSError:  # there is none, or none that may be read: nothing is finished
            return None


def sync_of(place: Place, source: SourceSettings) -> Sync:
    """Return the rule that ``[source]`` asks for."""
    return Sync(place, timedelta(seconds=source.quiet_seconds), source.marker)
