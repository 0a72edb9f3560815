"""The bars that rows from some day on depend on: those rows' own and a look-back before them."""

from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.months import month_of
from qlops_assets.core.settings import Settings
from qlops_assets.lake.datasets import MonthlyDataset, bars_dataset

# A trading week has five days and loses some to holidays; what a guess leaves out is read after it.
_CALENDAR_DAYS_A_TRADING_DAY = 1.6
_LONGEST_HOLIDAYS = timedelta(days=14)


def looking_back(bars: pl.DataFrame, since: date, days: int | None) -> pl.DataFrame:
    """Return the bars that factors from a day on depend on.

    An instrument whose rows begin earlier has rows from the first day of the window on, as it has
    in the whole: an empty one is put there where the source left that day out.

    Args:
        bars: A bars frame.
        since: First day of the rows that are wanted.
        days: Trading days that the factors look back; None for all.
    """
    if days is None:
        return bars
    calendar = bars.get_column(DATE).unique().sort()
    place = int(calendar.search_sorted(since)) - days
    first = calendar[min(max(0, place), calendar.len() - 1)]  # since may be after the last day
    window = bars.filter(pl.col(DATE) >= first)
    begun = bars.filter(pl.col(DATE) < first).select(INSTRUMENT).unique()
    begun = begun.join(window.select(INSTRUMENT).unique(), on=INSTRUMENT, how="semi")
    return _with_rows_on(window, first, begun)


def read_looking_back(
    settings: Settings, first: date | None, last: date | None, days: int | None
) -> pl.DataFrame:
    """Return the lake's bars that factors from ``first`` to ``last`` depend on.

    Args:
        settings: Where the lake is.
        first: First day of the wanted rows; None for the first of all.
        last: Last day; None for the last of all.
        days: Trading days that the factors look back; None for all.

    Raises:
        DatasetMissingError: there are no bars.
    """
    dataset = bars_dataset(settings)
    if first is None or days is None:
        begin, window = None, dataset.read(last=last)
    else:
        begin, window = _window(settings, first, last, days)
    if last is None and begin is None:
        return window
    spans = _spans(dataset.folder, dataset.name, dataset.state())
    present = window.select(INSTRUMENT).unique()
    if begin is not None:
        # One that pauses all through the window and comes back later has rows of it as well.
        covering = spans.filter((pl.col("start") < begin) & (pl.col("end") > begin))
        window = _with_rows_on(window, begin, covering.select(INSTRUMENT))
    final = window.get_column(DATE).max() if last is not None else None
    if isinstance(final, date):
        later = spans.filter((pl.col("start") < final) & (pl.col("end") > final))
        present = window.select(INSTRUMENT).unique()
        window = _with_rows_on(window, final, later.select(INSTRUMENT).join(present, on=INSTRUMENT))
    return window


@lru_cache(maxsize=1)  # months are computed in pieces, each of which asks for it
def _spans(folder: Path, name: str, _state: object) -> pl.DataFrame:
    """Return the first and the last day of every instrument: instrument, start, end."""
    day, rows = pl.col(DATE), MonthlyDataset(folder, name).scan()
    return rows.group_by(INSTRUMENT).agg(start=day.min(), end=day.max()).collect()


def _window(
    settings: Settings, first: date, last: date | None, days: int
) -> tuple[date | None, pl.DataFrame]:
    """Return the first day of the window, None where all history is in it, and its bars."""
    dataset = bars_dataset(settings)
    known = dataset.months()
    guess = first - timedelta(days=_CALENDAR_DAYS_A_TRADING_DAY * days) - _LONGEST_HOLIDAYS
    while True:
        months = [m for m in known if m >= month_of(guess)]
        window = dataset.read(months or known[-1:], last=last)
        calendar = window.get_column(DATE).unique().sort()
        before = int(calendar.search_sorted(first))
        if before >= days:
            begin = calendar[before - days] if days or before < calendar.len() else first
            return begin, window.filter(pl.col(DATE) >= begin)
        if len(months) == len(known):
            return None, window
        guess -= timedelta(days=_CALENDAR_DAYS_A_TRADING_DAY * days) + _LONGEST_HOLIDAYS


def _with_rows_on(window: pl.DataFrame, day: date, begun: pl.DataFrame) -> pl.DataFrame:
    """Add an empty row of a day for those of the instruments that have none on it."""
    present = window.filter(pl.col(DATE) == day).select(INSTRUMENT)
    absent = begun.join(present, on=INSTRUMENT, how="anti").with_columns(pl.lit(day).alias(DATE))
    if absent.is_empty():
        return window
    if "factor" not in window.columns:  # 1 on the days that have a bar, which an empty row is not
        window = window.with_columns(factor=pl.lit(1.0))
    return pl.concat([window, absent], how="diagonal").sort(KEY)
