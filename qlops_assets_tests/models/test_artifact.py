"""Artifacts: loaded only when they are what was registered, in a format that cannot run code."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from qlops_assets.core.digests import file_sha256
from qlops_assets.core.errors import ArtifactError, QlopsError
from qlops_assets.models.artifact import Artifact, load_predictor, save_artifact
from qlops_assets_tests.support.served_models import (
    FEATURES,
    expected_scores,
    random_rows,
    train_text,
)


@pytest.fixture(scope="module")
def text() -> str:
    return train_text(5)


@pytest.fixture
def saved(tmp_path: Path, text: str) -> Artifact:
    return save_artifact(
        tmp_path, content=text.encode(), format_name="lightgbm-text", features=FEATURES
    )


def test_saved_artifact_is_recorded_whole(tmp_path: Path, text: str, saved: Artifact) -> None:
    assert (tmp_path / saved.file).read_text() == text
    assert saved.sha256 == file_sha256(tmp_path / saved.file)
    assert json.loads((tmp_path / "artifact.json").read_text()) == {
        "format": "lightgbm-text",
        "file": "model.txt",
        "sha256": saved.sha256,
        "features": FEATURES,
        "expressions": {},
        "processing": None,
    }


def test_loaded_artifact_tells_what_own_features_were_computed_by(
    tmp_path: Path, text: str
) -> None:
    own = {"KMID": "$close-$open"}
    saved = save_artifact(
        tmp_path,
        content=text.encode(),
        format_name="lightgbm-text",
        features=FEATURES,
        expressions=own,
    )
    assert load_predictor(tmp_path, sha256=saved.sha256).expressions == own


def test_artifact_of_before_there_were_own_features_is_loaded(
    tmp_path: Path, saved: Artifact
) -> None:
    file = tmp_path / "artifact.json"
    record = json.loads(file.read_text())
    del record["expressions"]
    file.write_text(json.dumps(record))
    assert load_predictor(tmp_path, sha256=saved.sha256).expressions == {}


def test_loaded_artifact_predicts_as_the_booster_did(
    tmp_path: Path, text: str, saved: Artifact
) -> None:
    predictor = load_predictor(tmp_path, sha256=saved.sha256)
    values = random_rows(1, 50)
    assert predictor.features == FEATURES
    assert predictor.predict(values).tolist() == expected_scores(text, values).tolist()


def test_artifact_with_one_changed_character_is_refused(tmp_path: Path, saved: Artifact) -> None:
    file = tmp_path / "model.txt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"must be {saved.sha256[:12]}"):
        load_predictor(tmp_path, sha256=saved.sha256)


def test_artifact_rewritten_with_its_own_record_is_refused(tmp_path: Path, saved: Artifact) -> None:
    other = save_artifact(
        tmp_path, content=train_text(6).encode(), format_name="lightgbm-text", features=FEATURES
    )
    assert other.sha256 != saved.sha256  # the registry's digest counts, not the folder's
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_predictor(tmp_path, sha256=saved.sha256)


@pytest.mark.parametrize("kept", [0, 10, 0.5])
def test_truncated_artifact_is_refused(tmp_path: Path, saved: Artifact, kept: float) -> None:
    content = (tmp_path / "model.txt").read_bytes()
    size = int(kept if kept >= 1 else kept * len(content))
    (tmp_path / "model.txt").write_bytes(content[:size])
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_predictor(tmp_path, sha256=saved.sha256)


@pytest.mark.parametrize("gone", ["model.txt", "artifact.json"])
def test_missing_artifact_is_refused(tmp_path: Path, saved: Artifact, gone: str) -> None:
    (tmp_path / gone).unlink()
    with pytest.raises(ArtifactError, match="no model artifact"):
        load_predictor(tmp_path, sha256=saved.sha256)


@pytest.mark.parametrize("text_saved", ["", "tree\nnot a model", "{}"])
def test_text_that_is_no_model_is_refused(tmp_path: Path, text_saved: str) -> None:
    artifact = save_artifact(
        tmp_path, content=text_saved.encode(), format_name="lightgbm-text", features=FEATURES
    )
    with pytest.raises(ArtifactError, match="not a LightGBM text model"):
        load_predictor(tmp_path, sha256=artifact.sha256)


@pytest.mark.parametrize("count", [4, 6])
def test_model_with_another_number_of_features_is_refused(
    tmp_path: Path, text: str, count: int
) -> None:
    names = [f"f{i}" for i in range(count)]
    artifact = save_artifact(
        tmp_path, content=text.encode(), format_name="lightgbm-text", features=names
    )
    with pytest.raises(ArtifactError, match=f"takes 5 features, its record names {count}"):
        load_predictor(tmp_path, sha256=artifact.sha256)


class _Payload:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("format_name", ["pickle", "joblib", "lightgbm_text", ""])
def test_format_that_servers_do_not_load_is_refused_unread(
    tmp_path: Path, format_name: str
) -> None:
    trap = tmp_path / "executed"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(_Payload(trap)))
    record = {
        "format": format_name,
        "file": "model.pkl",
        "sha256": file_sha256(tmp_path / "model.pkl"),
        "features": FEATURES,
    }
    (tmp_path / "artifact.json").write_text(json.dumps(record))
    with pytest.raises(QlopsError, match=r"Known: .*lightgbm-text"):
        load_predictor(tmp_path, sha256=record["sha256"])
    assert not trap.exists()


def test_pickle_under_the_name_of_a_safe_format_is_refused_unread(tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    content = pickle.dumps(_Payload(trap), protocol=0)  # protocol 0 is text, so it decodes
    artifact = save_artifact(
        tmp_path, content=content, format_name="lightgbm-text", features=FEATURES
    )
    with pytest.raises(ArtifactError, match="not a LightGBM text model"):
        load_predictor(tmp_path, sha256=artifact.sha256)
    assert not trap.exists()


def test_prediction_takes_any_layout_of_rows(tmp_path: Path, text: str, saved: Artifact) -> None:
    predictor = load_predictor(tmp_path, sha256=saved.sha256)
    values = random_rows(2, 20)
    expected = expected_scores(text, values).tolist()
    assert predictor.predict(np.asfortranarray(values)).tolist() == expected
    assert predictor.predict(np.repeat(values, 2, axis=0)[::2]).tolist() == expected
