"""Defects of Qlib 0.9.7 that our subclasses work round, and that without them it is Qlib's own.

A test of the first kind that fails says that Qlib has mended it: remove the workaround it names.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from qlops_assets.core.progress import Unreported
from qlops_assets.models.mlp import mean_ic
from qlops_assets.models.networks.layers import network
from qlops_assets.models.networks.windows import places_of
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets_tests.models.test_every_model import ROUNDS, SMALL, trainer
from qlops_assets_tests.support.qlib_data import DAYS, SEGMENTS, dataset_with, frame_of

SEQUENCES = ("lstm", "gru", "alstm", "transformer")


@pytest.fixture(autouse=True)
def session(any_provider: Path) -> Iterator[None]:
    with qlib_session(any_provider):
        yield


def prepared(name: str) -> Any:
    return dataset_with(frame_of(DAYS), SEGMENTS, trainer(name).processors)


def stock(name: str, **changes: Any) -> Any:
    """Return Qlib's own model by our configuration."""
    from importlib import import_module

    task = trainer(name).configuration()
    made = getattr(import_module(task["module_path"]), task["class"])
    return made(**(task["kwargs"] | changes))


class Silent:
    def log_metrics(self, **_: Any) -> None:
        pass


# XGBoost


def test_qlibs_xgboost_predicts_with_trees_after_the_best() -> None:
    dataset, fitted = prepared("xgboost"), None
    model = stock("xgboost")
    model.fit(dataset, ROUNDS, 6, verbose_eval=False, evals_result={})
    best = model.model.best_iteration + 1
    assert best < model.model.num_boosted_rounds()
    everything = model.predict(dataset, "test").to_numpy()
    model.model = model.model[:best]
    expected = model.predict(dataset, "test").to_numpy()
    assert not np.array_equal(everything, expected)
    fitted = trainer("xgboost").fit(dataset, Unreported())
    found = trainer("xgboost").predict(fitted, dataset, "test").to_numpy()
    np.testing.assert_array_equal(found, expected)


def test_qlibs_xgboost_shares_one_dict_of_results_between_fits() -> None:
    from inspect import signature

    from qlib.contrib.model.xgboost import XGBModel

    assert signature(XGBModel.fit).parameters["evals_result"].default is not None


# MLP


def mlp(**changes: Any) -> Any:
    shape = {"layers": [16], "act": "LeakyReLU", "input_dim": 6}
    return stock("mlp", pt_model_kwargs=shape, **changes)


def fitted_by_qlib(model: Any, dataset: Any, folder: Path) -> dict[str, list[float]]:
    from qlib.contrib.model import pytorch_nn

    curves: dict[str, list[float]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_nn, "R", Silent())
        model.fit(dataset, curves, verbose=False, save_path=str(folder / "best"))
    return curves


def test_qlibs_mlp_calls_a_debugger_where_days_have_few_instruments(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="ipdb"):
        fitted_by_qlib(mlp(), prepared("mlp"), tmp_path)


def test_mlp_is_qlibs_own_to_the_bit_where_qlibs_can_fit(tmp_path: Path) -> None:
    dataset = prepared("mlp")
    ours = trainer("mlp").fit(dataset, Unreported())
    torch.set_num_threads(1)
    theirs = mlp()
    theirs.get_metric = lambda *_: torch.tensor(0.0)  # nothing is decided by it
    curves = fitted_by_qlib(theirs, dataset, tmp_path)
    assert ours.curves["valid.loss"] == curves["valid"]
    np.testing.assert_allclose(ours.curves["train.loss"], curves["train"], rtol=1e-12)
    state = theirs.dnn_model.state_dict()
    for name, tensor in ours.qlib_model.dnn_model.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_ic_of_the_validation_is_the_mean_of_pandas_daily_correlations() -> None:
    rng = np.random.default_rng(3)
    days = np.repeat(np.arange(9), rng.integers(1, 12, 9))
    scores, labels = rng.normal(size=(2, len(days))).astype(np.float32)
    table = pd.DataFrame({"day": days, "score": scores, "label": labels})
    daily = [day["score"].corr(day["label"]) for _, day in table.groupby("day") if len(day) > 1]
    assert mean_ic(scores, labels, days) == pytest.approx(np.nanmean(daily), rel=1e-6)


def test_ic_of_days_of_one_instrument_is_no_number() -> None:
    ones = np.ones(4, np.float32)
    assert np.isnan(mean_ic(ones, ones, np.arange(4)))


# Double Ensemble


