"""Quotes of daily bars, by position.

Qlib keeps a table of labels for every instrument and looks a day up by bisection, a new table for
each day before a day without trading. A backtest of a year asks a hundred thousand times, always
for one trading day: here that is a place in an array.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_DAY_NS: Final = 86_400_000_000_000
_NO_DAY: Final = (-1, False)


class DayQuotes:
    """A ``BaseQuote`` of Qlib's, for ``quote_cls`` of its exchange.

    Of a window with one trading day it says what Qlib's ``NumpyQuote`` says, whatever that is; it
    asks ``NumpyQuote`` about every other window.
    """

    def __init__(self, quote_df: "pd.DataFrame", freq: str) -> None:
        self._frame, self._freq = quote_df, freq
        row_of, self._days = _places(quote_df.index, "datetime")
        column_of, codes = _places(quote_df.index, "instrument")
        self._columns = {str(code): place for place, code in enumerate(codes)}
        self._rows: dict[tuple[Any, Any], tuple[int, bool]] = {}
        shape = (len(self._days), len(codes))
        self._known = np.zeros(shape, dtype=bool)
        self._known[row_of, column_of] = True
        self._tables: dict[str, Any] = {}
        for field in quote_df.columns:
            table = np.full(shape, np.nan)
            table[row_of, column_of] = quote_df[field].to_numpy(np.float64)
            self._tables[str(field)] = table
        # What has no row has no price.
        self._halted = np.isnan(self._tables["$close"])

    def get_all_stock(self) -> Any:
        """Return the instruments."""
        return self._columns.keys()

    def get_data(
        self, stock_id: str, start_time: Any, end_time: Any, field: str, method: Any = None
    ) -> Any:
        """Return what a method makes of a field's values in a window; None where there are none."""
        row, is_short = self._row(start_time, end_time)
        if row < 0:
            return self._labelled.get_data(stock_id, start_time, end_time, field, method)
        column = self._columns.get(stock_id)
        if column is None or not self._known[row, column]:
            return None
        value = self._tables[field][row, column]
        # Of a window shorter than a day Qlib gives the value as it is; of a longer one, which a
        # day before a holiday has, what the method makes of it.
        return value if is_short else self._made(value, row, method)

    def is_suspended(self, stock_id: str, start_time: Any, end_time: Any) -> bool | None:
        """Return whether it has no price in a window; None where that is no single day."""
        row, _ = self._row(start_time, end_time)
        if row < 0:
            return None
        column = self._columns.get(stock_id)
        return column is None or bool(self._halted[row, column])

    def _row(self, start: Any, end: Any) -> tuple[int, bool]:
        """Return the place of a window's one day, and whether the window is below a day."""
        found = self._rows.get((start, end))
        if found is None:
            found = self._rows[start, end] = self._searched(start, end)
        return found

    def _searched(self, start: Any, end: Any) -> tuple[int, bool]:
        first, last = start.to_datetime64(), end.to_datetime64()
        begin = int(np.searchsorted(self._days, first, side="left"))
        if int(np.searchsorted(self._days, last, side="right")) != begin + 1:
            return _NO_DAY
        is_short = bool((end - start).value < _DAY_NS)
        return _NO_DAY if is_short and self._days[begin] != first else (begin, is_short)

    def _made(self, value: Any, row: int, method: str | None) -> Any:
        """Return what ``NumpyQuote`` makes of the only value of a window."""
        if method is None:
            from qlib.utils.index_data import SingleData

            return SingleData([value], [self._days[row]])
        if method == "sum":
            return np.nansum(value)
        if method == "ts_data_last":
            return None if np.isnan(value) else value
        if method == "all":
            return np.bool_(value)  # not a number is true
        if method in ("mean", "last"):
            return value
        raise ValueError(f"{method} is not supported")

    @cached_property
    def _labelled(self) -> Any:
        from qlib.backtest.high_performance_ds import NumpyQuote

        return NumpyQuote(self._frame, self._freq)


def _places(index: Any, level: str) -> tuple[Any, Any]:
    """Return for every row the place of its label, and the labels in order."""
    number = index.names.index(level)
    labels = index.levels[number]
    places: Any = np.asarray(index.codes[number])
    if not labels.is_monotonic_increasing:
        order = labels.argsort()
        labels, places = labels[order], np.argsort(order)[places]
    return places, labels.to_numpy()
