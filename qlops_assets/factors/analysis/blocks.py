"""Factor frames as blocks of whole days: what the kernels work on.

Factors come as one frame or as frames that follow each other in time, such as the months of the
store. Either way only some days' values are in memory at a time, besides what the caller holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.errors import FactorError, nearest
from qlops_assets.factors.analysis.returns import Closes, places_of

CELLS: Final = 1 << 21  # of a block: 16 MB
COPIED_BYTES: Final = 1 << 30  # a frame in many pieces is read slowly; up to here it is copied
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole days of factor values.

    Attributes:
        days: Row of each day in the calendar of the closes.
        starts: Where each day's rows start, and where the last one's end.
        places: Of each row's instrument among those with bars; -1 for one without.
        values: (factor × row), NaN where there is none.
    """

    days: NDArray[np.int64]
    starts: NDArray[np.int64]
    places: NDArray[np.int32]
    values: NDArray[np.float64]


class Members:
    """The rows that a universe has."""

    def __init__(self, members: pl.DataFrame, first: int, last: int) -> None:
        codes = members[INSTRUMENT].cast(pl.String)
        self._codes = codes.unique().sort().to_list()
        days = members[DATE].to_physical().cast(pl.Int64).to_numpy()
        keys = _keys(days, places_of(codes, self._codes), len(self._codes))
        inside = (days >= first) & (days <= last)
        self._keys = np.unique(keys[inside])
        self.count = int(self._keys.size)

    def among(self, rows: pl.DataFrame) -> NDArray[np.bool_]:
        """Return for each row whether its instrument was a member on its day."""
        if not self.count:
            return np.zeros(rows.height, dtype=bool)
        places = places_of(rows[INSTRUMENT], self._codes)
        keys = _keys(rows[DATE].to_physical().to_numpy(), places, len(self._codes))
        at = np.minimum(np.searchsorted(self._keys, keys), self.count - 1)
        found: NDArray[np.bool_] = (self._keys[at] == keys) & (places >= 0)
        return found


def _keys(days: NDArray[np.integer], places: NDArray[np.int32], width: int) -> NDArray[np.int64]:
    """Return numbers in the order of days, then of places, of which -1 is the first."""
    return days.astype(np.int64) * (width + 1) + places + 1


