"""One source file as rows in our columns, types and codes; or a reason why it cannot be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY, OPTIONAL, PRICES, REQUIRED
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import SettingsError, UnusableFileError, nearest
from qlops_assets.core.settings import Settings
from qlops_assets.lake.instruments import canonical
from qlops_assets.lake.intake.dates import ACCEPTED_DATES, trading_days, zone_of
from qlops_assets.lake.intake.tables import opened

FILE_NAME: Final = "@filename"
NUMBERS: Final = (*PRICES, "volume", *OPTIONAL)
_VERSION: Final = 2  # raise it when the same file would be read otherwise
_ACCEPTED_CODES: Final = (
    "codes are text (a number would lose the leading zeros of 000001) of at most 100 characters "
    "without slashes or control characters"
)
ALIASES: Final = {
    INSTRUMENT: ("symbol", "code", "ticker", "ts_code", "order_book_id", "stock_code", "sid"),
    DATE: ("datetime", "trade_date", "timestamp", "time", "day", "trading_day"),
    "volume": ("vol", "volume_shares", "qty"),
    "close": ("close_price", "last", "px_last"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: which column is which, whose day timestamps mean, what paths mean."""

    columns: Mapping[str, str]
    timezone: str | None
    adjusted: bool
    layout: str = "auto"

    @classmethod
    def of(cls, settings: Settings) -> "Reading":
        """Return the reading that ``[source]`` asks for.

        Raises:
            SettingsError: ``[source.columns]`` maps a column that bars do not have.
        """
        known = (*REQUIRED, *OPTIONAL)
        for name in settings.source.columns:
            if name not in known:
                raise SettingsError(
                    f"[source.columns]: unknown column {name!r}{nearest(name, known)} "
                    f"Known: {', '.join(known)}"
                )
        source = settings.source
        return cls(source.columns, source.timezone, source.adjusted, source.layout)

    @property
    def digest(self) -> str:
        """Digest of the reading: files are read anew where it differs."""
        meaning = [dict(self.columns), self.timezone, self.adjusted, self.layout]
        return value_digest([_VERSION, *meaning])

    def column(self, name: str) -> str:
        """Return what a column is called in the files."""
        return self.columns.get(name, name)


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of one file, sorted by instrument and date, with the zone of its timestamps."""

    frame: pl.DataFrame
    timezone: str | None


def read_rows(
    path: Path,
    *,
    name: str,
    constants: Mapping[str, str],
    reading: Reading,
    required: Sequence[str] = REQUIRED,
    optional: Sequence[str] = OPTIONAL,
) -> FileRows:
    """Read a file's rows into ``instrument, date`` and numbers, NaN as null.

    A missing optional column is null, a missing factor 1. A missing volume is 0: a halt.

    Args:
        path: The bytes to read.
        name: What the user calls the file.
        constants: Columns that its path gives.
        reading: How to read it.
        required: Columns that the file or its path must have.
        optional: Columns that it may have.

    Raises:
        UnusableFileError: the file is not what its name says, or its columns are not what they
            should be.
    """
    with opened(path, name) as file:
        columns = _Columns(file.schema, name, constants, reading).of(required, optional)
        table = file.read(columns)
    if table.num_rows == 0:
        raise UnusableFileError(name, "has no rows", "a file of bars has at least one")
    return _Table(table, columns, name, constants, reading).rows((*required, *optional))


@dataclass(frozen=True, slots=True)
class _Columns:
    """Finds a file's columns."""

    schema: pa.Schema
    name: str
    constants: Mapping[str, str]
    reading: Reading

    def of(self, required: Sequence[str], optional: Sequence[str]) -> dict[str, str]:
        """Return our column name -> the file's, for those that the file itself has."""
        found: dict[str, str] = {}
        for ours in (*required, *optional):
            theirs = self.reading.column(ours)
            if theirs in self.schema.names:
                self._refuse_unfit(ours, theirs, is_needed=ours in required)
                found[ours] = theirs
            elif (ours in required or ours in self.reading.columns) and not (
                theirs in self.constants or theirs == FILE_NAME
            ):
                raise self._missing(ours, theirs)
        return found

    def _refuse_unfit(self, ours: str, theirs: str, *, is_needed: bool) -> None:
        if self.schema.names.count(theirs) > 1:
            raise UnusableFileError(self.name, f"has {theirs!r} more than once", "one is needed")
        kind = self.schema.field(theirs).type
        if pa.types.is_null(kind) and is_needed:
            raise UnusableFileError(self.name, f"column {theirs!r} is empty", f"{ours} is needed")
        if pa.types.is_nested(kind):
            raise UnusableFileError(
                self.name, f"column {theirs!r} is {kind}", "one value is needed"
            )

    def _missing(self, ours: str, wanted: str) -> UnusableFileError:
        lower = {name.lower(): name for name in self.schema.names}
        likely = (wanted.lower(), ours, *ALIASES.get(ours, ()))
        near = next((lower[alias] for alias in likely if alias in lower), None)
        guess = f"; did you mean {near!r}?" if near else nearest(wanted, self.schema.names)
        mapped = "" if wanted == ours else f" (mapped to {ours!r})"
        hint = (
            f'set {ours} = "{near or "its name in the file"}" under [source.columns] in qlops.toml'
        )
        if ours == INSTRUMENT:
            hint += f' ("{FILE_NAME}" where the file is named after its instrument)'
        listed = ", ".join(self.schema.names)
        found = f"has no column {wanted!r}{mapped}{guess or '.'} Found: {listed}"
        return UnusableFileError(self.name, found, hint)


