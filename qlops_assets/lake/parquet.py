"""Rows written as a Parquet file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa


def write_parquet(rows: pl.DataFrame, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a file of the rows, NaN as null, with texts of the caller's in its footer.

    Arrow writes it, not Polars, which looks in every column of numbers for repeated values first,
    a third of the time of a month of factors, and does not say of every full disk that it was one.
    Numbers in single precision are left as they are: compressed they would be a seventh smaller,
    and take twice as long to read.

    Raises:
        OSError: it cannot be written.
    """
    import pyarrow.parquet as pq

    table = pa.Table.from_arrays([_array(column) for column in rows.iter_columns()], rows.columns)
    single = {name for name, dtype in rows.schema.items() if dtype == pl.Float32}
    others = [name for name, dtype in rows.schema.items() if not dtype.is_float()]
    pq.write_table(
        table.replace_schema_metadata(dict(metadata)),
        path,
        compression={name: "none" if name in single else "lz4" for name in rows.columns},
        use_dictionary=others,
        write_statistics=True,  # of numbers too: how many are missing is read from there
    )


def _array(column: pl.Series) -> pa.Array:
    """Return a column without NaN; its numbers are not copied."""
    if not column.dtype.is_float():
        return column.to_arrow()
    if column.null_count():
        return column.fill_nan(None).to_arrow()
    values = column.to_numpy()
    missing = np.isnan(values)
    if not missing.any():
        return column.to_arrow()
    present = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [present, pa.py_buffer(values)])
