"""The table in Lance: the one door to it.

Every method leaves the table at a new version of Lance's, or as it was. Which of its versions may
be seen is decided by :mod:`publications`.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from qlops_assets.core.columns import DATE, INSTRUMENT

KEYS: Final = [DATE, INSTRUMENT]
_ROWS_PER_FILE: Final = 200_000
# In this format of Lance's a column is as wide on disk as in memory and is given as it was read;
# the later ones pack it, which random mantissas do not yield to, and a frame takes thrice as long.
_FORMAT: Final = "2.0"
# Wide batches decode two to three times as fast as Lance's own 8,192 rows.
_BATCH_ROWS: Final = 131_072
Dataset = Any


@dataclass(frozen=True, slots=True)
class Merged:
    """Rows that a merge changed."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def __add__(self, other: "Merged") -> "Merged":
        return Merged(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
        )


def table_schema(columns: Sequence[str]) -> pa.Schema:
    """Return the schema: keys and values are never null, a missing value is NaN.

    Without a validity bitmap a column is decoded faster, and is a matrix's column as it is.
    """
    values = [pa.field(name, pa.float32(), nullable=False) for name in columns]
    keys = [pa.field(DATE, pa.date32(), nullable=False)]
    return pa.schema([*keys, pa.field(INSTRUMENT, pa.string(), nullable=False), *values])


def table_rows(frame: pl.DataFrame, columns: Sequence[str]) -> pa.Table:
    """Return rows in the table's schema and order: by date and instrument.

    Args:
        frame: Keys and values, by instrument and date.
        columns: Of the table; NaN where the frame has none.
    """
    order = np.argsort(frame.get_column(DATE).to_physical().to_numpy(), kind="stable")
    # One matrix, and its rows as columns: what is done to each of hundreds adds up.
    missing = pl.lit(np.nan, pl.Float32)
    given = set(frame.columns)
    values = frame.select(
        pl.col(name).cast(pl.Float32) if name in given else missing.alias(name) for name in columns
    ).to_numpy(order="fortran")  # null as NaN
    matrix = np.empty((len(columns), frame.height), np.float32)
    np.take(values.T, order, axis=1, out=matrix, mode="clip")  # other modes copy once more
    instruments = frame.get_column(INSTRUMENT).cast(pl.String).gather(order)
    arrays = [
        frame.get_column(DATE).gather(order).to_arrow(),
        instruments.to_arrow().cast(pa.string()),
        *map(pa.array, matrix),
    ]
    return pa.Table.from_arrays(arrays, schema=table_schema(columns))


class LanceTable:
    """``<folder>``, a Lance dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        """Whether it has any version."""
        return any((self.folder / "_versions").glob("*.manifest"))

    def at(self, version: int) -> Dataset:
        """Return the table as it was at a version.

        Raises:
            ValueError: that version is gone.
        """
        import lance

        return lance.dataset(str(self.folder), version=version)

    def latest(self) -> Dataset:
        """Return the table's newest version, published or not."""
        import lance

        return lance.dataset(str(self.folder))

    def rewrite(self, rows: Iterator[pa.RecordBatch], schema: pa.Schema) -> int:
        """Replace all rows, whatever columns there were; return the new version."""
        import lance

        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self.folder.is_dir() and not self.exists:
            shutil.rmtree(self.folder)  # its first version was never finished
        reader = pa.RecordBatchReader.from_batches(schema, rows)
        mode = "overwrite" if self.exists else "create"
        lance.write_dataset(
            reader,
            str(self.folder),
            mode=mode,
            max_rows_per_file=_ROWS_PER_FILE,
            data_storage_version=_FORMAT,
        )
        dataset = self.latest()
        dataset.create_scalar_index(DATE, "BTREE", replace=True)
        return int(self.latest().version)

    def merge(self, rows: pa.Table, replaced: tuple[date, date] | None = None) -> Merged:
        """Insert rows, or update those with their keys.

        Args:
            rows: Of the table's schema.
            replaced: First and last day of which all other rows go.
        """
        merge = self.latest().merge_insert(KEYS)
        merge = merge.when_matched_update_all().when_not_matched_insert_all()
        if replaced is not None:
            merge = merge.when_not_matched_by_source_delete(between(*replaced))
        done = merge.execute(rows)
        counts = (done[f"num_{what}_rows"] for what in ("inserted", "updated", "deleted"))
        return Merged(*map(int, counts))

    def delete(self, first: date, last: date) -> Merged:
        """Delete the rows of some days."""
        dataset = self.latest()
        count = dataset.count_rows(between(first, last))
        if count:
            dataset.delete(between(first, last))
        return Merged(deleted=int(count))

    def return_to(self, version: int) -> None:
        """Make a version the newest again, where a writer was killed after it."""
        if self.latest().version != version:
            self.at(version).restore()

    def tags(self) -> dict[str, int]:
        """Return version by tag."""
        if not self.exists:
            return {}
        return {name: int(tag["version"]) for name, tag in self.latest().tags.list().items()}

    def tag(self, name: str, version: int) -> None:
        """Set a tag, also where it named another version."""
        tags = self.latest().tags
        (tags.update if name in tags.list() else tags.create)(name, version)

    def untag(self, name: str) -> None:
        """Take a tag away; nothing happens where there is none."""
        tags = self.latest().tags
        if name in tags.list():
            tags.delete(name)

    def clean_up(self) -> int:
        """Remove every version but the newest that no tag names; return the bytes.

        To be called by the only writer: it also takes what killed writers left.
        """
        done = self.latest().cleanup_old_versions(
            older_than=timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False
        )
        return int(done.bytes_removed)

    def size(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        sizes = [p.stat().st_size for p in self.folder.rglob("*") if p.is_file()]
        return len(sizes), sum(sizes)


def between(first: date, last: date) -> str:
    """Return the condition that a row is of one of these days."""
    return f"{DATE} >= {literal(first)} AND {DATE} <= {literal(last)}"


def literal(day: date) -> str:
    """Return a day as conditions write it."""
    return f"date '{day.isoformat()}'"


def scanned(
    dataset: Dataset,
    columns: Sequence[str],
    fragments: Sequence[Any] | None = None,
    condition: str | None = None,
) -> pa.Table:
    """Return columns of all rows, or of fragments, that meet a condition; in no order.

    Columns are decoded whole before rows are chosen: reading a frame is many times faster so.
    """
    return dataset.scanner(
        columns=list(columns),
        filter=condition,
        fragments=None if fragments is None else list(fragments),
        late_materialization=False,
        use_scalar_index=False,
        batch_size=_BATCH_ROWS,
    ).to_table()


def of_day(dataset: Dataset, columns: Sequence[str], day: date) -> pa.Table:
    """Return columns of a day's rows, found by the index."""
    return dataset.to_table(columns=list(columns), filter=f"{DATE} = {literal(day)}")