@dataclass(frozen=True, slots=True)
class _Table:
    """A decoded file on its way to our columns."""

    table: pa.Table
    columns: Mapping[str, str]
    name: str
    constants: Mapping[str, str]
    reading: Reading

    def rows(self, wanted: Sequence[str]) -> FileRows:
        dates = self._source_of(DATE)
        numbers = [self._numbers(ours) for ours in wanted if ours not in KEY]
        raw = pl.DataFrame([self._instruments(), self._days(dates), *numbers])
        self._refuse_nulls(raw)
        frame = raw.lazy().with_columns(pl.selectors.float().fill_nan(None)).sort(KEY)
        if "volume" in wanted:
            self._refuse_empty_volume(raw)
            frame = frame.with_columns(pl.col("volume").fill_null(0.0))
        return FileRows(frame.collect(), zone_of(dates.type))

    def _source_of(self, ours: str) -> pa.ChunkedArray:
        if ours in self.columns:
            return self.table.column(self.columns[ours])
        theirs = self.reading.column(ours)
        value = Path(self.name).stem if theirs == FILE_NAME else self.constants[theirs]
        return pa.chunked_array([pa.repeat(pa.scalar(value), self.table.num_rows)])

    def _days(self, dates: pa.ChunkedArray) -> pl.Series:
        try:
            return trading_days(dates, self.reading.timezone).alias(DATE)
        except ValueError as error:
            raise self._unusable(DATE, str(error), ACCEPTED_DATES) from error

    def _instruments(self) -> pl.Series:
        column = self._source_of(INSTRUMENT)
        codes = pl.Series(INSTRUMENT, column)
        if codes.dtype not in (pl.String, pl.Categorical, pl.Enum):
            raise self._unusable(
                INSTRUMENT, f"is {column.type}, its first value is {codes[0]}", _ACCEPTED_CODES
            )
        codes = codes.cast(pl.String)
        mapping: dict[str, str | None] = {}
        try:
            for code in codes.drop_nulls().unique().sort():
                mapping[code] = canonical(code) if code.strip() else None
        except ValueError as error:
            raise self._unusable(INSTRUMENT, f"holds {error}", _ACCEPTED_CODES) from error
        if all(code == ours for code, ours in mapping.items()):
            return codes
        return codes.replace_strict(mapping, return_dtype=pl.String)

    def _numbers(self, ours: str) -> pl.Series:
        if ours not in self.columns and ours in OPTIONAL:
            value = 1.0 if ours == "factor" else None
            return pl.Series(ours, [value], dtype=pl.Float64).new_from_index(0, self.table.num_rows)
        column = self._source_of(ours)
        kind = column.type
        if pa.types.is_null(kind):
            return pl.Series(ours, [None] * len(column), dtype=pl.Float64)
        if not (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        ):
            first = next((v for v in column.slice(0, 10_000).to_pylist() if v is not None), None)
            raise self._unusable(ours, f"is {kind}, its first value is {first!r}", "numbers needed")
        return pl.Series(ours, column.cast(pa.float64(), safe=False))

    def _refuse_nulls(self, frame: pl.DataFrame) -> None:
        for ours in KEY:
            if missing := frame[ours].null_count():
                row = frame[ours].is_null().arg_max()
                raise self._unusable(ours, f"has no value in {missing} rows, first row {row}", "")

    def _refuse_empty_volume(self, frame: pl.DataFrame) -> None:
        # A suspended instrument has no volume and one price; no volume at all and prices that
        # move means that the column was never filled, and every day would count as a halt.
        is_empty = frame["volume"].fill_nan(None).null_count() == frame.height
        prices = frame.group_by(INSTRUMENT).agg(pl.col("close").n_unique()) if is_empty else None
        if prices is not None and (prices["close"] > 1).any():
            raise self._unusable("volume", "is empty while prices move", "volumes are needed")

    def _unusable(self, ours: str, found: str, accepted: str) -> UnusableFileError:
        theirs = self.columns.get(ours, self.reading.column(ours))
        return UnusableFileError(
            self.name, f"column {theirs!r} {found}", accepted or f"every row needs its {ours}"
        )
