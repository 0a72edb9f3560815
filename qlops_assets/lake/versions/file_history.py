"""Every version of one file that was seen."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qlops_assets.core.errors import SourceError, nearest
from qlops_assets.core.settings import Settings
from qlops_assets.lake.manifest import OtherFile, SourceFile
from qlops_assets.lake.versions.changes import FileChange
from qlops_assets.lake.versions.snapshots import snapshot_store


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What became of a file in one snapshot.

    Attributes:
        snapshot: Its number.
        known_at: When it was seen.
        change: What became of the file, with the months and instruments that this touched.
        file: Its version since then; None where it went.
    """

    snapshot: int
    known_at: datetime
    change: FileChange
    file: SourceFile | OtherFile | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        file = self.file
        facts = {
            "xxh3_128": file.digest if file else None,
            "size": file.size if file else None,
            "modified_at": file.modified_at.isoformat() if file else None,
            "rows": file.rows if isinstance(file, SourceFile) else None,
        }
        return {
            "snapshot": self.snapshot,
            "known_at": self.known_at.isoformat(),
            "change": self.change.kind,
            **facts,
            "was": self.change.was,
            "touched_months": list(self.change.months),
            "touched_instruments": list(self.change.instruments),
        }


def file_history(settings: Settings, path: str) -> list[FileVersion]:
    """Return every version of a file of the source, oldest first.

    Raises:
        SourceError: no kept snapshot has a file of that name.
    """
    store = snapshot_store(settings)
    history, known = [], set[str]()
    for number in store.numbers():
        snapshot = store.load(number)
        files = {file.path: file for file in snapshot.manifest.versions}
        known |= files.keys()
        history += [
            FileVersion(number, snapshot.head.known_at, change, files.get(path))
            for change in snapshot.changes
            if path in (change.path, change.was)
        ]
    if not history:
        raise SourceError(
            settings.source_folder,
            f"no kept snapshot has a file {path!r}{nearest(path, sorted(known))}",
            f"it has {len(known)} files; `qlops data status` lists those of now",
        )
    return history
