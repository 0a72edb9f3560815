"""Monthly Parquet datasets: one file per month, each saying what it was made from.

Every stage of the platform that holds rows by (instrument, date) keeps them so. A file's footer
carries the digest of its rows and of what they were computed from, so a stage can tell in
milliseconds which months it has to compute again.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import xxhash

from qlops_assets.core.atomic import replacing
from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.digests import combined_digest
from qlops_assets.core.errors import CorruptPartitionError, DatasetMissingError, LakeError
from qlops_assets.core.months import month_of
from qlops_assets.core.settings import Settings
from qlops_assets.lake.parquet import write_parquet

_METADATA_KEY: Final = "qlops"
_FILE_NAME: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])\.parquet")
_TEXT: Final = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """What a month's file says about itself.

    Attributes:
        month: The month key, ``2020-01``.
        bytes: Size of the file.
        path: Where it is.
        digest: Of the rows, whatever the compression or the order they came in.
        inputs: Digest of the data the rows were computed from, as the writer gave it.
        code: Digest of the recipe they were computed with, as the writer gave it.
        expressions: What columns that a user defines were computed by, as the writer gave it.
        rows: How many rows the file holds.
    """

    month: str
    bytes: int
    path: Path
    digest: str
    inputs: str
    code: str
    rows: int
    expressions: Mapping[str, str] = field(default_factory=dict)


class MonthlyDataset:
    """Rows keyed by (instrument, date) in ``<folder>/<YYYY-MM>.parquet``.

    Many processes may read while one writes: a month's file is replaced whole.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def write(
        self,
        month: str,
        frame: pl.DataFrame,
        *,
        inputs: str,
        code: str,
        expressions: Mapping[str, str] | None = None,
    ) -> PartitionInfo:
        """Write a month's rows, replacing what the month held.

        Rows are sorted by instrument and date; NaN is written as null, the one word for missing.

        Raises:
            LakeError: a row is not of this month, two rows have the same key, or there is no room
                on the disk; the month is as it was.
        """
        rows = self._checked(month, frame)
        path = self._path(month)
        digest = content_digest(rows)
        facts: dict[str, Any] = {"digest": digest, "inputs": inputs, "code": code}
        facts |= {"rows": rows.height, "expressions": dict(expressions or {})}
        try:
            with replacing(path) as temporary:
                write_parquet(rows, temporary, {_METADATA_KEY: json.dumps(facts)})
                size = temporary.stat().st_size
        except OSError as error:
            raise LakeError(
                f"{self.name}: {month} cannot be written to {path} ({error}); it is as it was"
            ) from error
        return PartitionInfo(month, size, path, **facts)

    def _checked(self, month: str, frame: pl.DataFrame) -> pl.DataFrame:
        days = frame.get_column(DATE)
        ends: list[Any] = [None] if days.null_count() else [days.min(), days.max()]
        foreign = [day for day in ends if not (isinstance(day, date) and month_of(day) == month)]
        if frame.height and foreign:
            raise LakeError(
                f"{self.name}: {month} was given rows of {foreign[0]}; every row must be of {month}"
            )
        if is_ascending(frame):  # as most writers give them; sorting copies every column
            return frame.rechunk()
        rows = frame.sort(KEY)
        repeated = rows.filter(
            (pl.col(INSTRUMENT) == pl.col(INSTRUMENT).shift(1))
            & (pl.col(DATE) == pl.col(DATE).shift(1))
        )
        if repeated.height:
            instrument, day = repeated.row(0, named=True)[INSTRUMENT], repeated[DATE][0]
            raise LakeError(
                f"{self.name}: {month} was given {repeated.height} repeated keys, the first "
                f"{instrument} {day}; (instrument, date) must be unique"
            )
        return rows

    def info(self, month: str) -> PartitionInfo | None:
        """Return what a month's footer says, or None where the month has no file.

        Raises:
            CorruptPartitionError: the file is damaged or was not written by this class.
        """
        path = self._path(month)
        try:
            size = path.stat().st_size
            facts = json.loads(pl.read_parquet_metadata(path)[_METADATA_KEY])
            return PartitionInfo(month, size, path, **facts)
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptPartitionError(path, "its footer has no record of its content") from error
        except (pl.exceptions.PolarsError, OSError) as error:
            raise CorruptPartitionError(path, f"its footer cannot be read ({error})") from error

    def infos(self) -> dict[str, PartitionInfo]:
        """Return what the footer of every month says, by month in order."""
        found = {month: self.info(month) for month in self.months()}
        return {month: info for month, info in found.items() if info is not None}

    def months(self) -> list[str]:
        """Return the months that have a file, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(p.stem for p in self.folder.iterdir() if _FILE_NAME.fullmatch(p.name))

    def state(self) -> tuple[tuple[str, int, int], ...]:
        """Return what is another whenever a month was written: names, times and sizes of files."""
        found = []
        for month in self.months():
            stat = self._path(month).stat()
            found.append((month, stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def columns(self, month: str) -> list[str]:
        """Return the names of a month's columns beside the key.

        Raises:
            CorruptPartitionError: the file is damaged.
            DatasetMissingError: the month has no file.
        """
        (path,) = self._existing([month], empty=False)
        try:
            return [name for name in pl.read_parquet_schema(path) if name not in KEY]
        except (pl.exceptions.PolarsError, OSError) as error:
            raise CorruptPartitionError(path, f"its footer cannot be read ({error})") from error

    def remove(self, month: str) -> None:
        """Remove a month; nothing happens where it has no file."""
        self._path(month).unlink(missing_ok=True)

    def stale(self, wanted: Mapping[str, str], code: str) -> list[str]:
        """Return the months to compute: those missing, or made from other inputs or other code.

        Args:
            wanted: Month to the digest of what it should be made from.
            code: Digest of the recipe.
        """
        return [
            month for month in sorted(wanted) if not self._is_made_of(month, wanted[month], code)
        ]

    def _is_made_of(self, month: str, inputs: str, code: str) -> bool:
        try:
            info = self.info(month)
        except CorruptPartitionError:
            return False
        return info is not None and (info.inputs, info.code) == (inputs, code)

    def read(
        self,
        months: Iterable[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> pl.DataFrame:
        """Return rows sorted by instrument and date.

        Args:
            months: Only these; every month that has a file where None.
            columns: Only these beside instrument and date, in this order; all where None.
            first: Drop earlier days.
            last: Drop later days.

        Raises:
            DatasetMissingError: a month asked for has no file, or there is none at all.
            CorruptPartitionError: a file is damaged.
        """
        wanted = self.months() if months is None else sorted(set(months))
        paths = self._existing([m for m in wanted if _overlaps(m, first, last)], empty=not wanted)
        if not paths:
            paths = self._existing(wanted[:1], empty=False)  # its schema, with no row left
        rows = pl.scan_parquet(paths)
        if first is not None:
            rows = rows.filter(pl.col(DATE) >= first)
        if last is not None:
            rows = rows.filter(pl.col(DATE) <= last)
        if columns is not None:
            rows = rows.select(*KEY, *(c for c in columns if c not in KEY))
        try:
            found = rows.collect()
        except pl.exceptions.ColumnNotFoundError as error:
            raise LakeError(f"{self.name}: no such column: {error}") from error
        except (pl.exceptions.ComputeError, OSError) as error:
            raise self._culprit(paths, error) from error
        # Each is in order, and they were read one after the other. Sorted after the query, not in
        # it: that takes twice as long.
        return found.sort(INSTRUMENT, maintain_order=True) if len(paths) > 1 else found

    def scan(self) -> pl.LazyFrame:
        """Return every row lazily, in no particular order.

        Raises:
            DatasetMissingError: no month has a file.
        """
        return pl.scan_parquet(self._existing(self.months(), empty=True))

    def verify(self, month: str) -> PartitionInfo:
        """Read a month and compare its rows with the digest in its footer.

        Raises:
            DatasetMissingError: the month has no file.
            CorruptPartitionError: the rows are not those that were written.
        """
        rows = self.read([month])
        info = self.info(month)
        if info is None or content_digest(rows) != info.digest:
            raise CorruptPartitionError(self._path(month), "its rows differ from its digest")
        return info

    def _path(self, month: str) -> Path:
        return self.folder / f"{month}.parquet"

    def _existing(self, months: Sequence[str], *, empty: bool) -> list[Path]:
        missing = [month for month in months if not self._path(month).is_file()]
        if missing or (empty and not months):
            raise DatasetMissingError(self.name, missing, f"materialize {self.name} first")
        return [self._path(month) for month in months]

    def _culprit(self, paths: Sequence[Path], error: Exception) -> LakeError:
        for path in paths:
            try:
                pl.read_parquet(path)
            except (pl.exceptions.PolarsError, OSError) as reason:
                return CorruptPartitionError(path, f"it cannot be read ({reason})")
        return LakeError(f"{self.name}: cannot be read: {error}")


def by_month(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the rows of each month, ascending, in the order in which they are.

    Rows without a date are of none. All are put in order of their months at once, and cut:
    partitioning takes Polars three times as long.
    """
    days = rows.get_column(DATE)
    if days.null_count():
        return by_month(rows.filter(days.is_not_null()))
    months = days.dt.month_start().to_numpy()
    order = np.argsort(months, kind="stable")
    rows, months = rows[order], months[order]
    ends = [0, *(np.flatnonzero(months[1:] != months[:-1]) + 1).tolist(), len(months)]
    return {
        month_of(months[start].item()): rows.slice(start, end - start)
        for start, end in pairwise(ends)
        if start < end
    }


