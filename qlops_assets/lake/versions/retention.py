"""Which old versions go: only those that nobody may ask for any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from qlops_assets.core.locks import locked
from qlops_assets.core.settings import Settings
from qlops_assets.lake.intake.blobs import blob_store
from qlops_assets.lake.scan import load_manifest, scan_lock
from qlops_assets.lake.versions.snapshots import SnapshotHead, SnapshotStore, snapshot_store


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, and what stayed although it is old.

    Attributes:
        snapshots: Numbers of the snapshots that were removed.
        blobs: How many kept file versions were.
        bytes: Their size.
        protected: Old snapshots that stayed, by number, with what needs them.
        kept: How many snapshots are left.
    """

    snapshots: tuple[int, ...]
    blobs: int
    bytes: int
    protected: Mapping[int, str]
    kept: int


def prune(
    settings: Settings,
    *,
    now: datetime,
    protected: Mapping[int, str],
    only_show: bool = False,
) -> Pruned:
    """Remove snapshots that ``[retention]`` lets go, then the file versions nobody names.

    A snapshot goes when it was replaced more than ``snapshot_days`` ago, unless it is among the
    newest ``snapshots`` or protected. A process that is killed in between leaves file versions
    that nobody names; the next call removes them.

    Args:
        settings: Of the home.
        now: The present.
        protected: Snapshots that something needs, such as a registered model, with what it is.
        only_show: Remove nothing.

    Raises:
        LakeError: a snapshot cannot be read: what it needs is not known, so nothing is removed.
        LockedError: a scan does not end.
    """
    store = snapshot_store(settings)
    with locked(scan_lock(settings)):
        heads = store.heads()
        old = _old(heads, settings, now)
        going = [number for number in old if number not in protected]
        named = _named(settings, store, [h.number for h in heads if h.number not in set(going)])
        blobs = blob_store(settings)
        unnamed = [digest for digest in blobs.digests() if digest not in named]
        size = sum(blobs.path(digest).stat().st_size for digest in unnamed)
        if not only_show:
            for number in going:
                store.remove(number)
            for digest in unnamed:
                blobs.path(digest).unlink(missing_ok=True)
    stayed = {number: protected[number] for number in old if number in protected}
    return Pruned(tuple(going), len(unnamed), size, stayed, len(heads) - len(going))


def _old(heads: list[SnapshotHead], settings: Settings, now: datetime) -> list[int]:
    """Return the snapshots that are old enough to go, protected or not."""
    days, least = settings.retention.snapshot_days, settings.retention.snapshots
    if days is None:
        return []
    cutoff = now - timedelta(days=days)
    newest = {head.number for head in heads[-least:]}
    # A state is in force until the next one is seen: only then does its age begin.
    return [
        head.number
        for head, after in pairwise(heads)
        if after.known_at < cutoff and head.number not in newest
    ]


def _named(settings: Settings, store: SnapshotStore, numbers: list[int]) -> set[str]:
    """Return the digests that kept snapshots and the present manifest name."""
    manifests = [store.load(number).manifest for number in numbers]
    present = load_manifest(settings)
    if present:
        manifests.append(present)
    named = {f.digest for m in manifests for f in m.versions}
    checks = {q.check.digest for m in manifests for q in m.quarantined if q.check}
    return named | checks
