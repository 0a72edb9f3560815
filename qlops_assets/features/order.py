"""Rows by date and instrument, whatever order they are stored in."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qlops_assets.core.columns import DATE, INSTRUMENT


def in_order(rows: pa.Table) -> pa.Table:
    """Return rows by date and instrument.

    The table is written in that order and only merges disturb it, mostly of its last month. What is
    in order already is not copied.
    """
    if rows.num_rows < 2:
        return rows
    days = rows.column(DATE).cast(pa.int32()).to_numpy()
    start = _first_disordered(days, rows.column(INSTRUMENT))
    if start is None:
        return rows
    begin = int(np.searchsorted(days[:start], days[start:].min(), side="left"))
    rest = rows.slice(begin)
    order = pc.sort_indices(
        rest.select([DATE, INSTRUMENT]),
        sort_keys=[(DATE, "ascending"), (INSTRUMENT, "ascending")],
    )
    return pa.concat_tables([rows.slice(0, begin), rest.take(order)])


def is_in_order(rows: pa.Table) -> bool:
    """Whether rows are by date and instrument."""
    if rows.num_rows < 2:
        return True
    days = rows.column(DATE).cast(pa.int32()).to_numpy()
    return _first_disordered(days, rows.column(INSTRUMENT)) is None


def _first_disordered(days: np.ndarray, codes: pa.ChunkedArray) -> int | None:
    """Return the place of the first row that should be before its predecessor."""
    later = np.diff(days)
    falling = pc.less(codes.slice(1), codes.slice(0, len(codes) - 1)).to_numpy()
    wrong = np.flatnonzero((later < 0) | ((later == 0) & falling))
    return int(wrong[0]) + 1 if wrong.size else None
