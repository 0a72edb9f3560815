"""Every model of the catalog through the whole of a training: what it leaves scores as it did."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.progress import Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.features.lookup import StoredFeatures
from qlops_assets.models.artifact import load_predictor
from qlops_assets.models.catalog import TRAINERS
from qlops_assets.training.evaluation import evaluate_model
from qlops_assets.training.fit import fit_model, predictions_path, prepare_training_set
from qlops_assets.training.spec import training_spec
from qlops_assets_tests.support.market import copied

QUICK: dict[str, dict[str, Any]] = {
    "double-ensemble": {"num_models": 2, "num_leaves": 6, "lambda_l1": 0.1, "lambda_l2": 1.0},
    "lightgbm": {"num_leaves": 6, "lambda_l1": 0.1, "lambda_l2": 1.0},
    "mlp": {"batch_size": 256, "eval_steps": 2, "layers": [16]},
    "lstm": {"hidden_size": 8, "step_len": 6, "num_layers": 1},
    "gru": {"hidden_size": 8, "step_len": 6, "num_layers": 1},
    "alstm": {"hidden_size": 8, "step_len": 6, "num_layers": 1},
    "transformer": {"d_model": 8, "step_len": 6, "lr": 0.003},
}


@pytest.mark.parametrize("model", TRAINERS.names())
def test_stored_features_get_the_scores_of_the_training(
    market: Settings, tmp_path: Path, model: str
) -> None:
    own = copied(market, tmp_path / "home")
    training = replace(
        own.training,
        model=model,
        parameters=QUICK.get(model, {}),
        features=("KMID", "ROC5", "ROC20", "STD5", "CORR10", "RSQR20"),
        rounds=6,
        early_stopping_rounds=3,
    )
    settings = replace(own, training=training)
    version = training_spec(settings).version
    prepare_training_set(settings, version, Unreported())
    trained = fit_model(settings, version, Unreported())
    scores = pl.read_parquet(predictions_path(settings, version))
    day = scores["date"].max()
    rows = scores.filter(pl.col("date") == day)
    predictor = load_predictor(settings.models / version, sha256=trained.artifact.sha256)
    found = StoredFeatures(settings).rows(
        day, predictor.features, rows["instrument"].to_list(), window=predictor.window
    )
    assert found.instruments == rows["instrument"].to_list()
    np.testing.assert_allclose(
        predictor.predict(found.values), rows["score"].to_numpy(), rtol=2e-5, atol=2e-6
    )
    evaluation = evaluate_model(settings, version, Unreported())
    assert evaluation.report.stat().st_size > 10_000
    assert np.isfinite(evaluation.test.rank_ic)
