"""Which bars differ between two states of the source, with old and new values.

Values are those that the files give, before adjustment: the ones that the user can look up.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.settings import Settings
from qlops_assets.lake.bars import FILE, rows_of
from qlops_assets.lake.intake.blobs import BlobStore, blob_store
from qlops_assets.lake.intake.facts import load_facts
from qlops_assets.lake.intake.rows import NUMBERS, Reading
from qlops_assets.lake.manifest import Manifest, SourceFile, difference
from qlops_assets.lake.versions.snapshots import SnapshotHead, snapshot_store

_OLD: Final = "_old"


@dataclass(frozen=True, slots=True)
class BarsDiff:
    """What changed from one state of the source to another.

    Attributes:
        old: The one state.
        new: The other.
        added_files: Names of files that only the new one has.
        changed_files: Names of files whose bytes differ.
        removed_files: Names of files that only the old one has.
        months: Months of which the files say something else.
        added: Rows that only the new state has: instrument, date, numbers, file.
        removed: Rows that only the old state has.
        changed: Rows whose numbers differ: those of the new state, those of the old one beside
            them as ``<name>_old``.
        columns: How many changed rows differ in each column.
        recoded: Old code -> new code, where all rows of one instrument are now another's.
    """

    old: SnapshotHead
    new: SnapshotHead
    added_files: tuple[str, ...]
    changed_files: tuple[str, ...]
    removed_files: tuple[str, ...]
    months: tuple[str, ...]
    added: pl.DataFrame
    removed: pl.DataFrame
    changed: pl.DataFrame
    columns: Mapping[str, int]
    recoded: Mapping[str, str]


def diff(settings: Settings, old: int, new: int) -> BarsDiff:
    """Compare two snapshots, by number.

    Raises:
        UnknownSnapshotError: there is no such snapshot.
        LakeError: a kept file is gone or damaged.
    """
    snapshots = snapshot_store(settings)
    one, other = snapshots.load(old), snapshots.load(new)
    found = difference(one.manifest, other.manifest)
    reader = _Reader(settings, found.months)
    before, after = reader.differing(one.manifest, other.manifest)
    removed = before.join(after, on=KEY, how="anti")
    added = after.join(before, on=KEY, how="anti")
    elsewhere = reader.unchanged(one.manifest, other.manifest, pl.concat([removed, added]))
    removed, added = (rows.join(elsewhere, on=KEY, how="anti") for rows in (removed, added))
    changed = _changed(before, after)
    return BarsDiff(
        old=one.head,
        new=other.head,
        added_files=found.added,
        changed_files=found.changed,
        removed_files=found.removed,
        months=found.months,
        added=added.sort(KEY),
        removed=removed.sort(KEY),
        changed=changed.sort(KEY),
        columns=_differences(changed),
        recoded=_recoded(removed, added),
    )


class _Reader:
    """Reads what two states of the source say about some months."""

    def __init__(self, settings: Settings, months: Collection[str]) -> None:
        self._months = sorted(months)
        self._blobs: BlobStore = blob_store(settings)
        self._reading = Reading.of(settings)
        self._spans = load_facts(settings.lake / "raw_bars").spans

    def differing(self, old: Manifest, new: Manifest) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of files that only one of the states has, for each of them."""
        shared = _versions(old) & _versions(new)
        one, other = (
            [f for f in manifest.files if (f.path, f.digest) not in shared]
            for manifest in (old, new)
        )
        return self._rows(one), self._rows(other)

    def unchanged(self, old: Manifest, new: Manifest, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the keys that files of both states have, of those of some rows."""
        if rows.is_empty():
            return rows.select(KEY)
        shared = _versions(old) & _versions(new)
        apart = self._without(rows[INSTRUMENT].unique())
        files = [f for f in new.files if (f.path, f.digest) in shared - apart]
        return self._rows(files).join(rows, on=KEY, how="semi").select(KEY)

    def _without(self, instruments: pl.Series) -> set[tuple[str, str]]:
        """Return the versions that are known to have no row of any of these instruments."""
        known = pl.col(INSTRUMENT).is_in(instruments.implode()).any()
        held = self._spans.group_by("path", "digest").agg(known.alias("has"))
        return set(held.filter(~pl.col("has")).select("path", "digest").iter_rows())

    def _rows(self, files: Iterable[SourceFile]) -> pl.DataFrame:
        rows = rows_of(files, self._months, blobs=self._blobs, reading=self._reading)
        return rows.unique(KEY, keep="first", maintain_order=True)


def _versions(manifest: Manifest) -> set[tuple[str, str]]:
    return {(f.path, f.digest) for f in manifest.files}


def _changed(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    both = after.join(before.drop(FILE), on=KEY, how="inner", suffix=_OLD)
    return both.filter(pl.any_horizontal(_differs(name) for name in NUMBERS))


def _differs(name: str) -> pl.Expr:
    return pl.col(name).ne_missing(pl.col(name + _OLD))


def _differences(changed: pl.DataFrame) -> dict[str, int]:
    counts = changed.select(_differs(name).sum().alias(name) for name in NUMBERS).row(0, named=True)
    return {name: int(count) for name, count in counts.items() if count}


def _recoded(removed: pl.DataFrame, added: pl.DataFrame) -> dict[str, str]:
    """Return old code -> new code of instruments whose rows are the same but for the code."""
    if removed.is_empty() or added.is_empty():
        return {}
    gone, came = (
        rows.sort(KEY)
        .group_by(INSTRUMENT)
        .agg(pl.col(DATE), pl.col("close"), pl.col("volume"))
        .rename({INSTRUMENT: name})
        for rows, name in ((removed, "was"), (added, "is"))
    )
    pairs = gone.join(came, on=[DATE, "close", "volume"], nulls_equal=True).select("was", "is")
    return dict(sorted(pairs.rows()))
