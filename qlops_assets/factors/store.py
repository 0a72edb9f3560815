"""Factor rows by month, recomputed only for months whose bars or definitions changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from qlops_assets.core.columns import DATE, KEY
from qlops_assets.core.digests import combined_digest
from qlops_assets.core.errors import DatasetMissingError, FactorError
from qlops_assets.core.months import (
    contiguous_spans,
    first_day,
    months_between,
    next_month,
    shifted,
)
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_digest, alpha158_expressions
from qlops_assets.factors.engine import ENGINES
from qlops_assets.factors.gaps import gap_digests
from qlops_assets.factors.look_back import LOOK_BACK_DAYS, LOOK_BACK_MONTHS
from qlops_assets.lake.datasets import MonthlyDataset, PartitionInfo, bars_dataset

# One factor of each price, without a window.
_SAME_DAY = ("KMID", "OPEN0", "HIGH0", "LOW0", "VWAP0")


@dataclass(frozen=True, slots=True)
class FactorReport:
    """One month of factor rows: its partition and the share of cells without a value."""

    partition: PartitionInfo
    missing_share: float


def alpha158_dataset(settings: Settings) -> MonthlyDataset:
    """Return the dataset of Alpha158 rows of this source."""
    return MonthlyDataset(settings.lake / "alpha158", "alpha158_factors")


def alpha158_inputs(settings: Settings, months: Sequence[str]) -> dict[str, str]:
    """Return for each month the digest of the bars that its factors are computed from.

    They are those of the month and of the months it looks back to; and where a source leaves days
    of an instrument out, whether it has a later bar, because that decides which rows there are.
    """
    bars = bars_dataset(settings)
    digests = {month: info.digest for month, info in bars.infos().items()}
    gaps = gap_digests(bars) if digests else {}
    inputs = {}
    for month in months:
        if month in digests:
            window = months_between(shifted(month, -LOOK_BACK_MONTHS), month)
            gap = [gaps[month]] if month in gaps else []
            inputs[month] = combined_digest([*(digests.get(m, "") for m in window), *gap])
    return inputs


def stale_months(settings: Settings, months: Sequence[str]) -> list[str]:
    """Return those of the months whose factors are missing or out of date."""
    wanted = alpha158_inputs(settings, months)
    return alpha158_dataset(settings).stale(wanted, code_version(settings))


def code_version(settings: Settings) -> str:
    """Return what the values depend on besides the bars: definitions and engine."""
    return f"{settings.features.engine}-{alpha158_digest()[:12]}"


def build_alpha158(
    settings: Settings, months: Sequence[str], *, progress: Progress | None = None
) -> dict[str, FactorReport]:
    """Compute and store the 158 factors of the given months; return a report by month.

    Months without bars are removed. A span of neighbouring months is one computation.

    Raises:
        DatasetMissingError: there are no bars at all.
        FactorError: a factor came out empty.
    """
    bars = bars_dataset(settings)
    if not bars.months():
        raise DatasetMissingError("bars", months, "materialize raw_bars and bars first")
    inputs = alpha158_inputs(settings, months)
    dataset = alpha158_dataset(settings)
    for month in set(months) - set(inputs):
        dataset.remove(month)
    reports: dict[str, FactorReport] = {}
    for first, last in contiguous_spans(inputs):
        blocks = list(_compute(settings, first, last, progress or Unreported()))
        _require_values(blocks, last)
        for month in months_between(first, last):
            frame = _month(blocks, month)
            partition = dataset.write(
                month, frame, inputs=inputs[month], code=code_version(settings)
            )
            reports[month] = FactorReport(partition, _missing_share(frame))
    return reports


def _compute(
    settings: Settings, first: str, last: str, progress: Progress
) -> Iterator[pl.DataFrame]:
    engine = ENGINES.load(settings.features.engine)()
    yield from engine.from_lake(
        settings,
        alpha158_expressions(),
        first=first_day(first),
        last=first_day(next_month(last)),
        progress=progress,
    )


def _month(blocks: Sequence[pl.DataFrame], month: str) -> pl.DataFrame:
    start, end = first_day(month), first_day(next_month(month))
    inside = (pl.col(DATE) >= start) & (pl.col(DATE) < end)
    return pl.concat([block.filter(inside) for block in blocks]).sort(KEY)


def _missing_share(frame: pl.DataFrame) -> float:
    missing = frame.drop(KEY).select(pl.all().is_nan().sum()).row(0)
    return float(sum(missing)) / max(1, frame.height * len(missing))


def _require_values(blocks: Sequence[pl.DataFrame], last: str) -> None:
    """Refuse a factor without any value; Qlib gives NaN, not an error, for a missing field."""
    days = pl.concat([block.select(DATE) for block in blocks]).get_column(DATE).n_unique()
    values = [block.drop(KEY).select(pl.all().is_not_nan().sum()) for block in blocks]
    found = pl.concat(values).sum().row(0, named=True)
    if days <= LOOK_BACK_DAYS:  # the longest windows may have no value yet, or nothing was traded
        found = {name: found[name] for name in _SAME_DAY} if found["KMID"] else {}
    empty = [name for name, count in found.items() if count == 0]
    if empty:
        raise FactorError(
            f"alpha158 up to {last}: {len(empty)} of {len(found)} factors have no value, first "
            f"{empty[0]!r}; check that the bars have every price, volume and vwap"
        )
