"""Past returns of the instruments, as risk is estimated from them: never a later day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import TrainingError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """Daily returns up to and with a day.

    Attributes:
        codes: The instruments with a price at its beginning that traded on half its days and moved.
        returns: Days × instruments; 0 on a halted day, the whole move on the day it trades again.
        traded: Whether each of ``codes`` traded on the last day.
    """

    codes: list[str]
    returns: Floats
    traded: NDArray[np.bool_]


class PastReturns:
    """Closes of a provider, from which windows are cut."""

    def __init__(self, days: Floats, codes: Sequence[str], closes: Floats, length: int) -> None:
        self._days, self._codes, self._length = days, np.array(codes), length
        self._traded = np.isfinite(closes)
        self._closes = _carried_on(closes)

    @classmethod
    def read(cls, codes: Sequence[str], first: date, last: date, length: int) -> "PastReturns":
        """Read closes from the open session's provider.

        One window more than is needed, for the price of what is halted as a window begins.

        Raises:
            TrainingError: fewer trading days than a window needs lie before the test's second day,
                the first on which anything can be bought.
        """
        from qlib.data import D

        calendar = D.calendar(end_time=last)
        start = int(np.searchsorted(calendar, np.datetime64(first))) - length
        if start < 0:
            raise TrainingError(
                f"[backtest] look_back_days: was {length}, must be at most {start + length}, the "
                f"trading days before the test's first, {first}"
            )
        days = calendar[max(0, start - length) :]
        prices = D.features(list(codes), ["$close"], days[0], last)["$close"]
        table = prices.unstack(level="instrument").reindex(index=days, columns=codes)
        return cls(days.astype("datetime64[D]"), codes, table.to_numpy(dtype=np.float64), length)

    def window(self, day: np.datetime64) -> Window:
        """Return the returns of the last days up to and with one.

        Raises:
            TrainingError: it is no trading day of the test.
        """
        at = int(np.searchsorted(self._days, day))
        if at == len(self._days) or self._days[at] != day or at < self._length:
            raise TrainingError(f"backtest: {day} is no trading day with {self._length} before it")
        closes = self._closes[at - self._length : at + 1]
        traded = self._traded[at - self._length + 1 : at + 1]
        usable = np.isfinite(closes[0]) & (2 * traded.sum(axis=0) >= self._length)
        usable &= (closes != closes[0]).any(axis=0)
        kept = closes[:, usable]
        codes = self._codes[usable].tolist()
        return Window(codes, kept[1:] / kept[:-1] - 1, traded[-1, usable])


def _carried_on(closes: Floats) -> Floats:
    """Return the closes with each gap filled by the close before it."""
    rows = np.where(np.isfinite(closes), np.arange(len(closes))[:, None], -1)
    latest = np.maximum.accumulate(rows, axis=0)
    carried = np.take_along_axis(closes, np.maximum(latest, 0), axis=0)
    return np.where(latest < 0, np.nan, carried)
