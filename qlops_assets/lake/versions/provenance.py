"""Which file versions the bars of the lake were made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qlops_assets.core.digests import combined_digest
from qlops_assets.core.errors import LakeError
from qlops_assets.core.settings import Settings
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import Manifest
from qlops_assets.lake.versions.snapshots import SnapshotHead, snapshot_store


@dataclass(frozen=True, slots=True)
class BarsOrigin:
    """Where bars come from.

    Attributes:
        snapshots: Month -> number of the snapshot that its bars were made of.
        digest: Of the paths and bytes of all files of those months, in those snapshots.
        files: Path, digest of the bytes, and number of the snapshot, of each of those files.
    """

    snapshots: Mapping[str, int]
    digest: str
    files: tuple[tuple[str, str, int], ...]

    @property
    def numbers(self) -> list[int]:
        """The different snapshots: one where everything was made of the same state."""
        return sorted({*self.snapshots.values(), *(number for _, _, number in self.files)})

    def to_json(self) -> dict[str, object]:
        """Return what a training records."""
        return {
            "source_snapshots": self.numbers,
            "source_manifest": self.digest,
            "source_files": [list(file) for file in self.files],
        }


def bars_origin(settings: Settings, months: Sequence[str] | None = None) -> BarsOrigin:
    """Return which file versions the stored bars were made of.

    A month's bars say which content they were made of. Of the snapshots with that content the
    first of the newest unbroken row of them is meant: it is the one that asked for the bars.

    Args:
        settings: Of the home.
        months: Only these; all that have bars where None.

    Raises:
        LakeError: no kept snapshot has what a month was made of.
    """
    infos = bars_dataset(settings).infos()
    chosen = sorted(infos if months is None else set(months) & infos.keys())
    store = snapshot_store(settings)
    heads = store.heads()
    found = {month: _snapshot(heads, month, infos[month].inputs) for month in chosen}
    manifests = {number: store.load(number).manifest for number in sorted(set(found.values()))}
    files = sorted(
        file for number in manifests for file in _files(manifests[number], found, number)
    )
    return BarsOrigin(found, _digest(files), tuple(files))


def training_origin(settings: Settings) -> BarsOrigin:
    """Return what a training uses: what bars were made of, universes and index as last seen.

    Raises:
        LakeError: no kept snapshot has what a month was made of.
    """
    origin, store = bars_origin(settings), snapshot_store(settings)
    head = store.latest()
    others = store.load(head.number).manifest.others if head else ()
    beside = [(file.path, file.digest, head.number) for file in others if head]
    files = sorted([*origin.files, *beside])
    return BarsOrigin(origin.snapshots, _digest(files), tuple(files))


def _digest(files: Iterable[tuple[str, str, int]]) -> str:
    return combined_digest(f"{path}\t{content}" for path, content, _ in files)


def _snapshot(heads: Sequence[SnapshotHead], month: str, content: str) -> int:
    number = None
    for head in reversed(heads):
        if head.months.get(month) == content:
            number = head.number
        elif number is not None:
            break
    if number is None:
        raise LakeError(
            f"bars of {month}: were made of files that no kept snapshot names; materialize "
            "raw_bars and bars of this month"
        )
    return number


def _files(
    manifest: Manifest, snapshots: Mapping[str, int], number: int
) -> list[tuple[str, str, int]]:
    months = {month for month, of_month in snapshots.items() if of_month == number}
    return [(f.path, f.digest, number) for f in manifest.files if not months.isdisjoint(f.months)]
