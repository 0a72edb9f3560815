"""Indicator rows by month, computed anew only where bars or definitions changed."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import polars as pl
import xxhash

from qlops_assets.core.columns import BARS, DATE, INSTRUMENT, KEY
from qlops_assets.core.errors import DatasetMissingError
from qlops_assets.core.months import first_day, month_of, months_between, next_month
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.families.inputs import COLUMNS
from qlops_assets.indicators.own import own_indicators
from qlops_assets.indicators.sets import built_in_names, code_version, column_names
from qlops_assets.lake.datasets import MonthlyDataset, PartitionInfo, bars_dataset, by_month

__all__ = [
    "INDICATORS",
    "ROWS",
    "build_indicators",
    "code_version",
    "column_names",
    "indicator_dataset",
    "indicator_inputs",
    "stale_months",
]

# The folder of the rows in the lake, and what they are called: the asset's name.
INDICATORS: Final = "indicators"
ROWS: Final = "indicator_features"
# Values of four bytes that are held at once; twice that is needed while they are computed.
_VALUES_AT_ONCE: Final = 200_000_000


def indicator_dataset(settings: Settings) -> MonthlyDataset:
    """Return the dataset of indicator rows of this source."""
    return MonthlyDataset(settings.lake / INDICATORS, ROWS)


def indicator_inputs(settings: Settings, months: Sequence[str]) -> dict[str, str]:
    """Return for each month that has bars the digest of all bars up to its end.

    Most indicators carry something along from an instrument's first bar.
    """
    wanted = set(months)
    found = {}
    whole = xxhash.xxh3_128()
    for month, info in bars_dataset(settings).infos().items():
        whole.update(f"{month} {info.digest}\n".encode())
        if month in wanted:
            found[month] = whole.hexdigest()
    return found


def stale_months(settings: Settings, months: Sequence[str]) -> list[str]:
    """Return those of the months whose indicators are missing or out of date.

    Raises:
        IndicatorError: an indicator cannot be used.
    """
    wanted = indicator_inputs(settings, months)
    return indicator_dataset(settings).stale(wanted, code_version(settings))


def build_indicators(
    settings: Settings, months: Sequence[str], *, progress: Progress | None = None
) -> dict[str, PartitionInfo]:
    """Compute and store the indicators of the given months; return what was written, by month.

    Values are computed from an instrument's first bar on, whichever months are stored, so they are
    those of one computation of everything. Months without bars are removed, and all where no
    indicator is to be built.

    Raises:
        DatasetMissingError: there are no bars at all.
        IndicatorError: an indicator cannot be used or computed.
    """
    dataset, report = indicator_dataset(settings), progress or Unreported()
    inputs: dict[str, str] = {}
    width = len(column_names(settings))
    if width:
        if not bars_dataset(settings).months():
            raise DatasetMissingError("bars", months, "materialize raw_bars and bars first")
        inputs = indicator_inputs(settings, months)
    for month in set(months) - set(inputs):
        dataset.remove(month)
    code = code_version(settings)
    own = {name: one.version for name, one in own_indicators(settings).items()}
    written: dict[str, PartitionInfo] = {}
    for piece in _pieces(settings, sorted(inputs), width):
        for month, rows in _computed(settings, piece).items():
            written[month] = dataset.write(
                month, rows, inputs=inputs[month], code=code, expressions=own
            )
            report.report(INDICATORS, len(written), len(inputs))
    return written


def _pieces(settings: Settings, months: Sequence[str], width: int) -> list[list[str]]:
    """Cut the months so that the values from the first to the last of a piece are not too many."""
    rows = {month: info.rows for month, info in bars_dataset(settings).infos().items()}
    pieces: list[list[str]] = []
    for month in months:
        if pieces:
            span = months_between(pieces[-1][0], month)
            if width * sum(rows.get(m, 0) for m in span) <= _VALUES_AT_ONCE:
                pieces[-1].append(month)
                continue
        pieces.append([month])
    return pieces


def _computed(settings: Settings, months: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Return the rows of months, computed at once."""
    own = own_indicators(settings)
    needed = BARS[2:] if own else COLUMNS
    bars = _bars(settings, needed, last=first_day(next_month(months[-1])) - timedelta(days=1))
    rows = indicators(
        bars,
        built_in_names(settings),
        own=own,
        since=first_day(months[0]),
        dtype=pl.Float32,
    )
    wanted = set(months)
    rows = rows.with_columns(pl.col(INSTRUMENT).cast(pl.String))
    return {month: part for month, part in by_month(rows).items() if month in wanted}


def _bars(settings: Settings, columns: Sequence[str], *, last: date) -> pl.DataFrame:
    """Return all bars up to a day, sorted; instruments are words of an enumeration.

    ``MonthlyDataset.read`` sorts by text, which takes as long as all the indicators do.
    """
    dataset = bars_dataset(settings)
    months = [month for month in dataset.months() if month <= month_of(last)]
    try:
        rows = dataset.scan().filter(pl.col(DATE) <= last).select(*KEY, *columns).collect()
    except (pl.exceptions.PolarsError, OSError):
        return dataset.read(months, columns=columns)  # which says what is damaged
    codes = rows.get_column(INSTRUMENT).unique().sort()
    code = pl.col(INSTRUMENT).cast(pl.Enum(codes))
    order = code.to_physical().cast(pl.Int64) * 10_000_000 + pl.col(DATE).to_physical()
    place = rows.select(order.arg_sort()).to_series()
    return rows.with_columns(code)[place]
