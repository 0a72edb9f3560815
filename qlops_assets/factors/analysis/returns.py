"""What a factor has to foretell: the return of buying a day after the signal and selling later.

The signal of day t is known after its close, so the position is bought on the close of t+1 and sold
``h`` trading days later: ``close[t+1+h] / close[t+1] - 1``. Days are those of the calendar of all
instruments. At horizon 1 that is Qlib's label, ``Ref($close, -2)/Ref($close, -1) - 1``. Where one
of the two closes is missing (halted, not listed, not yet there) there is no return.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.errors import FactorError

_NEEDED: Final = (INSTRUMENT, DATE, "close")


@dataclass(frozen=True, slots=True)
class Closes:
    """Closing prices as a matrix.

    Attributes:
        days: The calendar, ascending, as days since 1970.
        instruments: In order of their code.
        prices: (day × instrument), NaN where there is none.
    """

    days: NDArray[np.int32]
    instruments: list[str]
    prices: NDArray[np.float64]

    @classmethod
    def of(cls, bars: pl.DataFrame, *, last: date | None = None) -> "Closes":
        """Return the closes of a bars frame; of no day after ``last``.

        Raises:
            FactorError: the frame lacks a column, or has no row up to ``last``.
        """
        missing = [name for name in _NEEDED if name not in bars.columns]
        if missing:
            raise FactorError(
                f"bars frame: found columns {', '.join(bars.columns)}; needs {', '.join(missing)}"
            )
        rows = bars.select(pl.col(INSTRUMENT).cast(pl.String), DATE, pl.col("close").cast(float))
        if last is not None:
            rows = rows.filter(pl.col(DATE) <= last)
        if rows.is_empty():
            until = f" up to {last}" if last else ""
            raise FactorError(f"bars frame: has no row{until}; needs at least one")
        instruments = rows[INSTRUMENT].unique().sort().to_list()
        dates = rows[DATE].to_physical().to_numpy()
        days = np.unique(dates)
        prices = np.full((days.size, len(instruments)), np.nan)
        places = places_of(rows[INSTRUMENT], instruments)
        prices[np.searchsorted(days, dates), places] = rows["close"].fill_null(np.nan).to_numpy()
        return cls(days, instruments, prices)


def places_of(codes: pl.Series, instruments: Sequence[str]) -> NDArray[np.int32]:
    """Return the place of each code among the instruments, -1 where it is not among them."""
    known = codes.cast(pl.String).cast(pl.Enum(list(instruments)), strict=False)
    return known.to_physical().cast(pl.Int32).fill_null(-1).to_numpy(writable=True)


def forward_returns(bars: pl.DataFrame, horizons: Sequence[int]) -> pl.DataFrame:
    """Return the forward returns of every row of a bars frame.

    Args:
        bars: A bars frame (``core.columns``); only instrument, date and close are read.
        horizons: Days between buying and selling.

    Returns:
        ``instrument, date`` as in the bars and ``return_<h>`` for each horizon, float64, null where
        there is none.

    Raises:
        FactorError: the frame lacks a column or rows, or a horizon is less than 1.
    """
    if any(horizon < 1 for horizon in horizons):
        raise FactorError(f"horizons: was {list(horizons)}, each must be at least 1 day")
    closes = Closes.of(bars)
    dates = bars[DATE].to_physical().to_numpy()
    rows = np.searchsorted(closes.days, dates)
    places = places_of(bars[INSTRUMENT], closes.instruments)
    columns = [
        pl.Series(f"return_{h}", _earned(closes.prices, h)[rows, places]).fill_nan(None)
        for h in horizons
    ]
    return bars.select(INSTRUMENT, DATE).with_columns(columns)


def _earned(prices: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    earned = np.full_like(prices, np.nan)
    if horizon + 1 < len(prices):
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = prices[1 + horizon :] / prices[1:-horizon] - 1.0
        earned[: len(gain)] = np.where(np.isfinite(gain), gain, np.nan)
    return earned
