"""The LightGBM trainer against Qlib's own class and LightGBM itself."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Unreported
from qlops_assets.models.lightgbm import PARAMETERS, LightGBMTrainer
from qlops_assets.models.lightgbm_predictor import load_text
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.models.trainer import FittedModel, keep_between_fits
from qlops_assets_tests.support.progress import Recorder
from qlops_assets_tests.support.qlib_data import DAYS, SEGMENTS, dataset_of, frame_of

SMALL = {"lambda_l1": 0.1, "lambda_l2": 1.0, "num_leaves": 6, "min_data_in_leaf": 10}


def trainer(**changes: Any) -> LightGBMTrainer:
    given: dict[str, Any] = {
        "parameters": SMALL,
        "seed": 7,
        "threads": 1,
        "rounds": 40,
        "early_stopping_rounds": 8,
    }
    return LightGBMTrainer(**(given | changes))


@pytest.fixture(scope="module")
def progress() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def fitted(any_provider: Path, dataset: Any, progress: Recorder) -> FittedModel:
    with qlib_session(any_provider):
        return trainer().fit(dataset, progress)


@pytest.fixture(scope="module")
def stock(any_provider: Path, dataset: Any) -> tuple[Any, dict[str, Any]]:
    """Return Qlib's own model, made from our configuration and fitted by its own ``fit``."""
    with qlib_session(any_provider), pytest.MonkeyPatch.context() as patch:
        from qlib.contrib.model import gbdt
        from qlib.utils import init_instance_by_config

        patch.setattr(gbdt, "R", SilentRecorder())  # the real one starts an MLflow run by itself
        model = init_instance_by_config(trainer().configuration())
        evaluations: dict[str, Any] = {}
        model.fit(dataset, verbose_eval=0, evals_result=evaluations)
    return model, evaluations


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"min_data_in_leaf": 30},
        {"min_child_samples": 15},
        {"max_bin": 15},
        {"extra_trees": True, "feature_fraction": 0.5, "bagging_fraction": 0.5, "bagging_freq": 1},
    ],
    ids=str,
)
def test_fits_that_share_binned_features_equal_those_that_bin_for_themselves(
    any_provider: Path, changes: dict[str, Any]
) -> None:
    """Fits of other parameters before it change nothing either."""
    given = {k: v for k, v in SMALL.items() if k != "min_data_in_leaf"} | changes
    with qlib_session(any_provider):
        alone = trainer(parameters=given).fit(dataset_of(frame_of(DAYS), SEGMENTS), Unreported())
        shared = dataset_of(frame_of(DAYS), SEGMENTS)
        keep_between_fits(shared)
        for parameters in (SMALL, {**SMALL, "min_data_in_leaf": 200}, given, given):
            fitted = trainer(parameters=parameters).fit(shared, Unreported())
    assert fitted.content == alone.content
    assert fitted.curves == alone.curves


@pytest.mark.parametrize("given", [{}, {"min_data_in_leaf": 9}, {"min_child_samples": 11}], ids=str)
def test_effective_parameters_say_what_lightgbm_takes(
    any_provider: Path, dataset: Any, given: dict[str, Any]
) -> None:
    asked = trainer(parameters=given, rounds=1)
    with qlib_session(any_provider):
        text = asked.fit(dataset, Unreported()).content.decode()
    assert f"[min_data_in_leaf: {asked.effective()['min_data_in_leaf']}]" in text


def test_features_are_binned_once_for_fits_of_one_dataset(any_provider: Path) -> None:
    with qlib_session(any_provider):
        shared = dataset_of(frame_of(DAYS), SEGMENTS)
        keep_between_fits(shared)
        trainer(parameters={**SMALL, "min_data_in_leaf": 25}).fit(shared, Unreported())
        shared.prepare = pytest.fail  # asked for its rows again, the test fails
        trainer(parameters={"lambda_l2": 5.0}).fit(shared, Unreported())
        trainer(parameters={**SMALL, "min_data_in_leaf": 40}).fit(shared, Unreported())


class SilentRecorder:
    def log_metrics(self, **_: Any) -> None:
        pass


def trees(booster: Any) -> list[Any]:
    return list(booster.dump_model(num_iteration=-1)["tree_info"])


def test_trees_equal_those_of_qlibs_own_fit(
    fitted: FittedModel, stock: tuple[Any, dict[str, Any]]
) -> None:
    model, _ = stock
    assert fitted.best_iteration == model.model.best_iteration
    assert trees(fitted.qlib_model.model) == trees(model.model)
    assert fitted.content.decode() == model.model.model_to_string(
        num_iteration=model.model.best_iteration
    )


def test_every_iteration_is_reported_with_what_lightgbm_recorded(
    fitted: FittedModel, progress: Recorder, stock: tuple[Any, dict[str, Any]]
) -> None:
    _, evaluations = stock
    train, valid = evaluations["train"]["l2"], evaluations["valid"]["l2"]
    assert fitted.curves == {"train.l2": train, "valid.l2": valid}
    assert progress.reports == [
        ("fit", number, 40, {"train.l2": train[number - 1], "valid.l2": valid[number - 1]})
        for number in range(1, fitted.iterations + 1)
    ]


def test_training_stops_early_at_the_best_of_the_validation(fitted: FittedModel) -> None:
    valid = fitted.curves["valid.l2"]
    assert 1 < fitted.best_iteration < fitted.iterations < 40
    assert valid.index(min(valid)) + 1 == fitted.best_iteration
    assert fitted.iterations == fitted.best_iteration + 8 == len(valid)