def names_of(columns: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Return the factors of a frame that are wanted.

    Raises:
        FactorError: a column of the key is missing, or there is no such factor, or none at all.
    """
    missing = [name for name in KEY if name not in columns]
    if missing:
        raise FactorError(
            f"factor frame: found columns {', '.join(columns[:8])}; needs {', '.join(missing)} too"
        )
    known = [name for name in columns if name not in KEY]
    for name in wanted or ():
        if name not in known:
            raise FactorError(
                f"factor frame: unknown factor {name!r}{nearest(name, known)} "
                f"Known: {', '.join(known[:8])}{' …' if len(known) > 8 else ''}"
            )
    names = list(known if wanted is None else wanted)
    if not names or len(set(names)) < len(names):
        raise FactorError(f"factor frame: found factors {names}; needs at least one, each once")
    return names


@dataclass(frozen=True, slots=True)
class Part:
    """Some whole days of a factor frame, not yet read.

    Attributes:
        frame: Whose rows they are.
        names: Of the factors.
        order: Places of the rows in the frame, in order of days.
    """

    frame: pl.DataFrame
    names: list[str]
    order: NDArray[np.int64]

    @property
    def first_day(self) -> int:
        """The first day, as days since 1970."""
        return int(self.frame[DATE].to_physical()[int(self.order[0])])


def parts_in_order(
    factors: pl.DataFrame | Iterable[pl.DataFrame],
    names: Sequence[str] | None,
    first: int,
    last: int,
) -> Iterator[Part]:
    """Yield the rows of some days, in order of days.

    Raises:
        FactorError: a frame starts before the one before it has ended, or has other columns.
    """
    frames = [factors] if isinstance(factors, pl.DataFrame) else factors
    reached: date | None = None
    expected: list[str] | None = None
    for frame in frames:
        found = names_of(frame.columns, names)
        if expected is not None and found != expected:
            raise FactorError(
                f"factor frames: one has {len(found)} factors from {found[0]!r} on, another "
                f"{len(expected)} from {expected[0]!r} on; all need the same in the same order"
            )
        expected = found
        if frame.is_empty():
            continue
        begins, ends = frame[DATE].min(), frame[DATE].max()
        if not isinstance(begins, date) or not isinstance(ends, date):
            raise FactorError(f"factor frame: {DATE} is {frame[DATE].dtype}, must be a date")
        if reached is not None and begins <= reached:
            raise FactorError(
                f"factor frames: one starts on {begins}, another has reached {reached}; give them "
                "in order of days, each with all instruments of its days"
            )
        reached = ends
        yield from _parts(frame, found, first, last)


def _parts(frame: pl.DataFrame, names: list[str], first: int, last: int) -> Iterator[Part]:
    if frame.estimated_size() <= COPIED_BYTES:
        frame = frame.select(*KEY, *names).rechunk()
    days = frame[DATE].to_physical().to_numpy()
    order = np.argsort(days, kind="stable")
    from_first, to_last = np.searchsorted(days[order], [first, last + 1])
    order = order[from_first:to_last]
    ordered = days[order]
    most_rows = max(1, CELLS // len(names))
    start = 0
    while start < order.size:
        end = min(order.size, start + most_rows)
        if end < order.size:  # whole days: back to the start of a day, or on to the end of one
            whole = int(np.searchsorted(ordered, ordered[end], side="left"))
            end = whole if whole > start else int(np.searchsorted(ordered, ordered[end], "right"))
        yield Part(frame, names, order[start:end])
        start = end


def as_block(part: Part, closes: Closes, members: Members | None) -> Block:
    """Return the rows of a part by day and instrument; only those of members.

    Raises:
        FactorError: a day has no bar, a row is there twice, or a factor is not numeric.
    """
    order, key = part.order, part.frame.select(KEY)[part.order]
    if members is not None:
        inside = members.among(key)
        order, key = order[inside], key.filter(pl.Series(inside, dtype=pl.Boolean))
    dates, places = (
        key[DATE].to_physical().to_numpy(),
        places_of(key[INSTRUMENT], closes.instruments),
    )
    keys = _keys(dates, places, len(closes.instruments))
    if (keys[1:] < keys[:-1]).any():  # sums are rounded by the order of their terms
        sorting = np.argsort(keys, kind="stable")
        order, places, keys = order[sorting], places[sorting], keys[sorting]
    if (twice := np.flatnonzero((keys[1:] == keys[:-1]) & (places[1:] >= 0))).size:
        code, day = part.frame.select(INSTRUMENT, DATE).row(int(order[twice[0]]))
        raise FactorError(
            f"factor frame: {code} has two rows on {day}; needs one per instrument and day"
        )
    days, starts = np.unique(dates, return_index=True)
    calendar = np.minimum(np.searchsorted(closes.days, days), closes.days.size - 1)
    unknown = days[closes.days[calendar] != days]
    if unknown.size:
        day = _EPOCH + timedelta(days=int(unknown[0]))
        raise FactorError(f"factor frame: has rows on {day}, on which no instrument has a bar")
    bounds = np.append(starts, order.size).astype(np.int64)
    return Block(calendar.astype(np.int64), bounds, places, _values(part, order))


def _values(part: Part, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (factor × row) in 64 bits, whatever the factors have: the kernels know one kind."""
    values = np.empty((len(part.names), order.size))
    for place, name in enumerate(part.names):
        column = part.frame[name]
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            raise FactorError(f"factor {name!r}: is {column.dtype}, must be numbers")
        if column.dtype.is_float() and column.n_chunks() == 1 and not column.null_count():
            values[place] = column.to_numpy()[order]  # a view of it: much faster than gathering
        else:
            values[place] = column.gather(order).cast(pl.Float64).fill_null(np.nan)
    return values
