"""A frame as the pickled DataFrame that Qlib's StaticDataLoader reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from qlops_assets.core.atomic import replacing
from qlops_assets.core.columns import DATE, INSTRUMENT, KEY, LABEL
from qlops_assets.lake.conversions.frames import as_float32, keyed

_FEATURE: Final = "feature"
_LABEL: Final = "label"


def write_pickle(
    path: Path, frame: pl.DataFrame, *, labels: Sequence[str] = (LABEL,), is_flat: bool = False
) -> None:
    """Write a frame for ``StaticDataLoader(config="x.pkl")`` and ``DataHandlerLP``.

    Rows are by (datetime, instrument) in this order, numbers float32, missing ones NaN. Columns are
    ``("feature", name)``, those of ``labels`` ``("label", name)``; or flat.

    Raises:
        ConversionError: the frame has no keys or no rows, a key twice, or a number beyond float32.
    """
    rows = as_float32(keyed(frame, path), path).sort(DATE, INSTRUMENT)
    made = _to_pandas(rows, labels, is_flat=is_flat)
    with replacing(path) as temporary:
        made.to_pickle(temporary, compression=None)


def _to_pandas(rows: pl.DataFrame, labels: Sequence[str], *, is_flat: bool) -> Any:
    import pandas as pd

    names = [name for name in rows.columns if name not in KEY]
    codes = rows[INSTRUMENT].unique().sort()
    days = rows[DATE].unique().sort()
    levels: list[Any] = [
        pd.DatetimeIndex(days.to_numpy().astype("M8[ns]")),
        pd.Index(codes.to_list()),
    ]
    places: list[Any] = [
        days.search_sorted(rows[DATE]).to_numpy(),
        rows[INSTRUMENT].cast(pl.Enum(codes)).to_physical().to_numpy(),
    ]
    index = pd.MultiIndex(levels, places, names=["datetime", "instrument"], verify_integrity=False)
    table = np.empty((len(names), rows.height), dtype=np.float32)
    for place, name in enumerate(names):
        table[place] = rows[name].fill_null(float("nan")).to_numpy()
    if is_flat:
        return pd.DataFrame(table.T, index=index, columns=pd.Index(names, dtype=object), copy=False)
    groups = [(_LABEL if name in labels else _FEATURE, name) for name in names]
    columns = pd.MultiIndex.from_tuples(groups)
    return pd.DataFrame(table.T, index=index, columns=columns, copy=False)