def test_qlibs_double_ensemble_gives_another_model_for_the_same_seed() -> None:
    dataset, found = prepared("double-ensemble"), []
    for state in (1, 2):
        np.random.seed(state)
        model = stock("double-ensemble")
        model.fit(dataset)
        found.append(model.predict(dataset, "test").to_numpy())
    assert not np.array_equal(*found)


# Sequences


@pytest.mark.parametrize("key", ["learn", "infer"])
@pytest.mark.parametrize("segment", ["train", "test"])
def test_windows_are_those_of_qlibs_sampler(segment: str, key: str) -> None:
    rng = np.random.default_rng(4)
    frame = frame_of(DAYS)
    frame = frame[rng.random(len(frame)) < 0.6]  # instruments come, go and are halted
    from qlib.data.dataset import TSDatasetH

    dataset = dataset_with(frame, SEGMENTS, trainer("lstm").processors)
    series = TSDatasetH(step_len=7, handler=dataset.handler, segments=dataset.segments)
    samples = series.prepare(segment, col_set=["feature", "label"], data_key=key)
    samples.config(fillna_type="ffill+bfill")
    places = places_of(samples)
    assert len(places) == len(samples) > 100
    for number in range(len(samples)):
        np.testing.assert_array_equal(samples.data_arr[places[number]], samples[number])


@pytest.mark.parametrize("name", SEQUENCES)
def test_qlibs_sequence_models_cannot_fit_with_a_validation_below_one_batch(
    name: str, tmp_path: Path
) -> None:
    model = stock(name, d_feat=6, batch_size=512)  # 18 days of 20 instruments are 360 rows
    from qlib.data.dataset import TSDatasetH

    dataset = prepared(name)
    series = TSDatasetH(step_len=5, handler=dataset.handler, segments=dataset.segments)
    with pytest.warns(RuntimeWarning), pytest.raises(UnboundLocalError):
        model.fit(series, {}, save_path=str(tmp_path / "best"))
    fitted = trainer(name, parameters={"batch_size": 512}, rounds=2).fit(dataset, Unreported())
    assert np.isfinite(fitted.curves["valid.loss"]).all()


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence_model_is_qlibs_own_to_the_bit_where_batches_are_full(
    name: str, tmp_path: Path
) -> None:
    from qlib.data.dataset import TSDatasetH

    dataset = prepared(name)
    full = {"batch_size": 40}  # divides 50 and 18 days of 20 instruments
    ours = trainer(name, parameters=full, rounds=3).fit(dataset, Unreported())
    torch.set_num_threads(1)
    theirs = stock(name, d_feat=6, n_epochs=3, **full)
    series = TSDatasetH(step_len=5, handler=dataset.handler, segments=dataset.segments)
    curves: dict[str, list[float]] = {}
    theirs.fit(series, curves, save_path=str(tmp_path / "best"))
    np.testing.assert_allclose(ours.curves["valid.loss"], -np.array(curves["valid"]), rtol=1e-6)
    state = getattr(theirs, trainer(name).network).state_dict()
    for key, tensor in getattr(ours.qlib_model, trainer(name).network).state_dict().items():
        assert torch.equal(tensor, state[key]), key
    scores = trainer(name).predict(ours, dataset, "test")
    expected = theirs.predict(series).sort_index()
    np.testing.assert_allclose(scores.to_numpy(), expected.to_numpy(), rtol=1e-5, atol=1e-6)


# Layers


@pytest.mark.parametrize("name", ["mlp", *SEQUENCES])
def test_layers_take_qlibs_weights_and_give_its_scores(name: str) -> None:
    torch.manual_seed(5)
    if name == "mlp":
        theirs, shape = mlp().dnn_model, {"layers": [16], "act": "LeakyReLU", "input_dim": 6}
        rows = torch.randn(33, 6)
    else:
        theirs = getattr(stock(name, d_feat=6), trainer(name).network)
        wanted = ("hidden_size", "num_layers", "rnn_type", "d_model", "nhead")
        every = {**{k: p.default for k, p in trainer(name).table.items()}, **SMALL[name]}
        shape = {"d_feat": 6, **{k: v for k, v in every.items() if k in wanted}}
        rows = torch.randn(33, 5, 6)
    ours = network(name, shape)
    ours.load_state_dict(theirs.state_dict())
    ours.eval()
    theirs.eval()
    with torch.inference_mode():
        torch.testing.assert_close(ours(rows), theirs(rows).reshape(-1), rtol=1e-6, atol=1e-6)
        assert ours(rows[:1]).shape == (1,)
