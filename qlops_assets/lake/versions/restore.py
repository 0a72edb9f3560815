"""The exact files that a snapshot names, written into a folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from qlops_assets.core.atomic import output_folder, write_bytes
from qlops_assets.core.digests import file_digest
from qlops_assets.core.errors import LakeError
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.lake.intake.blobs import ARCHIVE, BlobStore, blob_store
from qlops_assets.lake.manifest import OtherFile, SourceFile
from qlops_assets.lake.sources.place import clone
from qlops_assets.lake.sources.qlib_store import DAYS, members_of
from qlops_assets.lake.versions.snapshots import SnapshotHead, snapshot_store


@dataclass(frozen=True, slots=True)
class Restored:
    """What was written.

    Attributes:
        snapshot: Which state.
        folder: Where it is now.
        files: How many files.
        bytes: How many bytes.
        absent: Files that the source had then and that were never usable, with the reason.
    """

    snapshot: SnapshotHead
    folder: Path
    files: int
    bytes: int
    absent: tuple[str, ...]


def restore(
    settings: Settings, number: int, to: Path, *, progress: Progress | None = None
) -> Restored:
    """Write the files of a snapshot as they were, byte for byte, with their modification times.

    The folder appears whole or not at all.

    Args:
        settings: Of the home.
        number: Of the snapshot.
        to: A folder that does not exist yet, or is empty.
        progress: Counts the files.

    Raises:
        UnknownSnapshotError: there is no such snapshot.
        LakeError: a kept copy is gone or damaged.
        FileExistsError: the folder holds something.
    """
    snapshot = snapshot_store(settings).load(number)
    manifest, blobs = snapshot.manifest, blob_store(settings)
    named: list[tuple[str, SourceFile | OtherFile]] = [
        *((manifest.below + file.path, file) for file in manifest.files),
        *((file.path, file) for file in manifest.others),
    ]
    told = progress or Unreported()
    with output_folder(to) as folder:
        for place, (name, file) in enumerate(named, start=1):
            _write(folder / name, file, blobs)
            told.report("restore", place, len(named))
    held = set(manifest.held)
    absent = (f"{q.path}: {q.reason}" for q in manifest.quarantined if q.path not in held)
    total = sum(file.size for _, file in named)
    return Restored(snapshot.head, to, len(named), total, tuple(absent))


def _write(target: Path, file: SourceFile | OtherFile, blobs: BlobStore) -> None:
    kept = blobs.existing(file.digest, file.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    is_archive = kept.suffix == ARCHIVE
    if not is_archive:
        clone(kept, target)
    if file_digest(kept if is_archive else target) != file.digest:
        raise LakeError(
            f"{kept}: the kept copy of {file.path} is damaged; `qlops data verify` names every one"
        )
    written = _unpacked(kept, target) if is_archive else [target]
    moment = round(file.modified_at.timestamp() * 1_000_000) * 1000
    for path in written:
        os.utime(path, ns=(moment, moment))


def _unpacked(kept: Path, folder: Path) -> list[Path]:
    """Write the files of a provider's instrument."""
    folder.mkdir()
    members = {folder / name: content for name, content in members_of(kept).items() if name != DAYS}
    for path, content in members.items():
        write_bytes(path, content)
    return list(members)