def is_ascending(frame: pl.DataFrame) -> bool:
    """Whether every row has a key, above that of the row before."""
    code, day = frame.get_column(INSTRUMENT), frame.get_column(DATE)
    if code.null_count() or day.null_count():
        return False
    # Series, not expressions: a writer among others would wait for Polars' threads each time.
    later, before = code.slice(1), code.head(frame.height - 1)
    is_next_day = day.slice(1) > day.head(frame.height - 1)
    return bool(((later > before) | ((later == before) & is_next_day)).all())


def _overlaps(month: str, first: date | None, last: date | None) -> bool:
    return (first is None or month >= month_of(first)) and (last is None or month <= month_of(last))


def content_digest(frame: pl.DataFrame) -> str:
    """Return the xxh3_128 of a frame's rows: names, types, values and their order, no encoding.

    NaN counts as null and -0.0 as 0.0; categories count as their text.
    """
    digest = xxhash.xxh3_128()
    digest.update(str(frame.height).encode())
    for dtype, columns in groupby(frame.iter_columns(), key=lambda column: column.dtype):
        if dtype.is_float():
            _update_numbers(digest, list(columns))
            continue
        for column in columns:
            _update(digest, column.cast(pl.String) if dtype in _TEXT else column)
    return digest.hexdigest()


