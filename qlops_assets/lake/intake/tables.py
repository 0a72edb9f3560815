"""Kept bytes as a table: Parquet, CSV, or an instrument of a Qlib provider."""

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from qlops_assets.core.columns import DATE, KEY
from qlops_assets.core.errors import UnusableFileError
from qlops_assets.lake.intake.csv_text import cells_of, header_of, numbers_of
from qlops_assets.lake.sources.layout import CSV, PARQUET
from qlops_assets.lake.sources.qlib_store import DAYS, SUFFIX, members_of

_ARCHIVED: Final = "provider's instrument"


class Table(Protocol):
    """A file of rows that is open."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        ...

    def read(self, columns: Mapping[str, str]) -> pa.Table:
        """Return columns of all rows: our name -> the file's."""
        ...


@contextmanager
def opened(path: Path, name: str) -> Iterator[Table]:
    """Open kept bytes.

    Args:
        path: Where they are.
        name: What the user calls the file; its ending says what it is.

    Raises:
        UnusableFileError: they are not what the name says.
    """
    form = form_of(name)
    try:
        with _opened(path, form) as table:
            yield table
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnusableFileError(
            name, f"is not a readable {form} file ({reason})", "write it again"
        ) from error


def form_of(name: str) -> str:
    """Return what a file of that name is: ``Parquet``, ``CSV``, or one of a provider's."""
    if name.lower().endswith(PARQUET):
        return "Parquet"
    return "CSV" if name.lower().endswith(CSV) else _ARCHIVED


def is_adjusted(name: str) -> bool:
    """Whether prices of such a file are adjusted by themselves, as those of a provider are."""
    return form_of(name) == _ARCHIVED


@contextmanager
def _opened(path: Path, form: str) -> Iterator[Table]:
    if form == "Parquet":
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield _Parquet(file)
    elif form == "CSV":
        content = path.read_bytes()
        yield _Cells(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    else:
        yield _Fields.of(members_of(path))


@dataclass(frozen=True, slots=True)
class _Parquet:
    file: Any

    @property
    def schema(self) -> pa.Schema:
        return self.file.schema_arrow

    def read(self, columns: Mapping[str, str]) -> pa.Table:
        return self.file.read(columns=sorted(set(columns.values())))


@dataclass(frozen=True, slots=True)
class _Cells:
    """CSV. Codes and days stay text: a number would lose the leading zeros of 000001."""

    content: bytes

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in header_of(self.content) if name])

    def read(self, columns: Mapping[str, str]) -> pa.Table:
        cells = cells_of(self.content)
        texts = {theirs for ours, theirs in columns.items() if ours in KEY}
        read = [
            cells[name].str.strip_chars().replace("", None)
            if name in texts
            else numbers_of(cells, name)
            for name in sorted(set(columns.values()))
        ]
        return pl.DataFrame(read).to_arrow()


@dataclass(frozen=True, slots=True)
class _Fields:
    """Fields of an instrument, and its days.

    A day on which it has no number at all is no row, as in Qlib.
    """

    days: np.ndarray
    fields: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, members: Mapping[str, bytes]) -> "_Fields":
        begin, *days = np.frombuffer(members[DAYS], "<i4")
        fields = {}
        for file, content in members.items():
            if file == DAYS:
                continue
            start, *values = np.frombuffer(content, "<f4").astype(np.float64)
            column = np.full(len(days), np.nan)
            column[int(start) - begin :][: len(values)] = values
            fields[file.removesuffix(SUFFIX)] = column
        return cls(np.array(days, np.int32), fields)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(DATE, pa.date32()), *((name, pa.float64()) for name in self.fields)])

    def read(self, columns: Mapping[str, str]) -> pa.Table:
        wanted = sorted(set(columns.values()) - {DATE})
        values = np.array([self.fields[name] for name in wanted])
        some = ~np.isnan(values).all(axis=0)
        days = pa.array(self.days[some]).cast(pa.date32())
        return pa.table([days, *(pa.array(row[some]) for row in values)], [DATE, *wanted])
