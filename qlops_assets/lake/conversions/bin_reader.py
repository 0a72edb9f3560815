"""A Qlib provider folder as a frame: what Qlib would read, checked where Qlib is silent.

Qlib gives NaN, an empty series or other days' values for a damaged file; here it is an error that
names the file and the place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, FIELDS, INSTRUMENT, KEY, OPTIONAL, PRICES
from qlops_assets.core.errors import ConversionError
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.lake.conversions.bin_lists import Listed, listed
from qlops_assets.lake.conversions.calendars import lines_of, read_calendar
from qlops_assets.lake.conversions.frames import bars_of
from qlops_assets.lake.qlib_bin import NAMES_FILE

_SUFFIX: Final = ".day.bin"
_ACCEPTED: Final = (
    "a field's file is little-endian float32: the place of its first value in calendars/day.txt, "
    "then one value per trading day"
)

Floats = NDArray[np.float32]
Values = tuple[int, Floats]


def read_provider(
    folder: Path,
    *,
    instruments: str | Sequence[str] | None = None,
    fields: Sequence[str] = (),
    first: date | None = None,
    last: date | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Return the bars frame of a provider's daily bars.

    A day on which an instrument has no number at all is no row; any other missing number is null.
    Of vwap, amount and factor those are columns that any instrument has.

    Args:
        folder: The provider's folder.
        instruments: A list's name (rows within its spans), codes in any form (every row they
            have), or None for the list ``all``.
        fields: Further fields, such as ``change``, as columns behind the bars'.
        first: Drop earlier days.
        last: Drop later days.
        progress: Is told of every instrument.

    Raises:
        ConversionError: a file is missing or damaged; no row is left.
    """
    reading = _Reading(folder, first, last, progress or Unreported())
    wanted = (*PRICES, "volume", *fields)
    present = [name for name in OPTIONAL if name not in wanted]
    frame = reading.rows(listed(folder, instruments), wanted, present, keeps_empty=False)
    return bars_of(frame.fill_nan(None), folder, tuple(f for f in fields if f not in KEY))


