"""The data of a study's folds: made once, as files that every process maps into its memory.

Qlib's processors run here and nowhere else. What they make of the features and labels of a fold is
written column behind column; a worker opens it as the ``DatasetH`` that any training has, and the
system keeps one copy of it in memory for all of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from qlops_assets.core.atomic import new_folder, read_json, remove_folder
from qlops_assets.core.columns import DATE, INSTRUMENT, LABEL
from qlops_assets.models.trainer import keep_between_fits
from qlops_assets.training.frame import qlib_dataset, qlib_index
from qlops_assets.training.processors import Processors, is_fitted
from qlops_assets.training.segments import Segments
from qlops_assets.training.storage import LearnedRows, Rows, handler_of
from qlops_assets.training.tuning.folds import Fold

if TYPE_CHECKING:
    import pandas as pd

JUDGED: Final = "judged"  # the segment of a fold's valid; Qlib's models stop by "valid"
_ABOUT: Final = "data.json"
_LABELS: Final = "labels.parquet"
# Which rows of ``infer`` a model learns from, and their labels, where these alone are processed.
_PLACES: Final = "learn.places.npy"
_LABEL: Final = "learn.label.npy"


@dataclass(frozen=True, slots=True)
class FoldData:
    """One fold as a worker sees it.

    Attributes:
        dataset: Qlib's ``DatasetH`` with the segments ``train``; ``valid``, on which a model stops
            early; and ``judged``, the fold's valid.
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
        frame: Of :func:`qlops_assets.training.frame.training_frame`; days of the folds alone.
        folds: In order.
        processors: Of the training.
    """
    differ = any(is_fitted(one) for stage in ("infer", "learn") for one in processors[stage])
    with new_folder(folder) as temporary:
        places = []
        for number, fold in enumerate(folds):
            place = f"fold-{number}" if differ else "all"
            if place not in places:
                segments = Segments(fold.train, fold.stop, fold.valid)
                dataset = qlib_dataset(frame, segments, processors)
                _write_part(temporary / place, dataset.handler.rows)
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


def binned_bytes(folder: Path) -> int:
    """Return how much memory the features of all folds take where a byte holds a value."""
    places = (read_json(folder / _ABOUT) or {}).get("places", ())
    return sum((folder / place / "infer.npy").stat().st_size // 4 for place in places)


class SharedData:
    """The folds of a folder; what was opened stays open.

    Args:
        folder: Of :func:`write_shared`.
        keeps: Whether what trainers make of a fold, such as binned features, stays in memory for
            the fits to come. They make the same of it, and so the same model, either way.
    """

    def __init__(self, folder: Path, *, keeps: bool) -> None:
        self._folder, self._keeps = folder, keeps
        self._about: Mapping[str, Any] = read_json(folder / _ABOUT) or {}
        self._handlers: dict[str, Any] = {}
        self._folds: dict[int, FoldData] = {}
        self._labels = pl.read_parquet(folder / _LABELS)

    def fold(self, number: int, fold: Fold) -> FoldData:
        """Return a fold; a Qlib session must be open."""
        if (kept := self._folds.get(number)) is not None:
            return kept
        dataset = self._dataset(number, fold)
        keep_between_fits(dataset)  # for as long as there is the dataset
        found = FoldData(dataset, self._labels)
        if self._keeps:
            self._folds[number] = found
        return found

    def _dataset(self, number: int, fold: Fold) -> Any:
        from qlib.data.dataset import DatasetH

        place = self._about["places"][number]
        if place not in self._handlers:
            rows = _read_part(self._folder / place, self._about["features"])
            self._handlers[place] = handler_of(rows)
        segments = {"train": fold.train, "valid": fold.stop, JUDGED: fold.valid}
        return DatasetH(self._handlers[place], segments=segments)


def _write_part(folder: Path, rows: Mapping[str, Rows]) -> None:
    folder.mkdir()
    _write_rows(folder / "infer", rows["infer"])
    learned = rows["learn"]
    if isinstance(learned, LearnedRows):
        np.save(folder / _PLACES, learned.places)
        np.save(folder / _LABEL, learned.label)
    else:
        _write_rows(folder / "learn", learned)


def _write_rows(path: Path, rows: Rows) -> None:
    np.save(path.with_suffix(".npy"), rows.values)  # which keeps it column behind column
    _keys(rows.index).write_parquet(path.with_suffix(".parquet"))


def _keys(index: Any) -> pl.DataFrame:
    days = index.get_level_values("datetime").to_numpy().astype("datetime64[D]")
    codes = index.get_level_values("instrument").to_list()
    return pl.DataFrame({INSTRUMENT: codes, DATE: days})


def _read_part(folder: Path, features: Sequence[str]) -> dict[str, Rows]:
    infer = _read_rows(folder / "infer", features)
    if not (folder / _PLACES).is_file():
        return {"infer": infer, "learn": _read_rows(folder / "learn", features)}
    places, label = (np.load(folder / name, mmap_mode="r") for name in (_PLACES, _LABEL))
    return {"infer": infer, "learn": LearnedRows(infer, places, label)}


def _read_rows(path: Path, features: Sequence[str]) -> Rows:
    import pandas as pd

    values = np.load(path.with_suffix(".npy"), mmap_mode="r")
    columns = pd.MultiIndex.from_tuples([("feature", n) for n in features] + [("label", LABEL)])
    return Rows(values, qlib_index(pl.read_parquet(path.with_suffix(".parquet"))), columns)