def _update_numbers(digest: xxhash.xxh3_128, columns: Sequence[pl.Series]) -> None:
    """Add columns of floats of one width. As a matrix: a month has 158, and calls add up."""
    values = pl.DataFrame(columns).to_numpy(order="fortran", writable=True)  # null as NaN
    missing = np.isnan(values)
    np.copyto(values, 0, where=missing)
    values += values.dtype.type(0)  # of -0.0 it makes 0.0
    for place, column in enumerate(columns):
        count = int(np.count_nonzero(missing[:, place]))
        digest.update(_head(column, count))
        if count:
            digest.update(np.packbits(missing[:, place]).tobytes())
        digest.update(np.ascontiguousarray(values[:, place]).data)


def _update(digest: xxhash.xxh3_128, column: pl.Series) -> None:
    digest.update(_head(column, column.null_count()))
    if column.null_count():
        digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
    if column.dtype == pl.String:
        filled = column.fill_null("")
        digest.update(filled.str.len_bytes().to_numpy().tobytes())
        digest.update("".join(filled.to_list()).encode())
        return
    values = column.to_physical().cast(_stored(column.dtype)).fill_null(0)
    digest.update(values.to_numpy().tobytes())


def _head(column: pl.Series, missing: int) -> bytes:
    return f"\n{column.name}\t{column.dtype}\t{missing}\n".encode()


def _stored(dtype: pl.DataType) -> pl.DataType | type[pl.DataType]:
    if dtype == pl.Boolean:
        return pl.UInt8
    return dtype if dtype.is_integer() else pl.Int64  # dates and times, as days or ticks


def bars_dataset(settings: Settings) -> MonthlyDataset:
    """Return the dataset of cleaned, adjusted daily bars of this source."""
    return MonthlyDataset(settings.lake / "bars", "bars")


def snapshot_digest(settings: Settings) -> str:
    """Return the digest of all bars of the lake: the data version of a training or a report.

    Raises:
        DatasetMissingError: there are no bars.
    """
    infos = bars_dataset(settings).infos()
    if not infos:
        raise DatasetMissingError("bars", [], "materialize raw_bars and bars first")
    return combined_digest(infos[month].digest for month in sorted(infos))
