"""What every form is made from and read into: one row per (instrument, date), canonical, sorted."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY, OPTIONAL, REQUIRED
from qlops_assets.core.errors import ConversionError, nearest
from qlops_assets.lake.instruments import canonical_codes

ACCEPTED_CODES: Final = (
    "a code is text of at most 100 characters without slashes or control characters, written in "
    "one way only"
)
_ONE_ROW: Final = "one row per instrument and day is accepted"
_SHOWN: Final = 3


def keyed(frame: pl.DataFrame, where: Path | str) -> pl.DataFrame:
    """Return a frame with canonical codes, sorted by instrument and date, NaN as null.

    Raises:
        ConversionError: a key column is missing, empty somewhere or of another type; two spellings
            mean the same instrument; a key is there twice; a column is no number; there is no row.
    """
    _refuse_unfit(frame, where)
    numbers = [name for name in frame.columns if name not in KEY]
    rows = with_canonical_codes(frame, where).select(*KEY, *numbers)
    rows = rows.with_columns(pl.selectors.float().fill_nan(None)).sort(KEY)
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in KEY)
    repeated = rows.filter(same)
    if repeated.height:
        code, day = repeated.row(0)[:2]
        raise ConversionError(where, f"has more than one row of {code} on {day}", _ONE_ROW)
    return rows


def _refuse_unfit(frame: pl.DataFrame, where: Path | str) -> None:
    missing = [name for name in KEY if name not in frame.columns]
    if missing:
        raise _no_column(where, missing[0], frame.columns)
    if frame.is_empty():
        raise ConversionError(where, "has no row", "at least one row is needed")
    for name in KEY:
        if count := frame[name].null_count():
            raise ConversionError(where, f"{count} rows have no {name}", f"every row needs {name}")
    if frame.schema[DATE] != pl.Date:
        found = f"column {DATE!r} is {frame.schema[DATE]}"
        raise ConversionError(where, found, "a column of days (Date) is accepted")
    for name, kind in frame.schema.items():
        if name not in KEY and not kind.is_numeric():
            raise ConversionError(where, f"column {name!r} is {kind}", "numbers are accepted")


def with_canonical_codes(frame: pl.DataFrame, where: Path | str) -> pl.DataFrame:
    """Return the frame with its codes as Qlib writes them.

    Raises:
        ConversionError: a code is not text or impossible, or two mean the same instrument.
    """
    codes = frame[INSTRUMENT]
    if codes.dtype not in (pl.String, pl.Categorical, pl.Enum):
        found = f"its codes are {codes.dtype}, the first is {codes[0]}"
        raise ConversionError(where, found, ACCEPTED_CODES)
    text = codes.cast(pl.String)
    try:
        mapping = canonical_codes(text.unique())
    except ValueError as error:
        raise ConversionError(where, f"holds {error}", ACCEPTED_CODES) from error
    if any(code != ours for code, ours in mapping.items()):
        text = text.replace_strict(mapping, return_dtype=pl.String)
    return frame.with_columns(text.alias(INSTRUMENT))


def bars_of(frame: pl.DataFrame, where: Path | str, extra: Sequence[str] = ()) -> pl.DataFrame:
    """Return the columns of a bars frame, numbers as float64, with the extra ones behind them.

    Raises:
        ConversionError: a column is missing.
    """
    wanted = (*REQUIRED, *(name for name in OPTIONAL if name in frame.columns), *extra)
    for name in wanted:
        if name not in frame.columns:
            raise _no_column(where, name, frame.columns)
    columns = list(dict.fromkeys(wanted))
    return frame.select(pl.col(n) if n in KEY else pl.col(n).cast(pl.Float64) for n in columns)


def _no_column(where: Path | str, name: str, columns: Sequence[str]) -> ConversionError:
    listed = ", ".join(columns[:20]) + (" …" if len(columns) > 20 else "")
    found = f"has no column {name!r}{nearest(name, list(columns)) or '.'} Found: {listed}"
    return ConversionError(where, found, f"bars have {', '.join(REQUIRED)}; factors their keys")


def as_float32(frame: pl.DataFrame, where: Path | str) -> pl.DataFrame:
    """Return the frame with its numbers as float32.

    Raises:
        ConversionError: a finite number is beyond what float32 holds.
    """
    numbers = [name for name in frame.columns if name not in KEY]
    small = frame.with_columns(pl.col(numbers).cast(pl.Float32))
    grown = frame.select(pl.col(n).is_finite() & small[n].is_infinite() for n in numbers)
    for name in numbers:
        if grown[name].any():
            code, day = frame.filter(grown[name]).row(0)[:2]
            raise ConversionError(
                where,
                f"{name} of {code} on {day} is {frame.filter(grown[name])[name][0]:g}",
                "Qlib's forms hold float32, at most 3.4e38",
            )
    return small


def within(frame: pl.DataFrame, first: date | None, last: date | None) -> pl.DataFrame:
    """Return the rows from ``first`` to ``last``, both included."""
    if first is not None:
        frame = frame.filter(pl.col(DATE) >= first)
    return frame if last is None else frame.filter(pl.col(DATE) <= last)


def named(values: Sequence[object]) -> str:
    """Return the first few of many for a message."""
    rest = len(values) - _SHOWN
    return ", ".join(map(str, values[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")
