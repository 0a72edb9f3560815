"""What every model of the catalog has to do; a new entry is tested without further edits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlops_assets.core.errors import ArtifactError, TrainingError
from qlops_assets.core.progress import Unreported
from qlops_assets.models.artifact import load_predictor, save_artifact
from qlops_assets.models.catalog import FORMATS, TRAINERS
from qlops_assets.models.processing import processing_of
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.models.trainer import FittedModel, Trainer
from qlops_assets_tests.support.progress import Recorder
from qlops_assets_tests.support.qlib_data import DAYS, SEGMENTS, dataset_with, frame_of

# Small and quick; what is not named has its default.
SMALL: dict[str, dict[str, Any]] = {
    "lightgbm": {"lambda_l1": 0.1, "lambda_l2": 1.0, "num_leaves": 6, "min_data_in_leaf": 10},
    "xgboost": {"max_depth": 3, "eta": 0.2},
    "mlp": {"batch_size": 64, "eval_steps": 2, "layers": [16]},
    "linear": {},
    "double-ensemble": {
        "lambda_l1": 0.1,
        "lambda_l2": 1.0,
        "num_leaves": 6,
        "min_data_in_leaf": 10,
        "num_models": 3,
    },
    "lstm": {"hidden_size": 8, "step_len": 5, "batch_size": 64, "num_layers": 1},
    "gru": {"hidden_size": 8, "step_len": 5, "batch_size": 64},
    "alstm": {"hidden_size": 8, "step_len": 5, "batch_size": 64},
    "transformer": {"d_model": 8, "step_len": 5, "batch_size": 64, "lr": 0.003},
}
ROUNDS, EARLY = 24, 6


def trainer(name: str, **changes: Any) -> Trainer:
    given: dict[str, Any] = {"seed": 7, "threads": 1, "rounds": ROUNDS}
    given["early_stopping_rounds"] = EARLY
    return TRAINERS.load(name)(SMALL[name] | changes.pop("parameters", {}), **(given | changes))


class Training:
    """A model fitted once, its dataset, and what it reported."""

    def __init__(self, name: str, provider: Path) -> None:
        self.trainer, self.progress, self.provider = trainer(name), Recorder(), provider
        self.name = name
        with qlib_session(provider):
            self.dataset = dataset_with(frame_of(DAYS), SEGMENTS, self.trainer.processors)
            self.fitted: FittedModel = self.trainer.fit(self.dataset, self.progress)

    def scores(self, segment: str) -> Any:
        with qlib_session(self.provider):
            return self.trainer.predict(self.fitted, self.dataset, segment)


@pytest.fixture(scope="module", params=TRAINERS.names())
def training(request: pytest.FixtureRequest, any_provider: Path) -> Training:
    return Training(request.param, any_provider)


def windows(training: Training, segment: str) -> np.ndarray:
    """Return the raw features of each row of a segment, by a loop over instruments and days."""
    frame = frame_of(DAYS)["feature"]
    first, last = SEGMENTS[segment]
    days, rows = [d for d in DAYS if first <= d <= last], []
    for day in days:
        for code in frame.index.get_level_values("instrument").unique():
            at = DAYS.index(day)
            past = DAYS[max(0, at - training.trainer.window + 1) : at + 1]
            values = np.stack([frame.loc[(np.datetime64(d), code)].to_numpy() for d in past])
            padding = np.repeat(values[:1], training.trainer.window - len(past), axis=0)
            rows.append(np.concatenate([padding, values]))
    return np.stack(rows).astype(np.float32).reshape(len(rows), -1)


def test_every_iteration_is_reported_while_it_runs(training: Training) -> None:
    fits = [report for report in training.progress.reports if report[0] == "fit"]
    assert [step for _, step, _, _ in fits] == list(range(1, len(fits) + 1))
    assert all(total is not None and total >= step for _, step, total, _ in fits)
    curves: dict[str, list[float]] = {}
    for _, _, _, metrics in fits:
        for name, value in metrics.items():
            curves.setdefault(name, []).append(value)
    for name, values in training.fitted.curves.items():
        assert len(values) == training.fitted.iterations
        if training.name != "mlp":  # whose steps on one batch are no iterations
            assert values == curves[name]


def test_curves_are_numbers_of_both_segments(training: Training) -> None:
    for segment in ("train", "valid"):
        named = [v for k, v in training.fitted.curves.items() if k.startswith(f"{segment}.")]
        assert named
        assert np.isfinite(named).all()


def test_best_iteration_has_the_least_loss_of_the_validation(training: Training) -> None:
    fitted = training.fitted
    assert 1 <= fitted.best_iteration <= fitted.iterations
    loss = next(v for k, v in fitted.curves.items() if k.startswith("valid."))
    if training.name == "double-ensemble":  # the last model's
        loss = loss[training.fitted.qlib_model.begins[-1] :]
    assert min(loss) == loss[fitted.best_iteration - 1 - (fitted.iterations - len(loss))]


def test_model_learns_what_is_there_to_learn(training: Training) -> None:
    scores = training.scores("train")
    label = training.dataset.prepare("train", col_set="label", data_key="raw").iloc[:, 0]
    both = scores.to_frame("score").join(label.rename("label"))
    assert both["score"].corr(both["label"]) > 0.1


def test_scores_are_of_every_row_of_a_segment_in_order(training: Training) -> None:
    for segment in ("valid", "test"):
        scores = training.scores(segment)
        expected = training.dataset.prepare(segment, col_set="label", data_key="raw").index
        assert scores.index.equals(expected)
        assert np.isfinite(scores.to_numpy()).all()
        assert scores.nunique() > 20


def test_loaded_artifact_scores_stored_features_as_qlibs_model(
    training: Training, tmp_path: Path
) -> None:
    saved = save_artifact(
        tmp_path,
        content=training.fitted.content,
        format_name=training.fitted.format_name,
        features=training.fitted.features,
        processing=processing_of(training.dataset),
    )
    loaded = load_predictor(tmp_path, sha256=saved.sha256)
    assert loaded.window == training.trainer.window
    expected = training.scores("test").to_numpy()
    found = loaded.predict(windows(training, "test"))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def test_fit_again_gives_the_same_artifact_and_another_seed_another(training: Training) -> None:
    with qlib_session(training.provider):
        dataset = dataset_with(frame_of(DAYS), SEGMENTS, training.trainer.processors)
        again = trainer(training.name).fit(dataset, Unreported())
        other = trainer(training.name, seed=8).fit(dataset, Unreported())
    assert again.content == training.fitted.content
    assert again.curves == training.fitted.curves
    assert (other.content == again.content) == (training.name == "linear")


def test_cancelled_fit_stops_within_one_iteration(training: Training) -> None:
    if training.name == "linear":
        pytest.skip("one step only")

    class StopError(Exception):
        pass

    class Stopping(Recorder):
        def report(self, stage: str, step: int, *more: Any, **named: Any) -> None:
            super().report(stage, step, *more, **named)
            if step == 3:
                raise StopError

    progress = Stopping()
    with qlib_session(training.provider), pytest.raises(StopError):
        trainer(training.name).fit(training.dataset, progress)
    assert len(progress.reports) == 3


@pytest.mark.parametrize("name", TRAINERS.names())
def test_unknown_parameter_is_refused_and_the_nearest_named(name: str) -> None:
    table = list(SMALL[name]) or ["estimator"]
    wrong = f"{table[0]}s"
    with pytest.raises(TrainingError, match=rf"unknown .* parameter '{wrong}'.*{table[0]}"):
        trainer(name, parameters={wrong: 1})


@pytest.mark.parametrize("name", TRAINERS.names())
@pytest.mark.parametrize("limits", [{"rounds": 0}, {"early_stopping_rounds": 0}])
def test_fit_of_no_round_is_refused(name: str, limits: dict[str, int]) -> None:
    with pytest.raises(TrainingError, match="must be at least 1"):
        trainer(name, **limits)


@pytest.mark.parametrize("name", FORMATS.names())
@pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x04garbage", b'{"models": []}'])
def test_content_that_is_no_model_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    saved = save_artifact(tmp_path, content=content, format_name=name, features=["F0", "F1"])
    with pytest.raises(ArtifactError, match="not "):
        load_predictor(tmp_path, sha256=saved.sha256)


def test_model_with_another_number_of_features_is_refused(
    training: Training, tmp_path: Path
) -> None:
    saved = save_artifact(
        tmp_path,
        content=training.fitted.content,
        format_name=training.fitted.format_name,
        features=training.fitted.features[:2],
    )
    with pytest.raises(ArtifactError):
        load_predictor(tmp_path, sha256=saved.sha256)
