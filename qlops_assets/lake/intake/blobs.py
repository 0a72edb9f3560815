"""Every version of a source file, kept once under its digest.

Bars are built from these copies. So a file that is overwritten, broken or deleted in the source
while we work changes nothing until the next scan, and what was good stays.
"""

import errno
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qlops_assets.core.digests import file_digest
from qlops_assets.core.errors import FileBusyError, LakeError, UnusableFileError
from qlops_assets.core.settings import Settings
from qlops_assets.lake.sources.layout import Found
from qlops_assets.lake.sources.place import Place, Stamp

# What kept bytes are, so that a person can open them; a provider's instrument is an archive.
ARCHIVE: Final = ".tar"
_SUFFIXES: Final = (".parquet", ".csv.gz", ".csv", ".txt", ARCHIVE)
_OURS: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # of the lake, not of the source


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
        """Return where the bytes of that digest are; where a Parquet file would be if nowhere."""
        paths = (self.folder / f"{digest}{suffix}" for suffix in _SUFFIXES)
        return next(filter(Path.is_file, paths), self.folder / f"{digest}{_SUFFIXES[0]}")

    def has(self, digest: str) -> bool:
        """Whether the bytes of that digest are kept."""
        return self.path(digest).is_file()

    def digests(self) -> list[str]:
        """Return the digests of everything that is kept."""
        if not self.folder.is_dir():
            return []
        names = (path.name for path in self.folder.iterdir())
        return [name.partition(".")[0] for name in names if name[0] != "." and _suffix(name)]

    def existing(self, digest: str, name: str) -> Path:
        """Return the path of kept bytes.

        Raises:
            LakeError: they are gone.
        """
        path = self.path(digest)
        if not path.is_file():
            raise LakeError(f"{path}: the kept copy of {name} is gone; scan the source again")
        return path

    def take(self, found: Found, place: Place) -> Blob:
        """Copy a file and return its version.

        Raises:
            FileBusyError: its size or modification time changed meanwhile.
            UnusableFileError: it cannot be read.
            LakeError: there is no room for the copy.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            before = found.stamp(place)
            found.copy(place, temporary)
            if found.stamp(place) != before:
                raise FileBusyError(found.name, "it changed while it was read", "it waits")
            digest = file_digest(temporary)
            target, is_new = self.path(digest), not self.has(digest)
            if is_new:
                target = self.folder / f"{digest}{_suffix(found.name) or ARCHIVE}"
                temporary.replace(target)
        except OSError as error:
            if error.errno in _OURS:
                raise LakeError(
                    f"{self.folder}: {found.name} cannot be kept ({error.strerror}); what was "
                    "seen before stays; make room and scan again"
                ) from error
            raise UnusableFileError(
                found.name, f"cannot be read ({error.strerror or error})", "it must be readable"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return Blob(target, digest, before, is_new)

    def drop(self, blob: Blob) -> None:
        """Forget bytes that turned out to be no use, unless an earlier version had the same."""
        if blob.is_new:
            blob.path.unlink(missing_ok=True)


def _suffix(name: str) -> str | None:
    return next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), None)


def blob_store(settings: Settings) -> BlobStore:
    """Return the store of this lake's source file versions."""
    return BlobStore(settings.lake / "raw_bars" / "blobs")