def read_fields(
    folder: Path,
    fields: Sequence[str] | None = None,
    *,
    instruments: str | Sequence[str] | None = None,
    first: date | None = None,
    last: date | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Return fields of a provider as float32 columns; rows are the days of the list's spans.

    Args:
        folder: The provider's folder.
        fields: Their names; where None those of ``fields.txt``, else every field that is not one
            of the bars'.
        instruments: As for :func:`read_provider`.
        first: Drop earlier days.
        last: Drop later days.
        progress: Is told of every instrument.

    Raises:
        ConversionError: a file is missing or damaged; no row is left.
    """
    items = listed(folder, instruments)
    wanted = _field_names(folder, items[0]) if fields is None else list(fields)
    reading = _Reading(folder, first, last, progress or Unreported())
    return reading.rows(items, wanted, (), keeps_empty=True).fill_nan(None)


def _field_names(folder: Path, item: Listed) -> list[str]:
    names = folder / NAMES_FILE
    if names.is_file():
        return [line for line in lines_of(names) if line.strip()]
    stems = sorted(p.name.removesuffix(_SUFFIX) for p in item.home.glob(f"*{_SUFFIX}"))
    found = [stem for stem in stems if stem not in {*FIELDS, *OPTIONAL}]
    if not found:
        raise ConversionError(item.home, "has no field but those of bars", "read it as bars")
    return found


class _Reading:
    """Reads fields of many instruments over one calendar."""

    def __init__(
        self, folder: Path, first: date | None, last: date | None, progress: Progress
    ) -> None:
        self._folder, self._progress = folder, progress
        days = read_calendar(folder / "calendars" / "day.txt")
        self._days = np.array(days, dtype="datetime64[D]")
        self._low = 0 if first is None else self._place(first, "left")
        self._high = len(days) if last is None else self._place(last, "right")

    def rows(
        self,
        items: Sequence[Listed],
        needed: Sequence[str],
        optional: Sequence[str],
        *,
        keeps_empty: bool,
    ) -> pl.DataFrame:
        table = _Table(len(items))
        columns: dict[str, list[Values | None]] = {n: [] for n in (*needed, *optional)}
        for number, item in enumerate(items):
            own = [self._read(item, name, is_needed=name in needed) for name in columns]
            table.add(number, *self._window([v for v in own if v is not None]))
            for parts, values in zip(columns.values(), own, strict=True):
                parts.append(values)
            self._progress.report("read", number + 1, len(items))
        for name in optional:
            if not any(columns[name]):
                del columns[name]
        return self._frame(table, items, columns, keeps_empty=keeps_empty)

    def _read(self, item: Listed, name: str, *, is_needed: bool) -> Values | None:
        path = item.home / f"{name.lower()}{_SUFFIX}"
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            if not is_needed:
                return None
            found = f"there is no field {name!r} of {item.code}"
            raise ConversionError(path, found, "Qlib would read NaN") from error
        return self._checked(path, content)

    def _checked(self, path: Path, content: bytes) -> Values:
        if not content or len(content) % 4:
            raise ConversionError(path, f"holds {len(content)} bytes", _ACCEPTED)
        numbers = np.frombuffer(content, dtype="<f4")
        place, values, days = float(numbers[0]), numbers[1:], len(self._days)
        if not (np.isfinite(place) and place >= 0 and place.is_integer()):
            raise ConversionError(path, f"its first value is at place {place:g}", _ACCEPTED)
        if place >= days or place + len(values) > days:
            found = f"holds {len(values)} values from place {place:g} on, of {days} days"
            raise ConversionError(path, found, _ACCEPTED)
        return int(place), values

    def _window(self, own: Sequence[Values]) -> tuple[int, int]:
        """Return the days, from and up to, for which any field has a value."""
        full = [(place, place + len(values)) for place, values in own if len(values)]
        start = max(self._low, min((low for low, _ in full), default=0))
        return start, max(start, min(self._high, max((high for _, high in full), default=0)))

    def _frame(
        self,
        table: "_Table",
        items: Sequence[Listed],
        columns: dict[str, list[Values | None]],
        *,
        keeps_empty: bool,
    ) -> pl.DataFrame:
        numbers = {name: table.filled(parts) for name, parts in columns.items()}
        kept = self._is_listed(table, items)
        if not keeps_empty:
            kept &= ~np.logical_and.reduce([np.isnan(values) for values in numbers.values()])
        if not kept.any():
            raise ConversionError(self._folder, "has no row of those asked for", "widen the dates")
        row, place = table.rows()
        codes = pl.Series([item.code for item in items])
        return pl.DataFrame(
            {
                INSTRUMENT: codes.gather(row[kept]),
                DATE: self._days[place[kept]],
                **{name: values[kept] for name, values in numbers.items()},
            }
        )

    def _is_listed(self, table: "_Table", items: Sequence[Listed]) -> NDArray[np.bool_]:
        kept = np.ones(table.height, dtype=np.bool_)
        for number, item in enumerate(items):
            if item.spans:
                start, own = table.start(number), kept[table.part(number)]
                own[:] = False
                for first, last in item.spans:
                    low = max(0, self._place(first, "left") - start)
                    own[low : max(0, self._place(last, "right") - start)] = True
        return kept

    def _place(self, day: date, side: str) -> int:
        return int(np.searchsorted(self._days, np.datetime64(day), side=side))  # type: ignore[call-overload]


@dataclass(slots=True)
class _Window:
    """The rows of one instrument: the calendar place of the first, and where they lie."""

    start: int
    rows: slice


class _Table:
    """Rows of all instruments, one after the other, each with a window of the calendar."""

    def __init__(self, instruments: int) -> None:
        self._windows: list[_Window] = [_Window(0, slice(0, 0))] * instruments
        self.height = 0

    def add(self, number: int, start: int, stop: int) -> None:
        rows = slice(self.height, self.height + stop - start)
        self._windows[number] = _Window(start, rows)
        self.height = rows.stop

    def start(self, number: int) -> int:
        return self._windows[number].start

    def part(self, number: int) -> slice:
        return self._windows[number].rows

    def filled(self, parts: Sequence[Values | None]) -> Floats:
        """Return one column, NaN where an instrument has no value."""
        column = np.full(self.height, np.nan, dtype=np.float32)
        for window, part in zip(self._windows, parts, strict=True):
            if part is not None:
                place, values = part
                own = column[window.rows]
                skipped = max(0, window.start - place)
                there = max(0, place - window.start)
                count = max(0, min(len(values) - skipped, len(own) - there))
                own[there : there + count] = values[skipped : skipped + count]
        return column

    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return each row's instrument number and calendar place."""
        lengths = [w.rows.stop - w.rows.start for w in self._windows]
        row = np.repeat(np.arange(len(lengths)), lengths)
        shift = np.array([w.start - w.rows.start for w in self._windows])
        return row, np.arange(self.height) + shift[row]
