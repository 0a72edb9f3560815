from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.atomic import read_json
from qlops_assets.core.digests import file_sha256
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.factors.store import alpha158_dataset
from qlops_assets.lake.scan import load_manifest
from qlops_assets.models.artifact import load_predictor
from qlops_assets.training.fit import (
    fit_model,
    library_versions,
    predictions_path,
    prepare_training_set,
    read_training_set,
    require_version,
)
from qlops_assets.training.spec import training_spec
from qlops_assets_tests.support.market import restate
from qlops_assets_tests.support.market_fixtures import Trained
from qlops_assets_tests.support.trained import with_seed


class Recorder:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.last: tuple[int, int | None] = (0, None)

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        if stage not in self.stages:
            self.stages.append(stage)
        if stage == "fit":
            self.last = (step, total)


@pytest.fixture(scope="module")
def predictions(trained: Trained) -> pl.DataFrame:
    return pl.read_parquet(predictions_path(trained.settings, trained.first))


def sha256_of(settings: Settings, version: str) -> str:
    return file_sha256(settings.models / version / "model.txt")


def test_fit_again_gives_the_same_artifact_and_says_how_far_it_is(own_trained: Trained) -> None:
    settings, version = own_trained.settings, own_trained.first
    before = sha256_of(settings, version)
    predictions = predictions_path(settings, version).read_bytes()
    progress = Recorder()
    trained = fit_model(settings, version, progress)
    assert trained.artifact.sha256 == sha256_of(settings, version) == before
    assert predictions_path(settings, version).read_bytes() == predictions
    assert progress.stages == ["load", "processors", "fit", "predict"]
    assert progress.last == (trained.iterations, 40)
    assert trained.libraries == library_versions()
    assert trained.valid_loss < 1.0  # a z-scored label has variance 1: the signal was found
    assert trained.train_loss < trained.valid_loss


def test_another_seed_is_another_version_with_another_artifact(trained: Trained) -> None:
    assert trained.first != trained.second
    artifacts = [sha256_of(trained.settings, v) for v in (trained.first, trained.second)]
    assert artifacts[0] != artifacts[1]
    assert require_version(with_seed(trained.settings, 8), trained.second).version == trained.second


def test_predictions_are_of_every_member_on_valid_and_test(
    trained: Trained, predictions: pl.DataFrame
) -> None:
    assert predictions.columns == ["instrument", "date", "score", "segment", "LABEL0"]
    assert predictions.equals(predictions.sort("date", "instrument"), null_equal=True)
    spec = training_spec(trained.settings)
    for name in ("valid", "test"):
        own = predictions.filter(pl.col("segment") == name)
        assert (own["date"].min(), own["date"].max()) == getattr(spec.segments, name)
        assert own.group_by("date").len()["len"].min() >= 16
    assert predictions["score"].is_finite().all()
    assert predictions.select("instrument", "date").is_unique().all()


def test_stored_factors_through_the_artifact_give_the_predictions_bit_for_bit(
    trained: Trained, predictions: pl.DataFrame
) -> None:
    """What a server does for a day equals what was evaluated: no skew between the two."""
    folder = trained.settings.models / trained.first
    predictor = load_predictor(folder, sha256=sha256_of(trained.settings, trained.first))
    stored = alpha158_dataset(trained.settings).read()
    rows = predictions.join(stored, on=["instrument", "date"], how="left", maintain_order="left")
    values = rows.select(predictor.features).to_numpy().astype(np.float32)
    np.testing.assert_array_equal(predictor.predict(values), rows["score"].to_numpy())
    assert predictor.features == stored.columns[2:]


def test_training_set_is_described(trained: Trained) -> None:
    document = read_training_set(trained.settings, trained.first)
    spec = training_spec(trained.settings)
    assert document["digest"] == spec.digest
    assert document["feature_definitions"] == spec.features
    assert (document["features"], document["instruments"]) == (158, 18)
    assert document["segments"] == spec.segments.to_json()
    assert set(document["rows"]) == {"train", "valid", "test"}
    assert document["task"]["kwargs"]["num_leaves"] == 8


def test_training_set_names_every_file_version_that_it_used(trained: Trained) -> None:
    settings = trained.settings
    described = read_json(settings.models / trained.first / "training_set.json")
    assert described is not None
    manifest = load_manifest(settings)
    assert manifest is not None
    used = {path: digest for path, digest, _ in described["source_files"]}
    assert used == {file.path: file.digest for file in manifest.versions}
    assert {"core.txt", "benchmark.parquet"} < used.keys()
    assert described["source_snapshots"] == [1]


def test_curves_are_kept_with_the_iteration_that_is_used(trained: Trained) -> None:
    kept = read_json(trained.settings.models / trained.first / "curves.json")
    assert kept is not None
    valid = kept["curves"]["valid.l2"]
    assert kept["best_iteration"] == valid.index(min(valid)) + 1
    assert len(kept["importance"]) == 158


def test_fit_without_a_training_set_says_so(own_market: Settings) -> None:
    version = training_spec(own_market).version
    with pytest.raises(TrainingError, match=f"{version}'?: no training set; materialize it first"):
        fit_model(own_market, version, Unreported())
    with pytest.raises(TrainingError, match="no training set"):
        read_training_set(own_market, version)


def test_fit_after_the_data_changed_is_refused(own_trained: Trained) -> None:
    settings, version = own_trained.settings, own_trained.first
    before = sha256_of(settings, version)
    restate(settings, "SH600000", training_spec(settings).last_day, close=25.0)
    now = training_spec(settings).version
    with pytest.raises(TrainingError, match=f"what is here now is '{now}': train that one"):
        fit_model(settings, version, Unreported())
    assert sha256_of(settings, version) == before


def test_prepared_twice_is_the_same(own_trained: Trained) -> None:
    settings, version = own_trained.settings, own_trained.first
    before = read_training_set(settings, version)
    labels = (settings.models / version / "labels.parquet").read_bytes()
    prepared = prepare_training_set(settings, version, Unreported())
    assert read_training_set(settings, version) == before
    assert (settings.models / version / "labels.parquet").read_bytes() == labels
    assert (prepared.features, prepared.instruments) == (158, 18)


def test_parameters_that_lightgbm_refuses_leave_no_artifact(own_market: Settings) -> None:
    bad = replace(
        own_market,
        training=replace(own_market.training, parameters={"num_leaves": 200_000}),
    )
    version = training_spec(bad).version
    prepare_training_set(bad, version, Unreported())
    with pytest.raises(TrainingError, match=r"LightGBM refuses: .*num_leaves"):
        fit_model(bad, version, Unreported())
    assert not (bad.models / version / "model.txt").exists()
