"""Tiny inputs for Qlib: a provider of two instruments, and a dataset with a signal in it."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from qlops_assets.core.settings import Settings
from qlops_assets.features.version import FeatureVersion, FrameSpec
from qlops_assets.lake.qlib_bin import write_provider
from qlops_assets.lake.universe import load_universe, members
from qlops_assets_tests.support.market import weekdays

DAYS = weekdays(date(2020, 1, 2), 90)
CODES = [f"SH6000{i:02d}" for i in range(20)]
FEATURES = [f"F{i}" for i in range(6)]
SEGMENTS = {
    "train": (DAYS[0], DAYS[49]),
    "valid": (DAYS[52], DAYS[69]),
    "test": (DAYS[72], DAYS[89]),
}


def provider_of(folder: Path, price: float) -> Path:
    """Write a provider of two instruments at one price."""
    columns = dict.fromkeys(("open", "high", "low", "close", "vwap", "volume"), price)
    frames = [pl.DataFrame({"instrument": code, "date": DAYS[:5]}) for code in CODES[:2]]
    write_provider(
        folder, pl.concat(frames).with_columns(**{k: pl.lit(v) for k, v in columns.items()})
    )
    return folder


def plain_rows(
    settings: Settings, version: FeatureVersion, labels: pl.DataFrame, features: Sequence[str]
) -> pl.DataFrame:
    """Return the rows of the universe, with features and the label, in the plainest way."""
    everything = pl.DataFrame(pl.from_arrow(version.training_frame(FrameSpec(features))))
    rows = members(load_universe(settings), everything)
    found = rows.join(labels, on=["date", "instrument"], how="left")
    return found.sort("date", "instrument").select("instrument", "date", *features, "LABEL0")


def plain_frame(rows: pl.DataFrame) -> Any:
    """Return rows as a data handler of Qlib's has them, in the plainest way."""
    import pandas as pd

    table = rows.drop("instrument", "date").to_pandas().astype(np.float32)
    table = table.replace([np.inf, -np.inf], np.nan)
    days = pd.to_datetime(rows.get_column("date").to_numpy()).as_unit("ns")
    codes = rows.get_column("instrument").to_list()
    table.index = pd.MultiIndex.from_arrays([days, codes], names=["datetime", "instrument"])
    kinds = ["label" if name == "LABEL0" else "feature" for name in table.columns]
    table.columns = pd.MultiIndex.from_tuples(list(zip(kinds, table.columns, strict=True)))
    return table


def frame_of(days: list[date], *, labels: int = 1) -> Any:
    """Return random features with missing values, and a label that two of them explain."""
    import pandas as pd

    rng = np.random.default_rng(5)
    index = pd.MultiIndex.from_product(
        [pd.DatetimeIndex(days), CODES], names=["datetime", "instrument"]
    )
    values = rng.normal(size=(len(index), len(FEATURES))).astype(np.float32)
    label = 0.5 * values[:, 0] - 0.3 * np.abs(values[:, 1]) + rng.normal(size=len(index))
    values[rng.random(values.shape) < 0.05] = np.nan
    named = [("feature", name) for name in FEATURES] + [("label", f"L{i}") for i in range(labels)]
    table = np.column_stack([values, *[label] * labels]).astype(np.float32)
    return pd.DataFrame(table, index=index, columns=pd.MultiIndex.from_tuples(named))


def dataset_of(frame: Any, segments: dict[str, tuple[date, date]]) -> Any:
    """Return the ``DatasetH`` of a frame; a session must be open."""
    from qlib.data.dataset import DatasetH
    from qlib.data.dataset.handler import DataHandlerLP
    from qlib.data.dataset.loader import StaticDataLoader

    handler = DataHandlerLP(
        data_loader=StaticDataLoader(frame),
        infer_processors=[],
        learn_processors=[{"class": "DropnaLabel"}],
    )
    return DatasetH(handler, segments=segments)


def dataset_with(
    frame: Any, segments: dict[str, tuple[date, date]], processors: Mapping[str, Any]
) -> Any:
    """Return the ``DatasetH`` of a frame with a model's own processors; a session must be open."""
    from qlops_assets.training.frame import qlib_dataset
    from qlops_assets.training.segments import Segments

    return qlib_dataset(frame, Segments(**segments), processors)
