"""Which rows of a month are not as the table has them."""

import numpy as np
import polars as pl
import pyarrow as pa

from qlops_assets.core.columns import KEY
from qlops_assets.features.table import KEYS


def changed_rows(present: pa.Table, rows: pa.Table) -> tuple[pa.Table, bool]:
    """Return the rows that are new or have another value, to the bit; and whether any are gone.

    Args:
        present: What the table has.
        rows: What it should have, of the same columns.
    """
    old, new = (pl.DataFrame(pl.from_arrow(table)) for table in (present, rows))
    places = new.select(KEYS).join(
        old.select(KEYS).with_row_index("place"), on=KEYS, how="left", maintain_order="left"
    )
    place = places.get_column("place")
    known = place.is_not_null().to_numpy()
    changed = ~known
    if known.any():
        before = _bits(old[place.drop_nulls()])
        changed[known] = (before != _bits(new.filter(pl.Series(known)))).any(axis=1)
    gone = int(known.sum()) < old.height
    return rows.filter(pa.array(changed)), gone


def _bits(frame: pl.DataFrame) -> np.ndarray:
    values = frame.drop(KEY).to_numpy(order="fortran")
    return values.astype(np.float32, copy=False).view(np.uint32)
