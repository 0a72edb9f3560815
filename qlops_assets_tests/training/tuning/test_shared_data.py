"""What a worker opens equals what one process has that trains the fold from the frame."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.models.trainer import DENSE_PROCESSORS, TREE_PROCESSORS, kept_between_fits
from qlops_assets.training.frame import qlib_dataset
from qlops_assets.training.segments import Segments
from qlops_assets.training.tuning.folds import Fold
from qlops_assets.training.tuning.shared_data import (
    JUDGED,
    SharedData,
    binned_bytes,
    is_written,
    remove_shared,
    write_shared,
)
from qlops_assets_tests.support.qlib_data import DAYS, frame_of, provider_of

FOLDS = (
    Fold((DAYS[0], DAYS[19]), (DAYS[22], DAYS[29]), (DAYS[32], DAYS[49])),
    Fold((DAYS[0], DAYS[31]), (DAYS[34], DAYS[47]), (DAYS[50], DAYS[67])),
)
DROPPING = {
    "infer": [],
    "learn": [
        {"class": "DropnaProcessor", "kwargs": {"fields_group": "feature"}},
        {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}},
    ],
}
KINDS = {"trees": TREE_PROCESSORS, "dense": DENSE_PROCESSORS, "of features": DROPPING}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return provider_of(tmp_path_factory.mktemp("shared") / "ones", 1.0)


def frame() -> Any:
    """A frame whose label is missing in places, so that rows are dropped."""
    made = frame_of(DAYS[:68]).rename(columns={"L0": "LABEL0"}, level=1)
    made.iloc[::17, -1] = np.nan
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_every_fold_has_the_rows_of_a_dataset_of_its_own(
    provider: Path, tmp_path: Path, kind: str
) -> None:
    processors: Any = KINDS[kind]
    with qlib_session(provider):
        write_shared(tmp_path / "data", frame(), FOLDS, processors)
        shared = SharedData(tmp_path / "data", keeps=True)
        for number, fold in enumerate(FOLDS):
            segments = Segments(fold.train, fold.stop, fold.valid)
            own = qlib_dataset(frame(), segments, processors)
            opened = shared.fold(number, fold).dataset
            for segment, here in (("train", "train"), ("valid", "valid"), ("test", JUDGED)):
                for key in ("infer", "learn"):
                    asked = {"col_set": ["feature", "label"], "data_key": key}
                    theirs, ours = own.prepare(segment, **asked), opened.prepare(here, **asked)
                    assert ours.equals(theirs)
                    assert len(ours) > 50


def test_folds_share_their_rows_where_nothing_is_fitted_on_them(
    provider: Path, tmp_path: Path
) -> None:
    with qlib_session(provider):
        write_shared(tmp_path / "trees", frame(), FOLDS, TREE_PROCESSORS)  # type: ignore[arg-type]
        write_shared(tmp_path / "dense", frame(), FOLDS, DENSE_PROCESSORS)  # type: ignore[arg-type]
    assert len(list((tmp_path / "trees").glob("*/infer.npy"))) == 1
    assert len(list((tmp_path / "dense").glob("*/infer.npy"))) == 2
    assert not list(tmp_path.glob("*/*/learn.npy"))  # features are written once
    assert is_written(tmp_path / "trees")
    remove_shared(tmp_path / "trees")
    assert not is_written(tmp_path / "trees")


@pytest.mark.parametrize("keeps", [True, False])
def test_what_trainers_keep_with_a_fold_stays_where_there_is_room(
    provider: Path, tmp_path: Path, keeps: bool
) -> None:
    with qlib_session(provider):
        write_shared(tmp_path / "data", frame(), FOLDS, TREE_PROCESSORS)  # type: ignore[arg-type]
        shared = SharedData(tmp_path / "data", keeps=keeps)
        kept = kept_between_fits(shared.fold(1, FOLDS[1]).dataset)
        assert kept is not None
        kept["bins"] = "made"
        assert kept_between_fits(shared.fold(0, FOLDS[0]).dataset) == {}
        again = kept_between_fits(shared.fold(1, FOLDS[1]).dataset)
    assert again == ({"bins": "made"} if keeps else {})


def test_memory_for_bins_is_a_byte_for_every_value_of_every_fold(
    provider: Path, tmp_path: Path
) -> None:
    made = frame()
    with qlib_session(provider):
        write_shared(tmp_path / "data", made, FOLDS, TREE_PROCESSORS)  # type: ignore[arg-type]
    assert binned_bytes(tmp_path / "data") == pytest.approx(2 * made.size, rel=0.01)


def test_what_is_opened_cannot_be_written_into(provider: Path, tmp_path: Path) -> None:
    with qlib_session(provider):
        write_shared(tmp_path / "data", frame(), FOLDS, TREE_PROCESSORS)  # type: ignore[arg-type]
        fold = SharedData(tmp_path / "data", keeps=True).fold(0, FOLDS[0])
        rows = fold.dataset.prepare("train", col_set="feature", data_key="infer")
    with pytest.raises(ValueError, match="read-only"):
        rows.to_numpy()[0, 0] = 1.0
