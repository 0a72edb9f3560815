"""What a layout is, and the walk that all of them share."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from qlops_assets.core.errors import SourceError

BENCHMARK_FILE: Final = "benchmark.parquet"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One Parquet file of a source.

    Attributes:
        path: Where it is.
        name: Its path below the bars folder, with ``/``: its name in manifests.
        constants: Columns that its path gives, with one value for every row.
    """

    path: Path
    name: str
    constants: Mapping[str, str] = field(default_factory=dict)


class Layout(Protocol):
    """How bars lie in a folder."""

    def recognises(self, folder: Path) -> bool:
        """Whether the folder looks like this layout."""
        ...

    def files(self, folder: Path) -> list[FoundFile]:
        """Return the Parquet files below the folder, in order of their names."""
        ...


def parquet_names(folder: Path) -> list[str]:
    """Return the relative paths of all Parquet files below a folder, sorted.

    Names that begin with ``.`` or ``_`` are a writer's own (``_temporary``, ``_metadata``) and are
    passed over, as is a benchmark at the top. A folder that a link leads back to is entered once.

    Raises:
        SourceError: a folder cannot be listed; going on would look as if its files were deleted.
    """
    names: list[str] = []
    seen: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        status = Path(here).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(f for f in folders if f[0] not in "._")
        below = Path(here).relative_to(folder)
        names.extend((below / f).as_posix() for f in files if _is_parquet(f))
    return sorted(name for name in names if name != BENCHMARK_FILE)


def printable(name: str) -> str:
    """Return a name that any text file can hold, for one in an encoding that is not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet") and name[0] not in "._"


def _refuse(error: OSError) -> None:
    raise SourceError(
        error.filename, f"cannot be listed ({error.strerror})", "the folder must be readable"
    ) from error
