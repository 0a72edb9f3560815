"""Whether what was kept is still what it was: every byte is read again."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from qlops_assets.core.digests import file_digest
from qlops_assets.core.errors import LakeError
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.intake.blobs import blob_store
from qlops_assets.lake.scan import load_manifest
from qlops_assets.lake.versions.snapshots import snapshot_store


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is gone or not as it was.

    Attributes:
        what: The file of the lake.
        found: What is wrong with it.
        paths: The source's files that it keeps a version of.
        snapshots: Numbers of the snapshots that need it.
    """

    what: str
    found: str
    paths: tuple[str, ...] = ()
    snapshots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at, and what is damaged."""

    blobs: int
    bytes: int
    snapshots: int
    months: int
    damages: tuple[Damage, ...]


def verify(settings: Settings, *, progress: Progress | None = None) -> Verification:
    """Read every kept file version, every snapshot and all bars again; name what is damaged.

    Raises:
        LakeError: the manifest's own file is damaged.
    """
    blobs = blob_store(settings)
    damages: list[Damage] = []
    uses, loaded = _uses(settings, damages)
    kept = sorted(blobs.digests())
    total, told = 0, progress or Unreported()
    for place, digest in enumerate(kept, start=1):
        path = blobs.path(digest)
        total += path.stat().st_size
        if file_digest(path) != digest:
            found = "its bytes are not those that were kept"
            damages.append(_damage(str(path), found, uses[digest]))
        told.report("verify", place, len(kept))
    gone = sorted(uses.keys() - set(kept))
    damages += [_damage(str(blobs.path(digest)), "is gone", uses[digest]) for digest in gone]
    bars = bars_dataset(settings)
    months = bars.months()
    for month in months:
        try:
            bars.verify(month)
        except LakeError as error:
            damages.append(Damage(f"bars {month}", str(error)))
    return Verification(len(kept), total, loaded, len(months), tuple(damages))


_Use = tuple[str, int]


def _uses(settings: Settings, damages: list[Damage]) -> tuple[defaultdict[str, set[_Use]], int]:
    """Return which (path, snapshot) need each digest, and the number of readable snapshots."""
    store, uses, loaded = snapshot_store(settings), defaultdict[str, set[_Use]](set), 0
    for number in store.numbers():
        try:
            manifest = store.load(number).manifest
        except LakeError as error:
            damages.append(Damage(f"snapshot {number}", str(error), snapshots=(number,)))
            continue
        loaded += 1
        for file in manifest.versions:
            uses[file.digest].add((file.path, number))
    present = load_manifest(settings)
    for used in present.versions if present else ():
        if used.digest not in uses:
            uses[used.digest].add((used.path, 0))
    return uses, loaded


def _damage(what: str, found: str, uses: Iterable[_Use]) -> Damage:
    pairs = sorted(uses)
    paths = tuple(sorted({path for path, _ in pairs}))
    return Damage(what, found, paths, tuple(sorted({number for _, number in pairs if number})))
