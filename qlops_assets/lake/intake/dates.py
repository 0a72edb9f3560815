"""Which trading day a file's date column means."""

import re
from datetime import timedelta
from typing import Final

import polars as pl
import pyarrow as pa

_FIXED_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)")
ACCEPTED_DATES: Final = "a date column holds dates, timestamps, or text as YYYY-MM-DD or YYYYMMDD"


def zone_of(kind: pa.DataType) -> str | None:
    """Return the time zone of a timestamp type, None for every other type."""
    return kind.tz if pa.types.is_timestamp(kind) else None


def trading_days(column: pa.ChunkedArray, timezone: str | None) -> pl.Series:
    """Return the local day of each row; null where the row has none.

    Args:
        column: Dates; naive timestamps (their own day is taken); timestamps with a zone; text
            or whole numbers as ``YYYY-MM-DD`` or ``YYYYMMDD``.
        timezone: The zone whose day timestamps with a zone mean; their own where None.

    Raises:
        ValueError: the column is of another type, a text is no date, or the day is ambiguous.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if zone_of(kind) is not None:
        return _local_days(column, kind, timezone)
    values = pl.Series("date", column)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return values.cast(pl.Date)
    if pa.types.is_integer(kind) or _is_text(kind):
        return _parsed(values.cast(pl.String))
    raise ValueError(f"is {kind}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _parsed(values: pl.Series) -> pl.Series:
    days = values.str.to_date("%Y-%m-%d", strict=False, exact=True)
    if days.null_count() > values.null_count():
        days = days.fill_null(values.str.to_date("%Y%m%d", strict=False, exact=True))
    if days.null_count() > values.null_count():
        bad = values.filter(days.is_null() & values.is_not_null())[0]
        raise ValueError(f"holds {bad!r}, which is no date")
    return days


def _local_days(column: pa.ChunkedArray, kind: pa.DataType, timezone: str | None) -> pl.Series:
    instants = pl.Series("date", column.cast(pa.timestamp(kind.unit)))
    if timezone is None and kind.tz == "UTC" and not _all_midnight(instants):
        first = instants.drop_nulls()[0]
        raise ValueError(
            f"holds UTC timestamps such as {first} that are not at midnight, so the trading day "
            'is ambiguous; set timezone = "Asia/Shanghai" (or yours) under [source] in qlops.toml'
        )
    zone = timezone or kind.tz
    if offset := _FIXED_OFFSET.fullmatch(zone):
        east = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return (instants + (east if offset[1] == "+" else -east)).dt.date()
    try:
        return instants.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()
    except pl.exceptions.ComputeError as error:
        raise ValueError(f"is in an unknown time zone {zone!r}") from error


def _all_midnight(instants: pl.Series) -> bool:
    return bool((instants.dt.date().cast(instants.dtype) == instants).all())
