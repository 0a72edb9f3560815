"""The data of a study's folds: made once, as files that every process maps into its memory.

Qlib's processors run here and nowhere else. What they make of the features and labels of a fold is
written column behind column; a worker opens it as the ``DatasetH`` that any training has, and the
system keeps one copy of it in memory for all of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from qlops_assets.core.atomic import new_folder, read_json, remove_folder
from qlops_assets.core.columns import DATE, INSTRUMENT, LABEL
from qlops_assets.training.frame import qlib_dataset, qlib_index
from qlops_assets.training.processors import Processors, is_fitted
from qlops_assets.training.segments import Segments
from qlops_assets.training.tuning.folds import Fold

if TYPE_CHECKING:
    import pandas as pd

_ABOUT: Final = "data.json"
_LABELS: Final = "labels.parquet"
# What an inference sees, and what a model learns from: Qlib's names of the two.
_KEYS: Final = ("infer", "learn")


@dataclass(frozen=True, slots=True)
class FoldData:
    """One fold as a worker sees it.

    Attributes:
        dataset: Qlib's ``DatasetH`` with the segments ``train`` and ``valid``.
        labels: instrument, date and the raw label, of all rows.
    """

    dataset: Any
    labels: pl.DataFrame


def write_shared(
    folder: Path, frame: "pd.DataFrame", folds: Sequence[Fold], processors: Processors
) -> None:
    """Write the data of folds, all of it or nothing; a Qlib session must be open.

    Processors that are fitted are fitted on each fold's own train. Where none is, the folds have
    the same rows, which are written once.

    Args:
        folder: To be made.
        frame: Of :func:`qlops_assets.training.frame.qlib_frame`; days of the folds alone.
        folds: In order.
        processors: Of the training.
    """
    differ = any(is_fitted(one) for stage in _KEYS for one in processors[stage])
    with new_folder(folder) as temporary:
        places = []
        for number, fold in enumerate(folds):
            place = f"fold-{number}" if differ else "all"
            if place not in places:
                segments = Segments(fold.train, fold.valid, fold.valid)
                _write_part(temporary / place, qlib_dataset(frame, segments, processors))
            places.append(place)
        _keys(frame.index).with_columns(
            pl.Series(LABEL, frame[("label", LABEL)].to_numpy())
        ).write_parquet(temporary / _LABELS)
        about = {"places": places, "features": list(frame["feature"].columns)}
        (temporary / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def is_written(folder: Path) -> bool:
    """Return whether a folder has the data of a study."""
    return (folder / _ABOUT).is_file()


def remove_shared(folder: Path) -> None:
    """Remove the data of a study, which the next start makes anew."""
    if folder.is_dir():
        remove_folder(folder)


class SharedData:
    """The folds of a folder; what was opened stays open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._about: Mapping[str, Any] = read_json(folder / _ABOUT) or {}
        self._handlers: dict[str, Any] = {}
        self._labels = pl.read_parquet(folder / _LABELS)

    def fold(self, number: int, fold: Fold) -> FoldData:
        """Return a fold; a Qlib session must be open."""
        from qlib.data.dataset import DatasetH

        place = self._about["places"][number]
        if place not in self._handlers:
            frames = {
                key: _read_frame(self._folder / place, key, self._about["features"])
                for key in _KEYS
            }
            self._handlers[place] = _frames_class()(frames)
        segments = {"train": fold.train, "valid": fold.valid}
        return FoldData(DatasetH(self._handlers[place], segments=segments), self._labels)


def _frames_class() -> Any:
    from qlib.data.dataset.handler import DataHandlerLP

    class MadeFrames(DataHandlerLP):  # type: ignore[misc]
        """Qlib's handler of data that was processed elsewhere."""

        def __init__(self, frames: Mapping[str, "pd.DataFrame"]) -> None:
            for name in ("infer_processors", "learn_processors", "shared_processors"):
                setattr(self, name, [])
            self.process_type, self.drop_raw = self.PTYPE_A, True
            self.data_loader, self.instruments = None, None
            self.start_time, self.end_time = None, None
            self.fetch_orig = True
            self._infer, self._learn = frames["infer"], frames["learn"]

    return MadeFrames


def _write_part(folder: Path, dataset: Any) -> None:
    from qlib.data.dataset.handler import DataHandlerLP

    folder.mkdir()
    for key, data_key in zip(_KEYS, (DataHandlerLP.DK_I, DataHandlerLP.DK_L), strict=True):
        frame = dataset.handler.fetch(col_set=DataHandlerLP.CS_RAW, data_key=data_key)
        kind = np.result_type(*frame.dtypes)
        values = np.lib.format.open_memmap(
            folder / f"{key}.npy", "w+", kind, frame.shape, fortran_order=True
        )
        for column in range(frame.shape[1]):
            values[:, column] = frame.iloc[:, column].to_numpy()
        values.flush()
        _keys(frame.index).write_parquet(folder / f"{key}.parquet")


def _keys(index: Any) -> pl.DataFrame:
    days = index.get_level_values("datetime").to_numpy().astype("datetime64[D]")
    codes = index.get_level_values("instrument").to_list()
    return pl.DataFrame({INSTRUMENT: codes, DATE: days})


def _read_frame(folder: Path, key: str, features: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    values = np.load(folder / f"{key}.npy", mmap_mode="r")
    columns = pd.MultiIndex.from_tuples([("feature", n) for n in features] + [("label", LABEL)])
    index = qlib_index(pl.read_parquet(folder / f"{key}.parquet"))
    return pd.DataFrame(np.asarray(values), index=index, columns=columns, copy=False)


def rows_of_folds(rows: pl.DataFrame, folds: Sequence[Fold]) -> pl.DataFrame:
    """Return the rows on the days of the folds: nothing of the test is among them."""
    first: date = min(fold.train[0] for fold in folds)
    last: date = max(fold.valid[1] for fold in folds)
    return rows.filter(pl.col(DATE).is_between(first, last))
