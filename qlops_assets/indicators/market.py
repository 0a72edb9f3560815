"""The bars that indicators are computed from: an instrument's traded days, one behind the other."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.errors import IndicatorError
from qlops_assets.indicators.families.inputs import COLUMNS, PLACE

GROUP: Final = "group"
_TEXT: Final = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True, slots=True)
class Market:
    """Bars, and those of them that were traded.

    A day with no volume, or without one of its prices, is no bar: one missing value inside a
    series would leave none after it. So would the logarithm of a price that is not above 0.

    Attributes:
        keys: Instrument and date of every row that is wanted.
        bars: The traded bars: number of the instrument, place among its bars, prices, volume.
        starts: Where each instrument's traded bars begin, and the end of the last.
        wanted: For each instrument the place of the first traded bar that is wanted.
        traded: Whether each row that is wanted was traded.
    """

    keys: pl.DataFrame
    bars: pl.DataFrame
    starts: NDArray[np.int64]
    wanted: NDArray[np.int64]
    traded: NDArray[np.bool_]

    @classmethod
    def of(cls, bars: pl.DataFrame, since: date | None) -> "Market":
        """Return the market of a bars frame.

        Raises:
            IndicatorError: the frame lacks a column, one is of the wrong type, or its rows are not
                sorted by instrument and date with one row a day.
        """
        _require_columns(bars)
        group = bars.get_column(INSTRUMENT).rle_id()
        _require_sorted(bars, group)
        traded = bars.select(_traded()).to_series()
        old = None if since is None else bars.get_column(DATE) < since
        count = bars.height and int(group[-1]) + 1
        rows = bars.select(
            group.alias(GROUP), *(pl.col(name).cast(pl.Float64) for name in COLUMNS)
        ).filter(traded)
        ids = rows.get_column(GROUP).to_numpy()
        starts = np.searchsorted(ids, np.arange(count + 1)).astype(np.int64)
        places = np.arange(rows.height, dtype=np.int64) - np.repeat(starts[:-1], np.diff(starts))
        rows = rows.with_columns(pl.Series(PLACE, places), pl.col(GROUP).set_sorted())
        keys, wanted = bars.select(KEY), np.zeros(count, np.int64)
        if old is not None:
            earlier = ids[old.filter(traded).to_numpy()]
            wanted = np.bincount(earlier, minlength=count).astype(np.int64)
            keys, traded = keys.filter(~old), traded.filter(~old)
        return cls(keys, rows, starts, wanted, traded.to_numpy())

    def blocks(self, size: int, before: int | None) -> "list[pl.DataFrame]":
        """Return the traded bars in blocks of whole instruments, of about so many rows.

        Args:
            size: Rows of a block.
            before: Bars before the first wanted one that are needed; None for all.

        Returns:
            Of instruments with a wanted bar only.
        """
        counts = np.diff(self.starts)
        begin = np.zeros_like(counts) if before is None else np.maximum(0, self.wanted - before)
        begin = np.where(self.wanted < counts, begin, counts)
        bars = self.bars
        if begin.any():
            bars = bars.filter(bars.get_column(PLACE).to_numpy() >= np.repeat(begin, counts))
        ends = np.cumsum(counts - begin)
        parts, first = [], 0
        while first < bars.height:
            low = int(np.searchsorted(ends, first, side="right"))
            last = int(ends[max(low, int(np.searchsorted(ends, first + size, side="right")) - 1)])
            parts.append(bars.slice(first, last - first))
            first = last
        return parts

    def is_wanted(self, block: pl.DataFrame) -> pl.Series:
        """Return which rows of a block are wanted."""
        first = self.wanted[block.get_column(GROUP).to_numpy()]
        return pl.Series(block.get_column(PLACE).to_numpy() >= first)


def _traded() -> pl.Expr:
    numbers = [pl.col(name).cast(pl.Float64) for name in COLUMNS]
    there = [number.is_finite() & (number > 0) for number in numbers]
    return pl.all_horizontal(there).fill_null(value=False)


def _require_columns(bars: pl.DataFrame) -> None:
    needed = (*KEY, *COLUMNS)
    missing = [name for name in needed if name not in bars.columns]
    if missing:
        found = f"has the columns {', '.join(bars.columns)}"
        raise IndicatorError("bars frame", found, f"needs {', '.join(missing)} too")
    schema: dict[str, Any] = dict(bars.schema)
    wrong = [name for name in COLUMNS if not schema[name].is_numeric()]
    if wrong:
        raise IndicatorError("bars frame", f"{wrong[0]} is {schema[wrong[0]]}", "needs a number")
    if schema[INSTRUMENT] not in _TEXT:
        found = f"{INSTRUMENT} is {schema[INSTRUMENT]}"
        raise IndicatorError("bars frame", found, f"needs {pl.String}")
    if schema[DATE] != pl.Date:
        raise IndicatorError("bars frame", f"{DATE} is {schema[DATE]}", f"needs {pl.Date}")
    for name in KEY:
        if nulls := bars.get_column(name).null_count():
            raise IndicatorError("bars frame", f"{nulls} rows have no {name}", "each needs one")


def _begins(changes: NDArray[np.bool_], rows: int) -> NDArray[np.intp]:
    """Return the first row and those behind a change."""
    return np.concatenate([np.arange(min(rows, 1)), np.flatnonzero(changes) + 1])


def _require_sorted(bars: pl.DataFrame, group: pl.Series) -> None:
    """Refuse rows in disorder, in which every value would be wrong without a word."""
    days, numbers = bars.get_column(DATE).to_physical().to_numpy(), group.to_numpy()
    changes = numbers[1:] != numbers[:-1]
    codes = bars.get_column(INSTRUMENT).gather(_begins(changes, bars.height)).cast(pl.String)
    disordered = bool((~changes & (days[1:] <= days[:-1])).any()) or not codes.is_sorted()
    if disordered or codes.n_unique() != codes.len():
        raise IndicatorError(
            "bars frame",
            "its rows are not in order, or two are of one instrument and day",
            "sort them by instrument and date, one row a day",
        )
