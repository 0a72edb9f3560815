"""Where the files of a source are: a folder here, or a folder of an object store."""

import fcntl
import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from qlops_assets.core.errors import SourceError

_FICLONE: Final = 0x40049409  # Linux: share the blocks of another file, copied when written to
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is known of a file without reading it: as long as it is the same, so is its content.

    Attributes:
        size: In bytes.
        modified_at: When it was last written to.
        tag: What else tells versions apart: an object's ETag, the digest of several files' stamps.
    """

    size: int
    modified_at: datetime
    tag: str = ""

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the stamp of a file as it is now."""
        status = path.stat()
        return cls(status.st_size, _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000))


@dataclass(frozen=True, slots=True)
class Top:
    """What lies at the top of a place: names of files and of folders."""

    files: frozenset[str] = field(default_factory=frozenset)
    folders: frozenset[str] = field(default_factory=frozenset)


class Place(Protocol):
    """A folder of files with names like ``bars/2020.parquet``. Nothing in it is written to."""

    @property
    def where(self) -> str:
        """What users call it."""
        ...

    def top(self) -> Top:
        """Return what lies at its top.

        Raises:
            SourceError: it cannot be listed.
        """
        ...

    def names(self, below: str = "") -> list[str]:
        """Return the names of all files below a folder (``bars/``), without that, sorted.

        Names that begin with ``.`` or ``_`` are a writer's own (``_temporary``, ``_metadata``) and
        are passed over, with what is in such folders.

        Raises:
            SourceError: a folder cannot be listed; going on would look as if its files were gone.
        """
        ...

    def is_folder(self, name: str) -> bool:
        """Whether there is a folder of that name."""
        ...

    def stamp(self, name: str) -> Stamp:
        """Return the stamp of a file as it is now.

        Raises:
            FileNotFoundError: it is gone.
            OSError: it cannot be looked at.
        """
        ...

    def copy(self, name: str, target: Path) -> None:
        """Copy a file to the disk.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def read(self, name: str) -> bytes:
        """Return a small file's bytes.

        Raises:
            OSError: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder of this machine."""

    folder: Path

    @property
    def where(self) -> str:
        """Its path."""
        return str(self.folder)

    def top(self) -> Top:
        """Return what lies at its top; links count as what they lead to."""
        try:
            with os.scandir(self.folder) as found:
                entries = [(entry.name, _is_folder(entry)) for entry in found]
        except OSError as error:
            raise _unlisted(error) from error
        return Top(
            frozenset(name for name, is_folder in entries if not is_folder),
            frozenset(name for name, is_folder in entries if is_folder),
        )

    def names(self, below: str = "") -> list[str]:
        """Return the names below a folder. One that a link leads back to is entered once."""
        start = self.folder / below
        names: list[str] = []
        seen: set[tuple[int, int]] = set()
        for here, folders, files in os.walk(start, followlinks=True, onerror=_refuse):
            status = Path(here).stat()
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(f for f in folders if f[0] not in "._")
            prefix = os.path.relpath(here, start) + "/" if here != str(start) else ""
            names.extend(prefix + f for f in files if f[0] not in "._")
        return sorted(names)

    def is_folder(self, name: str) -> bool:
        """Whether there is a folder of that name, or a link to one."""
        return (self.folder / name).is_dir()

    def stamp(self, name: str) -> Stamp:
        """Return the stamp of a file. A link that leads nowhere is a file that cannot be read."""
        path = self.folder / name
        try:
            return Stamp.of(path)
        except FileNotFoundError as error:
            if path.is_symlink():
                raise OSError(f"{error.strerror}: the link leads nowhere") from error
            raise

    def copy(self, name: str, target: Path) -> None:
        """Clone or copy a file."""
        clone(self.folder / name, target)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self.folder / name).read_bytes()


def clone(source: Path, target: Path) -> None:
    """Copy a file to the disk; where the file system can, its blocks are shared instead."""
    with source.open("rb") as original, target.open("wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        except OSError:  # another file system, or one that cannot share blocks
            shutil.copyfileobj(original, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other
        return False


def _refuse(error: OSError) -> None:
    raise _unlisted(error) from error


def _unlisted(error: OSError) -> SourceError:
    found = f"cannot be listed ({error.strerror})"
    return SourceError(error.filename, found, "the folder must be readable")
