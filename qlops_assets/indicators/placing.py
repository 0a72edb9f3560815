"""Values of traded bars, put at the rows that are wanted: the last step of computing indicators.

NumPy does it in half the time of Polars: a value is written once, where it belongs, and bits beside
the values tell what is missing, not another copy of them. NumPy lets go of the interpreter
meanwhile, so that threads fill the columns.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from qlops_assets.indicators.market import Market

Numbers = NDArray[Any]
_TYPES: Final[dict[type[pl.DataType], str]] = {pl.Float64: "float64", pl.Float32: "float32"}


def placed(
    market: Market, parts: Iterable[pl.DataFrame], names: Sequence[str], dtype: type[pl.DataType]
) -> pl.DataFrame:
    """Return columns of values with the rows that are wanted.

    Args:
        market: The bars.
        parts: The values, by name, of the wanted traded bars, one part behind the other.
        names: Of the columns.
        dtype: Of the values: ``Float64`` or ``Float32``.

    Returns:
        A value that is not finite is missing, and so is that of a day without trading.
    """
    size = market.traded.size
    columns = [np.empty(size, _TYPES[dtype]) for _ in names]
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        for part, rows, index in _laid(market, parts):
            values = (part.get_column(name) for name in names)
            targets = (column[rows] for column in columns)
            list(pool.map(partial(_fill, index), values, targets))
        series = list(pool.map(partial(_masked, market.traded), names, columns))
    return pl.DataFrame(series)


def _laid(
    market: Market, parts: Iterable[pl.DataFrame]
) -> Iterator[tuple[pl.DataFrame, slice, NDArray[np.intp]]]:
    """Yield each part with the rows that it is for, and the place in it of each row's value.

    A row that was not traded is given the value before it, to be left out later.
    """
    before = np.cumsum(market.traded, dtype=np.intp)  # and the row itself
    place, count = np.maximum(before - 1, 0), int(market.traded.sum())
    done = at = 0
    for part in parts:
        begin, done = done, done + part.height
        end = place.size if done == count else int(np.searchsorted(place, done))
        yield part, slice(at, end), place[at:end] - begin
        at = end


def _fill(index: NDArray[np.intp], values: pl.Series, target: Numbers) -> None:
    numbers = values.to_numpy()  # what is null becomes NaN
    if not numbers.size:
        target.fill(np.nan)
    elif target.dtype == numbers.dtype:
        np.take(numbers, index, out=target, mode="clip")  # nothing is out of bounds
    else:
        with np.errstate(over="ignore"):
            target[:] = numbers[index]


def _masked(traded: NDArray[np.bool_], name: str, values: Numbers) -> pl.Series:
    there = np.isfinite(values)
    there &= traded
    bits = np.packbits(there, bitorder="little")
    buffers = [pa.py_buffer(bits), pa.py_buffer(values)]
    missing = values.size - int(np.count_nonzero(there))
    kind = pa.from_numpy_dtype(values.dtype)
    return pl.Series(name, pa.Array.from_buffers(kind, values.size, buffers, missing))
