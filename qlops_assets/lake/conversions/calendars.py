"""Trading days in one form: dates, sorted, each once."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE
from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.frames import named

ACCEPTED_DAYS: Final = "a day is YYYY-MM-DD, YYYYMMDD or YYYY/MM/DD, with or without a time"
_TEXT: Final = re.compile(
    r"(?P<y>\d{4})(?:-(?P<m>\d\d?)-(?P<d>\d\d?)|/(?P<m1>\d\d?)/(?P<d1>\d\d?)|(?P<m2>\d\d)(?P<d2>\d\d))"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d)?)?"
)


def normalised_days(values: Iterable[Any], *, timezone: str | None = None) -> list[date]:
    """Return trading days sorted, each once.

    Args:
        values: Dates, timestamps (Python's, NumPy's or pandas') or text.
        timezone: The zone whose day a timestamp with a zone means; its own where None.

    Raises:
        ValueError: a value is no day, or which day it means is ambiguous.
    """
    return sorted({day_of(value, timezone) for value in values})


def day_of(value: Any, timezone: str | None = None) -> date:
    """Return the trading day that a value means.

    Raises:
        ValueError: it means none, or it is a UTC time that is not midnight and no zone is given.
    """
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[D]").item()
    if isinstance(value, str):
        return _day_of_text(value.strip(), timezone)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return _local_day(value, timezone)
    if isinstance(value, datetime) and value == value:  # noqa: PLR0124 (pandas' NaT is a datetime)
        return value.date()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError(f"{value!r} is no day")


@lru_cache(maxsize=1 << 15)  # many files have the same days
def _day_of_text(text: str, timezone: str | None) -> date:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no day")
    part = match.groupdict()
    month, day = (part[k] or part[f"{k}1"] or part[f"{k}2"] for k in "md")
    try:
        own = date(int(part["y"]), int(month), int(day))
        if part["zone"] is None:
            return own
        zone = "+00:00" if part["zone"] in {"Z", "UTC"} else part["zone"]
        return _local_day(datetime.fromisoformat(f"{own}T{part['time']}{zone}"), timezone)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no day ({error})") from error


def _local_day(instant: datetime, timezone: str | None) -> date:
    if timezone is not None:
        try:
            return instant.astimezone(ZoneInfo(timezone)).date()
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {timezone!r}") from error
    at_midnight = instant.time().isoformat() == "00:00:00"
    if instant.utcoffset() == timedelta(0) and not at_midnight:
        raise ValueError(
            f"{instant.astimezone(UTC)} is not midnight, so its trading day is ambiguous; "
            'set timezone = "Asia/Shanghai" (or yours) under [source] in qlops.toml'
        )
    return instant.date()


def days_of_text(values: pl.Series, timezone: str | None = None) -> pl.Series:
    """Return the day of every text, null where there is none.

    Raises:
        ValueError: a text is no day, or its day is ambiguous.
    """
    plain = values.str.to_date("%Y-%m-%d", strict=False, exact=True)
    if plain.null_count() == values.null_count():
        return plain
    days = {text: day_of(text, timezone) for text in values.drop_nulls().unique()}
    return values.replace_strict(days, default=None, return_dtype=pl.Date)


def read_calendar(path: Path) -> list[date]:
    """Return the days of a calendar file, one per line.

    Raises:
        ConversionError: the file is missing or empty, or a line is no day or not after the one
            before.
    """
    days: list[date] = []
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            day = day_of(line)
        except ValueError as error:
            raise ConversionError(path, f"line {number}: {error}", ACCEPTED_DAYS) from error
        if days and day <= days[-1]:
            found = f"line {number}: {day} {'again' if day == days[-1] else f'after {days[-1]}'}"
            raise ConversionError(path, found, "days are in order, each once")
        days.append(day)
    if not days:
        raise ConversionError(path, "has no day", ACCEPTED_DAYS)
    return days


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file.

    Raises:
        ConversionError: there is no such file, or it is not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(path, f"cannot be read as text ({error})", "UTF-8 text") from error


def calendar_text(days: Iterable[date]) -> str:
    """Return a calendar file's content: one day per line, in order."""
    return "".join(f"{day}\n" for day in sorted(set(days)))


def require_days(frame: pl.DataFrame, calendar: Sequence[date], where: Path | str) -> None:
    """Refuse a frame with rows on days that are not in the calendar.

    Raises:
        ConversionError: there are such days; the first are named.
    """
    own = frame[DATE].unique().sort()
    foreign = own.filter(~own.is_in(list(calendar))).to_list()
    if foreign:
        found = f"has rows on {len(foreign)} days that are not in the calendar: {named(foreign)}"
        raise ConversionError(where, found, f"it goes from {calendar[0]} to {calendar[-1]}")
