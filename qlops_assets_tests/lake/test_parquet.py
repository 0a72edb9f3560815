"""Rows as Parquet files, read again by readers that did not write them."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.lake.parquet import write_parquet

NUMBERS = st.none() | st.floats(width=32)
VALUES = {
    "single": (pl.Float32, NUMBERS),
    "double": (pl.Float64, st.none() | st.floats()),
    "count": (pl.Int64, st.none() | st.integers(-(2**63), 2**63 - 1)),
    "flag": (pl.Boolean, st.none() | st.booleans()),
    "text": (pl.String, st.none() | st.text(max_size=5)),
    "kind": (pl.Categorical, st.none() | st.sampled_from(["a", "b", ""])),
    "day": (pl.Date, st.none() | st.dates(date(1990, 1, 1), date(2030, 1, 1))),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    height = draw(st.integers(0, 20))
    columns = [
        pl.Series(name, draw(st.lists(values, min_size=height, max_size=height)), dtype)
        for name, (dtype, values) in VALUES.items()
    ]
    cut = draw(st.integers(0, height))  # columns in two chunks, as of frames that were joined
    rows = pl.DataFrame(columns)
    return pl.concat([rows.head(cut), rows.tail(height - cut)], rechunk=False)


@given(rows=frames(), text=st.text(max_size=5))
def test_rows_come_back_with_null_for_nan_and_the_text(rows: pl.DataFrame, text: str) -> None:
    expected = rows.with_columns(pl.selectors.float().fill_nan(None))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_parquet(rows, path, {"about": text})
        assert pl.read_parquet(path).equals(expected)
        assert pl.read_parquet(path).schema == rows.schema
        assert pl.read_parquet_metadata(path)["about"] == text
        if rows.height:  # how much of a column is missing can be read without its values
            group = pq.read_metadata(path).row_group(0)
            counted = [group.column(n).statistics.null_count for n in range(rows.width)]
            assert counted == list(expected.null_count().row(0))
        seen = pq.read_table(path)
        assert pl.DataFrame(pl.from_arrow(seen)).equals(expected)
        for name in ("single", "double"):  # -0.0 stays what it is, which equality does not see
            signs = [str(value) for value in expected.get_column(name).to_list()]
            assert [str(value) for value in seen.column(name).to_pylist()] == signs
