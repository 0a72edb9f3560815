"""The headline numbers against Qlib's own records, with its recorder in a real MLflow database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qlops_assets.core.atomic import read_json
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.fit import predictions_path
from qlops_assets.training.metrics import qlib_series
from qlops_assets_tests.support.market_fixtures import Trained

# Qlib's own of its CN benchmark workflows, and its executor of daily trading.
EXCHANGE = {
    "freq": "day",
    "limit_threshold": 0.095,
    "deal_price": "close",
    "open_cost": 0.0005,
    "close_cost": 0.0015,
    "min_cost": 5,
}


@pytest.fixture(scope="module")
def document(trained: Trained) -> dict[str, Any]:
    found = read_json(trained.settings.models / trained.first / "evaluation.json")
    assert found is not None
    return dict(found)


@pytest.fixture(scope="module")
def recorded(
    trained: Trained, document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, float]]:
    """Yield the metrics that SigAnaRecord and PortAnaRecord log of the version's predictions."""
    settings, folder = trained.settings, tmp_path_factory.mktemp("mlflow")
    predictions = pl.read_parquet(predictions_path(settings, trained.first))
    test = predictions.filter(pl.col("segment") == "test")
    with qlib_session(build_provider(settings)), pytest.MonkeyPatch.context() as patch:
        yield _record(test, document, load_benchmark(settings).returns, folder, patch)


def _record(
    test: pl.DataFrame,
    document: dict[str, Any],
    benchmark: pl.DataFrame,
    folder: Path,
    patch: pytest.MonkeyPatch,
) -> dict[str, float]:
    from mlflow import MlflowClient
    from qlib.workflow import R
    from qlib.workflow.record_temp import PortAnaRecord, SigAnaRecord
    from qlib.workflow.recorder import MLflowRecorder

    patch.chdir(folder)
    patch.setattr(MLflowRecorder, "_log_uncommitted_code", lambda self: None)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    artifacts = (folder / "artifacts").as_uri()
    MlflowClient(uri).create_experiment("test", artifact_location=artifacts)
    score, label = qlib_series(test)
    returns = benchmark.to_pandas().set_index("date")["return"]
    returns.index = returns.index.astype("datetime64[ns]")
    config = {
        "strategy": {
            "class": "TopkDropoutStrategy",
            "module_path": "qlib.contrib.strategy",
            "kwargs": {
                "signal": "<PRED>",
                "topk": document["backtest"]["topk"],
                "n_drop": document["backtest"]["n_drop"],
            },
        },
        "backtest": {
            "start_time": test["date"].min(),
            "end_time": test["date"].max(),
            "account": 1e7,
            "benchmark": returns,
            "exchange_kwargs": EXCHANGE,
        },
    }
    with R.uri_context(uri), R.start(experiment_name="test", recorder_name="test"):
        recorder = R.get_recorder()
        recorder.save_objects(
            **{"pred.pkl": score.to_frame("score"), "label.pkl": label.to_frame()}
        )
        SigAnaRecord(recorder, ana_long_short=True).generate()
        PortAnaRecord(recorder, config=config).generate()
        identity = recorder.id
    run = MlflowClient(uri).get_run(identity)
    assert run.info.status == "FINISHED"
    return dict(run.data.metrics)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("IC", "ic"),
        ("ICIR", "icir"),
        ("Rank IC", "rank_ic"),
        ("Rank ICIR", "rank_icir"),
        ("Long-Short Ann Return", "long_short"),
        ("1day.excess_return_with_cost.annualized_return", "excess_return_with_cost"),
        ("1day.excess_return_without_cost.annualized_return", "excess_return_without_cost"),
        ("1day.excess_return_with_cost.information_ratio", "information_ratio"),
        ("1day.excess_return_with_cost.max_drawdown", "max_drawdown"),
    ],
)
def test_headline_number_equals_that_of_qlibs_own_record(
    recorded: dict[str, float], document: dict[str, Any], theirs: str, ours: str
) -> None:
    assert document["metrics"][ours] == pytest.approx(recorded[theirs], rel=1e-12)


def test_every_headline_number_is_compared(document: dict[str, Any]) -> None:
    (mark,) = test_headline_number_equals_that_of_qlibs_own_record.pytestmark
    assert {ours for _, ours in mark.args[1]} == set(document["metrics"])