def test_artifact_scores_like_qlibs_model_bit_for_bit(fitted: FittedModel, dataset: Any) -> None:
    expected = fitted.qlib_model.predict(dataset, "test")
    rows = dataset.prepare("test", col_set="feature").to_numpy(dtype=np.float32)
    loaded = load_text(fitted.content, fitted.features)
    np.testing.assert_array_equal(loaded.predict(rows), expected.to_numpy())
    assert len(set(expected)) > 20


def test_artifact_holds_the_trees_up_to_the_best_iteration_only(fitted: FittedModel) -> None:
    import lightgbm

    booster = lightgbm.Booster(model_str=fitted.content.decode())
    assert booster.num_trees() == fitted.best_iteration


def test_features_and_their_gain_are_named(fitted: FittedModel, dataset: Any) -> None:
    assert fitted.features == [f"F{i}" for i in range(6)]
    assert list(fitted.importance) == fitted.features
    assert {name for name, _ in sorted(fitted.importance.items(), key=lambda i: -i[1])[:2]} == {
        "F0",
        "F1",
    }
    nodes = [json.dumps(tree) for tree in trees(fitted.qlib_model.model)[: fitted.best_iteration]]
    gain = sum(sum(_gains(json.loads(node))) for node in nodes)
    assert sum(fitted.importance.values()) == pytest.approx(gain, rel=1e-5)


def _gains(node: Any) -> list[float]:
    if isinstance(node, dict):
        own = [node["split_gain"]] if "split_gain" in node else []
        return own + [gain for value in node.values() for gain in _gains(value)]
    return []


def test_fit_again_gives_the_same_text_another_seed_another(
    any_provider: Path, dataset: Any, fitted: FittedModel
) -> None:
    with qlib_session(any_provider):
        again = trainer().fit(dataset, Unreported())
        other = trainer(seed=8).fit(dataset, Unreported())
    assert again.content == fitted.content
    assert again.curves == fitted.curves
    assert other.content != fitted.content


@pytest.mark.filterwarnings("ignore:Early stopping is not available in dart mode")
def test_boosting_that_cannot_stop_early_uses_every_tree(any_provider: Path, dataset: Any) -> None:
    with qlib_session(any_provider):
        fitted = trainer(parameters={**SMALL, "boosting": "dart"}, rounds=12).fit(
            dataset, Unreported()
        )
        expected = fitted.qlib_model.predict(dataset, "test")
    assert fitted.best_iteration == fitted.iterations == 12
    rows = dataset.prepare("test", col_set="feature").to_numpy(dtype=np.float32)
    predictor = load_text(fitted.content, fitted.features)
    np.testing.assert_array_equal(predictor.predict(rows), expected.to_numpy())


def test_configuration_is_qlibs_benchmark_with_what_was_given(dataset: Any) -> None:
    task = trainer(parameters={"num_leaves": 6}).configuration()
    assert (task["module_path"], task["class"]) == ("qlib.contrib.model.gbdt", "LGBModel")
    assert task["kwargs"] == {
        **{name: one.default for name, one in PARAMETERS.items() if one.default is not None},
        "num_leaves": 6,
        "seed": 7,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "num_boost_round": 40,
        "early_stopping_rounds": 8,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"num_leafs": 3}}, r"'num_leafs'; did you mean 'num_leaves'\? Known: bag"),
        ({"parameters": {"zzz": 3}}, "parameter 'zzz' Known: "),
        ({"parameters": {"loss": "huber"}}, "loss: was 'huber', must be one of mse, binary"),
        ({"rounds": 0}, "rounds: was 0, must be at least 1"),
        ({"early_stopping_rounds": -1}, "early_stopping_rounds: was -1"),
    ],
)
def test_parameter_that_cannot_be_is_refused_before_training(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        trainer(**changes)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_leaves": 200_000}, "num_leaves"),
        ({"min_data_in_leaf": 2_000_000_000_000}, "min_data_in_leaf"),
    ],
)
def test_parameter_that_lightgbm_refuses_is_a_training_error(
    any_provider: Path, dataset: Any, parameters: dict[str, Any], message: str
) -> None:
    with qlib_session(any_provider), pytest.raises(TrainingError, match=f"refuses: .*{message}"):
        trainer(parameters={**SMALL, **parameters}).fit(dataset, Unreported())


def test_segment_without_rows_is_a_training_error(any_provider: Path) -> None:
    nowhere = (date(2031, 1, 1), date(2031, 2, 1))
    with qlib_session(any_provider):
        empty = dataset_of(frame_of(DAYS), SEGMENTS | {"valid": nowhere})
        with pytest.raises(TrainingError, match="has no rows"):
            trainer().fit(empty, Unreported())


def test_two_labels_are_a_training_error(any_provider: Path) -> None:
    with qlib_session(any_provider):
        two = dataset_of(frame_of(DAYS, labels=2), SEGMENTS)
        with pytest.raises(TrainingError, match="found 2 labels"):
            trainer().fit(two, Unreported())


def test_exception_of_the_progress_stops_the_training(any_provider: Path, dataset: Any) -> None:
    class Cancelled(Recorder):
        def report(self, *args: Any) -> None:
            super().report(*args)
            if len(self.reports) == 3:
                raise KeyboardInterrupt

    progress = Cancelled()
    with qlib_session(any_provider), pytest.raises(KeyboardInterrupt):
        trainer().fit(dataset, progress)
    assert len(progress.reports) == 3


def test_qlibs_own_fit_still_refuses_callbacks(any_provider: Path, dataset: Any) -> None:
    """The defect that ``LiveLGBModel`` is there for: when this fails, it can go."""
    with qlib_session(any_provider):
        from qlib.contrib.model.gbdt import LGBModel

        with pytest.raises(TypeError, match="multiple values for keyword argument 'callbacks'"):
            LGBModel(num_boost_round=1).fit(dataset, callbacks=[])
