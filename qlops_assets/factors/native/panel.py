"""Bars as contiguous histories: one float32 array per field, instruments one behind the other."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.errors import FactorError

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

_DAY: Final = np.dtype("datetime64[D]")


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows as Qlib has them: every calendar day from an instrument's first bar to its last.

    Attributes:
        codes: Instruments, sorted.
        bounds: Where each instrument's rows begin, and the end of the last.
        first: For each instrument the calendar place of its first row.
        calendar: The days of all bars, ascending.
        bars: The bars themselves, sorted.
        place: For each bar its row; None where the rows are the bars.
    """

    codes: list[str]
    bounds: Integers
    first: Integers
    calendar: NDArray[np.datetime64]
    bars: pl.DataFrame
    place: Integers | None

    @classmethod
    def of(cls, bars: pl.DataFrame) -> "Panel":
        """Return the panel of a bars frame, in any order.

        Raises:
            FactorError: an instrument has two bars of a day.
        """
        bars = _sorted(bars)
        days = bars.get_column(DATE).to_physical().to_numpy().astype(np.int64)
        codes, starts = _runs(bars.get_column(INSTRUMENT))
        calendar, column = _calendar(days)
        ends = np.append(starts[1:], bars.height)
        first, last = column[starts], column[ends - 1]
        bounds = np.concatenate([[0], np.cumsum(last - first + 1)]).astype(np.int64)
        _refuse_duplicates(bars, column, starts)
        place = None
        if int(bounds[-1]) != bars.height:
            place = column + np.repeat(bounds[:-1] - first, ends - starts)
        return cls(codes, bounds, first, calendar, bars, place)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.bounds[-1])

    def field(self, name: str) -> Floats:
        """Return a field's values by row, NaN on days without a bar, as Qlib reads its bins."""
        values = self._column(name).cast(pl.Float32).fill_null(np.nan).to_numpy()
        if self.place is None:
            return np.array(values, np.float32)
        spread = np.full(self.rows, np.nan, np.float32)
        spread[self.place] = values
        return spread

    def _column(self, name: str) -> pl.Series:
        if name == "change":  # of closes of traded days, as the bin files have it
            before = pl.col("close").forward_fill().shift(1).over(INSTRUMENT)
            return self.bars.select(pl.col("close") / before - 1).to_series()
        if name == "factor" and name not in self.bars.columns:
            return pl.repeat(1.0, self.bars.height, eager=True)
        return self.bars.get_column(name)

    def places(self) -> Integers:
        """Return each row's place in the calendar."""
        lengths = np.diff(self.bounds)
        within = np.arange(self.rows, dtype=np.int64) - np.repeat(self.bounds[:-1], lengths)
        return within + np.repeat(self.first, lengths)

    def keys(self) -> list[pl.Series]:
        """Return the instrument and the date of each row."""
        if self.place is None:
            return [self.bars.get_column(INSTRUMENT), self.bars.get_column(DATE)]
        which = np.repeat(np.arange(len(self.codes)), np.diff(self.bounds))
        codes = pl.Series(INSTRUMENT, self.codes, pl.String).gather(which)
        return [codes, pl.Series(DATE, self.calendar[self.places()]).cast(pl.Date)]

    def since(self, day: date) -> NDArray[np.bool_]:
        """Return which rows are of a day or a later one."""
        return self.places() >= np.searchsorted(self.calendar, np.datetime64(day, "D"))

    def has_one_day_since(self, day: date) -> bool:
        """Whether only the last day of the calendar is that day or a later one."""
        return (
            int(np.searchsorted(self.calendar, np.datetime64(day, "D"))) == self.calendar.size - 1
        )

    def part(self, begin: int, end: int) -> "Panel":
        """Return the panel of some neighbouring instruments, over the same calendar."""
        low, high = int(self.bounds[begin]), int(self.bounds[end])
        bars, place = self.bars.slice(low, high - low), None
        if self.place is not None:
            a, b = (int(i) for i in np.searchsorted(self.place, [low, high]))
            bars, place = self.bars.slice(a, b - a), self.place[a:b] - low
        bounds = self.bounds[begin : end + 1] - low
        first = self.first[begin:end]
        return Panel(self.codes[begin:end], bounds, first, self.calendar, bars, place)

    def at_places(self, code: str, values: NDArray[Any]) -> NDArray[Any]:
        """Return one instrument's values by row of every instrument, NaN where it has no row.

        Args:
            code: The instrument.
            values: Its values, by its rows.
        """
        own = self.codes.index(code)
        dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        by_day = np.full(self.calendar.size, np.nan, dtype)
        begin = int(self.first[own])
        by_day[begin : begin + values.size] = values
        return by_day[self.places()]


def _sorted(bars: pl.DataFrame) -> pl.DataFrame:
    code, day = pl.col(INSTRUMENT), pl.col(DATE)
    ordered = (code > code.shift(1)) | ((code == code.shift(1)) & (day >= day.shift(1)))
    return bars if bars.select(ordered.fill_null(value=True).all()).item() else bars.sort(KEY)


def _runs(codes: pl.Series) -> tuple[list[str], Integers]:
    """Return the distinct values of a sorted column and where each begins."""
    runs = codes.rle().struct.unnest()
    lengths = runs.get_column("len").to_numpy().astype(np.int64)
    return runs.get_column("value").to_list(), np.concatenate([[0], np.cumsum(lengths)[:-1]])


def _calendar(days: Integers) -> tuple[NDArray[np.datetime64], Integers]:
    """Return the distinct days and for each bar its place among them."""
    low = int(days.min())
    present = np.zeros(int(days.max()) - low + 1, np.int64)
    present[days - low] = 1
    place = np.cumsum(present) - 1
    return (np.flatnonzero(present) + low).astype(_DAY), place[days - low]


def _refuse_duplicates(bars: pl.DataFrame, column: Integers, starts: Integers) -> None:
    same = np.diff(column) == 0
    same[starts[1:] - 1] = False
    if same.any():
        code, day = bars.select(KEY).row(int(np.argmax(same)))
        raise FactorError(f"bars frame: {code} has two bars of {day}; needs one row a day")
