"""What lies where in a source: its bars, its benchmark, its universe files."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qlops_assets.core.errors import SourceError
from qlops_assets.core.settings import Settings
from qlops_assets.lake.sources.catalog import layout
from qlops_assets.lake.sources.layout import BENCHMARK_FILE, FoundFile

ACCEPTED: Final = (
    "accepted is a folder of Parquet files with daily bars (one per year, one per instrument, or "
    "key=value folders), or a folder that holds them in bars/ or in bars.parquet"
)
_NOT_UNIVERSES: Final = {"calendar.txt"}


@dataclass(frozen=True, slots=True)
class SourceRoot:
    """A source's folder. Nothing in it is ever written to."""

    folder: Path

    @property
    def below(self) -> str:
        """Where in the folder the names of the bars' files begin: ``bars/`` or nothing."""
        return "bars/" if (self.folder / "bars").is_dir() else ""

    @property
    def benchmark(self) -> Path | None:
        """The benchmark's file, or None where the source has none."""
        path = self.folder / BENCHMARK_FILE
        return path if path.is_file() else None

    @property
    def universe_files(self) -> dict[str, Path]:
        """Text files that may be universes, by lower-case stem."""
        found = sorted(self.folder.glob("*.txt"))
        return {p.stem.lower(): p for p in found if p.name.lower() not in _NOT_UNIVERSES}

    def bars(self, layout_name: str) -> list[FoundFile]:
        """Return the files that hold the bars.

        Raises:
            SourceError: there is no Parquet file.
        """
        single = self.folder / "bars.parquet"
        below = self.folder / "bars"
        if below.is_dir():
            files = layout(layout_name, below).files(below)
        elif single.is_file():
            files = [FoundFile(single, single.name)]
        else:
            files = layout(layout_name, self.folder).files(self.folder)
        if not files:
            raise SourceError(self.folder, f"found no Parquet file, {self._content()}", ACCEPTED)
        return files

    def _content(self) -> str:
        kinds = Counter(p.suffix.lower() or "files" for p in self.folder.iterdir() if p.is_file())
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))
        return f"but {listed}" if listed else "and no other file"


def source_root(settings: Settings) -> SourceRoot:
    """Return the root of the source that the settings name.

    Raises:
        SourceError: it is missing or not a folder.
    """
    folder = settings.source_folder
    if not folder.exists():
        raise SourceError(folder, "there is no such folder", ACCEPTED)
    if not folder.is_dir():
        raise SourceError(folder, "is a file, not a folder", ACCEPTED)
    return SourceRoot(folder)
