"""Every version of a source file, kept once under its digest.

Bars are built from these copies. So a file that is overwritten, broken or deleted in the source
while we work changes nothing until the next scan, and what was good stays.
"""

import fcntl
import os
import shutil
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from qlops_assets.core.digests import file_digest
from qlops_assets.core.errors import FileBusyError, LakeError, UnusableFileError
from qlops_assets.core.settings import Settings

_FICLONE: Final = 0x40049409  # Linux: share the blocks of another file, copied when written to
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's size and modification time: as long as both are the same, so is its content."""

    size: int
    modified_at: datetime

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the stamp of a file as it is now."""
        status = path.stat()
        return cls(status.st_size, _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000))


@dataclass(frozen=True, slots=True)
class Blob:
    """A kept file version. ``is_new`` says that no earlier version had these bytes."""

    path: Path
    digest: str
    stamp: Stamp
    is_new: bool


class BlobStore:
    """Files under ``<folder>/<digest>.parquet``, each written once and never changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Return where the bytes of that digest are."""
        return self.folder / f"{digest}.parquet"

    def has(self, digest: str) -> bool:
        """Whether the bytes of that digest are kept."""
        return self.path(digest).is_file()

    def digests(self) -> list[str]:
        """Return the digests of everything that is kept."""
        if not self.folder.is_dir():
            return []
        suffix = self.path("any").suffix
        return [p.stem for p in self.folder.iterdir() if p.suffix == suffix and p.name[0] != "."]

    def existing(self, digest: str, name: str) -> Path:
        """Return the path of kept bytes.

        Raises:
            LakeError: they are gone.
        """
        if not self.has(digest):
            raise LakeError(
                f"{self.path(digest)}: the kept copy of {name} is gone; scan the source again"
            )
        return self.path(digest)

    def take(self, source: Path) -> Blob:
        """Copy a file and return its version.

        Raises:
            FileBusyError: its size or modification time changed meanwhile.
            UnusableFileError: it cannot be read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            before = Stamp.of(source)
            clone(source, temporary)
            if temporary.stat().st_size != before.size or Stamp.of(source) != before:
                raise FileBusyError(source, "it changed while it was read", "it waits")
            digest = file_digest(temporary)
            target, is_new = self.path(digest), not self.has(digest)
            if is_new:
                temporary.replace(target)
        except OSError as error:
            raise UnusableFileError(
                source, f"cannot be read ({error.strerror or error})", "it must be readable"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return Blob(target, digest, before, is_new)

    def drop(self, blob: Blob) -> None:
        """Forget bytes that turned out to be no use, unless an earlier version had the same."""
        if blob.is_new:
            blob.path.unlink(missing_ok=True)


def clone(source: Path, target: Path) -> None:
    """Copy a file to the disk; where the file system can, its blocks are shared instead."""
    with source.open("rb") as original, target.open("wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        except OSError:  # another file system, or one that cannot share blocks
            shutil.copyfileobj(original, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())


def blob_store(settings: Settings) -> BlobStore:
    """Return the store of this lake's source file versions."""
    return BlobStore(settings.lake / "raw_bars" / "blobs")
