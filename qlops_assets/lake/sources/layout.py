"""What a layout is: which files of a place hold bars, and which columns their paths give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from qlops_assets.lake.sources.place import Place, Stamp

BENCHMARK_FILE: Final = "benchmark.parquet"
PARQUET: Final = ".parquet"
CSV: Final = (".csv", ".csv.gz")


class Found(Protocol):
    """What one version is kept of: a file, or several that only mean something together."""

    @property
    def name(self) -> str:
        """Its name in manifests."""
        ...

    @property
    def folder(self) -> str:
        """The folder of the place that it lies in."""
        ...

    @property
    def constants(self) -> Mapping[str, str]:
        """Columns that its path gives, with one value for every row."""
        ...

    def stamp(self, place: Place) -> Stamp:
        """Return its stamp as it is now. Raises as :meth:`Place.stamp` does."""
        ...

    def copy(self, place: Place, target: Path) -> None:
        """Write its bytes to the disk. Raises as :meth:`Place.copy` does."""
        ...


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a source.

    Attributes:
        entry: Its name in the place.
        name: Its path below the bars folder, with ``/``: its name in manifests.
        constants: Columns that its path gives, with one value for every row.
    """

    entry: str
    name: str
    constants: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder that it lies in."""
        return self.entry.rpartition("/")[0]

    def stamp(self, place: Place) -> Stamp:
        """Return its stamp."""
        return place.stamp(self.entry)

    def copy(self, place: Place, target: Path) -> None:
        """Write its bytes."""
        place.copy(self.entry, target)


class Layout(Protocol):
    """How bars lie in a folder."""

    def recognises(self, names: Sequence[str]) -> bool:
        """Whether files of these names look like this layout."""
        ...

    def files(self, names: Sequence[str], below: str) -> Sequence[Found]:
        """Return what holds bars, in order of names.

        Args:
            names: Of all files below a folder of the place.
            below: That folder: ``bars/`` or nothing.
        """
        ...


def data_names(names: Sequence[str]) -> list[str]:
    """Return the names of files with rows: Parquet files; CSV files where there is none of these.

    A benchmark at the top is none of them.
    """
    found = [name for name in names if name != BENCHMARK_FILE]
    parquet = [name for name in found if name.lower().endswith(PARQUET)]
    return parquet or [name for name in found if name.lower().endswith(CSV)]


def printable(name: str) -> str:
    """Return a name that any text file can hold, for one in an encoding that is not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
