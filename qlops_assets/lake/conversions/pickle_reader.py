"""A pickled DataFrame, as Qlib's StaticDataLoader reads it, as a frame; it is never run.

For people who ask for it, in the command line and in Python; servers do not read pickles.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.calendars import ACCEPTED_DAYS, days_of_text
from qlops_assets.lake.conversions.frames import bars_of, keyed, named
from qlops_assets.lake.conversions.pickle_frame import Level, PlainFrame, frame_of
from qlops_assets.lake.conversions.pickle_records import ACCEPTED, load_records
from qlops_assets.lake.intake.dates import trading_days
from qlops_assets.lake.intake.rows import ALIASES

_LAYOUT: Final = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


def read_pickle(path: Path, *, is_bars: bool = True, timezone: str | None = None) -> pl.DataFrame:
    """Return the frame of a pickled DataFrame.

    Rows are by (datetime, instrument) in any order, as index levels or as columns. Of columns in
    groups (``("feature", "KMID")``) the group goes; of names Qlib's ``$``.

    Args:
        path: The pickle.
        is_bars: Whether a bars frame is returned, or every column as it is called.
        timezone: The zone whose day a time with a zone means; its own where None.

    Raises:
        ConversionError: the pickle names what no DataFrame is made of, is damaged, or has no
            columns of days and codes.
    """
    record = load_records(path)
    try:
        plain = frame_of(record)
    except _LAYOUT as error:
        found = f"is laid out as no DataFrame of pandas 2 is ({error})"
        raise ConversionError(path, found, ACCEPTED) from error
    rows = keyed(_Pickled(path, plain, timezone).rows(), path)
    return bars_of(rows, path) if is_bars else rows


class _Pickled:
    """A DataFrame's parts on their way to our columns."""

    def __init__(self, path: Path, plain: PlainFrame, timezone: str | None) -> None:
        self._path, self._timezone = path, timezone
        self._levels = plain.levels
        self._columns: dict[str, Level] = {}
        for level in plain.columns:
            name = _plain_name(level.name)
            if name in self._columns:
                raise ConversionError(path, f"has two columns {name!r}", "one of a name is needed")
            self._columns[name] = level

    def rows(self) -> pl.DataFrame:
        code, day = self._key(INSTRUMENT), self._key(DATE)
        keys = [self._codes(code), self._days(day)]
        rest = [(n, c) for n, c in self._columns.items() if c is not code and c is not day]
        return pl.DataFrame([*keys, *(self._numbers(name, column) for name, column in rest)])

    def _key(self, ours: str) -> Level:
        names = (ours, *ALIASES[ours])
        for level in (*self._levels, *self._columns.values()):
            if isinstance(level.name, str) and level.name.lower() in names:
                return level
        unnamed = [level for level in self._levels if level.name is None]
        for level in unnamed if len(self._levels) > 1 else []:
            if (level.values.dtype.kind == "M") == (ours == DATE):
                return level
        listed = [level.name for level in self._levels if isinstance(level.name, str)]
        found = f"has no {ours}; index levels: {named(listed)}; columns: {named([*self._columns])}"
        raise ConversionError(self._path, found, ACCEPTED)

    def _codes(self, level: Level) -> pl.Series:
        values = level.values.tolist()
        wrong = [value for value in values if value is not None and not isinstance(value, str)]
        if wrong:
            found = f"its codes are not text, the first is of type {type(wrong[0]).__name__}"
            raise ConversionError(self._path, found, "codes are text: a number loses leading zeros")
        return self._spread(pl.Series(INSTRUMENT, values, dtype=pl.String), level)

    def _days(self, level: Level) -> pl.Series:
        try:
            days = _days_of(level, self._timezone)
        except ValueError as error:
            raise ConversionError(self._path, f"{DATE}: {error}", ACCEPTED_DAYS) from error
        return self._spread(days.alias(DATE), level)

    def _spread(self, values: pl.Series, level: Level) -> pl.Series:
        if level.codes is None:
            return values
        places = pl.Series(level.codes.astype(np.int64))
        return values.gather(places.set(places < 0, None))

    def _numbers(self, name: str, level: Level) -> pl.Series:
        values = level.values
        if values.dtype.kind == "O" and level.codes is None:
            try:
                return pl.Series(name, [None if v is None else float(v) for v in values])
            except (TypeError, ValueError) as error:
                found = f"column {name!r} holds other things than numbers"
                raise ConversionError(self._path, found, "numbers are accepted") from error
        if level.codes is not None or values.dtype.kind not in "fiub":
            kind = "of categories" if level.codes is not None else values.dtype
            found = f"column {name!r} is {kind}"
            raise ConversionError(self._path, found, "numbers are accepted")
        is_small = values.dtype.kind == "f" and values.dtype.itemsize <= 4
        wanted = np.float32 if is_small else np.float64
        return pl.Series(name, np.ascontiguousarray(values, dtype=wanted))


def _plain_name(label: Any) -> str:
    last = label[-1] if isinstance(label, tuple) else label
    return str(last).removeprefix("$")


def _days_of(level: Level, timezone: str | None) -> pl.Series:
    values = level.values
    if values.dtype.kind != "M":
        texts = [None if value is None else str(value) for value in values.tolist()]
        return days_of_text(pl.Series(texts, dtype=pl.String), timezone)
    if level.zone is None:
        return pl.Series(values.astype("M8[D]")).cast(pl.Date)
    unit = np.datetime_data(values.dtype)[0]
    ticks = pa.array(values.astype("<i8"), mask=np.isnat(values))
    instants = ticks.cast(pa.timestamp(unit, level.zone))
    return trading_days(pa.chunked_array([instants]), timezone)
