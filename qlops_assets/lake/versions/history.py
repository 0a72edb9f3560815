"""Bars as they were known at some moment: knowledge time, not the time of the events."""

from collections.abc import Iterable
from datetime import date, datetime

import polars as pl

from qlops_assets.core.columns import DATE
from qlops_assets.core.months import month_of
from qlops_assets.core.settings import Settings
from qlops_assets.lake.bars import bars_of
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.versions.snapshots import snapshot_store


def bars(
    settings: Settings,
    *,
    as_of: datetime | None = None,
    first: date | None = None,
    last: date | None = None,
) -> pl.DataFrame:
    """Return clean, adjusted bars by instrument and date.

    With ``as_of`` they are made from the file versions that had been seen by then, as
    ``[source]`` reads files today: what was restated later is as it was before.

    Args:
        settings: Of the home.
        as_of: A moment with its zone; the lake's present bars where None.
        first: Drop earlier days.
        last: Drop later days.

    Raises:
        UnknownSnapshotError: nothing was known at that moment, or it has no zone.
        DatasetMissingError: without ``as_of``, there are no bars.
        LakeError: a kept file is gone or damaged.
    """
    if as_of is None:
        return bars_dataset(settings).read(first=first, last=last)
    snapshots = snapshot_store(settings)
    manifest = snapshots.load(snapshots.at(as_of).number).manifest
    rows = bars_of(settings, manifest, list(_within(manifest.months, first, last)))
    if first is not None:
        rows = rows.filter(pl.col(DATE) >= first)
    return rows if last is None else rows.filter(pl.col(DATE) <= last)


def _within(months: Iterable[str], first: date | None, last: date | None) -> Iterable[str]:
    return (
        month
        for month in months
        if (first is None or month >= month_of(first)) and (last is None or month <= month_of(last))
    )
