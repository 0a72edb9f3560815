"""What lies where in a source: its bars, its benchmark, its universe files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from qlops_assets.core.errors import SourceError
from qlops_assets.core.settings import Settings
from qlops_assets.core.settings_file import Url
from qlops_assets.lake.sources.catalog import AUTO, layout
from qlops_assets.lake.sources.layout import BENCHMARK_FILE, CSV, Found, FoundFile, printable
from qlops_assets.lake.sources.place import LocalFolder, Place, Top
from qlops_assets.lake.sources.qlib_store import CALENDAR

ACCEPTED: Final = (
    "accepted is a folder (or s3://bucket/prefix) of Parquet or CSV files with daily bars (one per "
    "year, one per instrument, or key=value folders), one that holds them in bars/ or in "
    "bars.parquet, or a Qlib provider (calendars/, features/)"
)
STORE: Final = "qlib-bin"
LISTS: Final = "instruments/"
_CALENDARS: Final = {"calendar.txt"}
_SINGLE: Final = ("bars.parquet", *(f"bars{suffix}" for suffix in CSV))


@dataclass(frozen=True)
class SourceRoot:
    """A source's place. Nothing in it is ever written to."""

    place: Place

    @property
    def where(self) -> str:
        """What users call it."""
        return self.place.where

    @cached_property
    def _top(self) -> Top:
        return self.place.top()

    @property
    def below(self) -> str:
        """Where in the place the names of the bars' files begin: ``bars/`` or nothing."""
        return "bars/" if "bars" in self._top.folders else ""

    def others(self) -> list[FoundFile]:
        """Return the files beside the bars: benchmark, universes, a provider's calendar."""
        top = sorted(self._top.files)
        names = [name for name in top if name == BENCHMARK_FILE or _is_list(name)]
        if self._is_store:
            names.append(CALENDAR)
            names += [LISTS + name for name in self.place.names(LISTS) if _is_list(name)]
        return [FoundFile(name, printable(name)) for name in sorted(names)]

    def bars(self, layout_name: str) -> Sequence[Found]:
        """Return what holds the bars.

        Raises:
            SourceError: there is none.
        """
        single = next((name for name in _SINGLE if name in self._top.files), None)
        if self.below or single is None or self._is_store:
            names = self.place.names(self.below)
            files = layout(self._layout(layout_name), names).files(names, self.below)
        else:
            files = [FoundFile(single, single)]
        if not files:
            raise SourceError(self.where, f"found no Parquet file, {self._content()}", ACCEPTED)
        return files

    @property
    def _is_store(self) -> bool:
        return not self.below and {"calendars", "features"} <= self._top.folders

    def _layout(self, name: str) -> str:
        return STORE if name == AUTO and self._is_store else name

    def _content(self) -> str:
        kinds = Counter(PurePosixPath(name).suffix.lower() or "files" for name in self._top.files)
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))
        return f"but {listed}" if listed else "and no other file"


def _is_list(name: str) -> bool:
    return name.lower().endswith(".txt") and name[0] not in "._" and name not in _CALENDARS


def source_root(settings: Settings) -> SourceRoot:
    """Return the root of the source that the settings name.

    Raises:
        SourceError: it is missing or not a folder.
    """
    where = settings.source_folder
    if isinstance(where, Url):
        from qlops_assets.lake.sources.bucket import Bucket

        return SourceRoot(Bucket(where, settings.source.endpoint_url))
    if not where.exists():
        raise SourceError(where, "there is no such folder", ACCEPTED)
    if not where.is_dir():
        raise SourceError(where, "is a file, not a folder", ACCEPTED)
    return SourceRoot(LocalFolder(where))
