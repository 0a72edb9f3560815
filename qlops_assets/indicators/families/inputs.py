"""What indicators are computed from, and the one door to TA-Lib.

An indicator's values come about in three steps. What depends on a few rows and is exact, such as a
highest high, is *prepared* over all instruments at once, as Polars is fast only then. What carries
something along an instrument, such as a running sum, is a *series*, computed for each by itself.
What is left is arithmetic between those, row by row.
"""

import math
from functools import cache
from typing import Any, Final

import polars as pl

from qlops_assets.core.columns import PRICES

COLUMNS: Final = (*PRICES, "volume")
# The place of a bar among its instrument's, from 0.
PLACE: Final = "place"
_THIRD: Final = 1.0 / 3.0


@cache
def _talib() -> Any:
    import polars_talib

    return polars_talib


class Inputs:
    """The columns of traded bars as expressions, and what has to be computed before the rest.

    Attributes:
        extremes: Highest and lowest of so many rows, whatever instrument's, by column.
        prepared: Expressions over the rows of all instruments, those columns among them, by column.
        series: Expressions over one instrument's rows, those columns too, by column.
    """

    def __init__(self) -> None:
        self.extremes: dict[str, pl.Expr] = {}
        self.prepared: dict[str, pl.Expr] = {}
        self.series: dict[str, pl.Expr] = {}
        self.high, self.low = pl.col("high"), pl.col("low")
        self.close, self.volume = pl.col("close"), pl.col("volume")

    @property
    def typical(self) -> pl.Expr:
        """The mean of high, low and close.

        Not divided by 3: Polars multiplies a column by the reciprocal of a number, but divides
        where there is one row, so that a value's last bit would depend on how many there are.
        """
        return (self.high + self.low + self.close) * _THIRD

    def ready(self, name: str, value: pl.Expr) -> pl.Expr:
        """Have an expression over rows prepared, and return its column."""
        self.prepared[name] = value
        return pl.col(name)

    def talib(self, function: str, *columns: str, **parameters: float) -> pl.Expr:
        """Have a function of TA-Lib computed for each instrument, and return its column."""
        given = ",".join(f"{name}={value}" for name, value in parameters.items())
        name = f"{function}({','.join(columns)};{given})"
        return self._carried(name, getattr(_talib(), function)(*map(pl.col, columns), **parameters))

    def summed(self, column: str) -> pl.Expr:
        """Have a column summed from an instrument's first bar on, and return that."""
        return self._carried(f"cum_sum({column})", pl.col(column).cum_sum())

    def smoothed(self, column: str, *weights: float) -> pl.Expr:
        """Have a column averaged exponentially, once with each weight, and return that.

        An average begins with the first value itself.
        """
        value = pl.col(column)
        for weight in weights:
            value = value.ewm_mean(alpha=weight, adjust=False)
        return self._carried(f"ewm({column};{weights})", value)

    def _carried(self, name: str, value: pl.Expr) -> pl.Expr:
        self.series[name] = value
        return pl.col(name)

    # Of these, a bar with too few before it has none; they are exact, so that the bars of another
    # instrument before the first have no influence. To be given to ``ready``. TA-Lib's extremes are
    # Polars' to the bit, in a tenth of the time.

    def highest(self, column: str, bars: int) -> pl.Expr:
        """Return the highest of so many bars."""
        return self.from_place(bars - 1, self._extreme("max", column, bars))

    def lowest(self, column: str, bars: int) -> pl.Expr:
        """Return the lowest of so many bars."""
        return self.from_place(bars - 1, self._extreme("min", column, bars))

    def middle(self, bars: int) -> pl.Expr:
        """Return the middle of the range of so many bars."""
        high, low = self._extreme("max", "high", bars), self._extreme("min", "low", bars)
        return self.from_place(bars - 1, (high + low) / 2.0)

    def _extreme(self, function: str, column: str, bars: int) -> pl.Expr:
        name = f"{function}({column};{bars})"
        self.extremes[name] = getattr(_talib(), function)(pl.col(column), timeperiod=bars)
        return pl.col(name)

    def where(self, condition: pl.Expr, value: pl.Expr, other: float) -> pl.Expr:
        """Return a value where a condition holds, and another number elsewhere."""
        return pl.when(condition).then(value).otherwise(other)

    def before(self, value: pl.Expr, bars: int) -> pl.Expr:
        """Return the value of so many bars before."""
        return self.from_place(bars, value.shift(bars))

    def from_place(self, place: int, value: pl.Expr) -> pl.Expr:
        """Return the value from an instrument's bar of that place on, counted from 0.

        Before it is NaN, as TA-Lib has it: nulls cost every later step a second look.
        """
        return pl.when(pl.col(PLACE) >= place).then(value).otherwise(math.nan)
