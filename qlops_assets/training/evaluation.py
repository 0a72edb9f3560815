"""The verdict on a trained version: signal metrics, backtest, report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from qlops_assets.core.atomic import read_json, replacing, write_bytes, write_json
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import BacktestMetrics, run_backtest
from qlops_assets.training.fit import (
    CURVES,
    predictions_path,
    read_training_set,
    require_version,
)
from qlops_assets.training.metrics import DailyMetrics, SignalMetrics, signal_metrics
from qlops_assets.training.pictures import as_small_png, equity_figure
from qlops_assets.training.report import write_report

EVALUATION = "evaluation.json"
EQUITY = "equity.parquet"
PICTURE = "equity.png"
REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A version's metrics on its test segment, and the signal metrics on valid beside them."""

    version: str
    test: SignalMetrics
    valid: SignalMetrics
    backtest: BacktestMetrics
    passed: bool
    reason: str
    report: Path
    picture: Path

    def metrics(self) -> dict[str, float]:
        """Return the headline metrics by their names in every JSON document."""
        b = self.backtest
        return {
            "ic": self.test.ic,
            "icir": self.test.icir,
            "rank_ic": self.test.rank_ic,
            "rank_icir": self.test.rank_icir,
            "long_short": self.test.long_short,
            "excess_return_with_cost": b.excess_return_with_cost,
            "excess_return_without_cost": b.excess_return_without_cost,
            "information_ratio": b.information_ratio,
            "max_drawdown": b.max_drawdown,
        }


def evaluate_model(settings: Settings, version: str, progress: Progress) -> Evaluation:
    """Evaluate a version's predictions; write metrics, equity by day, picture and report.

    Raises:
        TrainingError: there are no predictions, they cannot be judged, or the lake is no longer
            what the version was named after.
    """
    folder = settings.models / version
    training_set = read_training_set(settings, version)
    require_version(settings, version)
    predictions, fitted = _read_predictions(settings, version), read_json(folder / CURVES)
    progress.report("metrics", 0, None)
    with qlib_session(build_provider(settings), region=settings.training.region):
        test, daily = signal_metrics(predictions, "test")
        valid, _ = signal_metrics(predictions, "valid")
        progress.report("backtest", 0, None)
        backtest, by_day = run_backtest(predictions, settings.training, load_benchmark(settings))
    with replacing(folder / EQUITY) as path:
        by_day.write_parquet(path)
    passed, reason = judge(settings, test)
    title = "Backtest" + (" (simulated market)" if training_set["simulated"] else "")
    small = equity_figure(by_day, title=title, size=(7.0, 3.6))
    write_bytes(folder / PICTURE, as_small_png(small))
    evaluation = Evaluation(
        version, test, valid, backtest, passed, reason, folder / REPORT, folder / PICTURE
    )
    progress.report("report", 0, None)
    write_report(evaluation, training_set, dict(fitted or {}), by_day=by_day, daily=_daily(daily))
    write_json(folder / EVALUATION, evaluation_document(evaluation))
    return evaluation


def judge(settings: Settings, test: SignalMetrics) -> tuple[bool, str]:
    """Return whether a version may be deployed, and why (not)."""
    least = settings.training.min_rank_ic
    if test.rank_ic > least:
        return True, f"test Rank IC {test.rank_ic:.4f} is above {least:g}"
    return False, f"test Rank IC was {test.rank_ic:.4f}, must be above {least:g}"


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation as the document that is stored beside the model."""
    return {
        "model_version": evaluation.version,
        "metrics": evaluation.metrics(),
        "test": evaluation.test.to_json(),
        "valid": evaluation.valid.to_json(),
        "backtest": evaluation.backtest.to_json(),
        "passed": evaluation.passed,
        "reason": evaluation.reason,
    }


def _read_predictions(settings: Settings, version: str) -> pl.DataFrame:
    path = predictions_path(settings, version)
    if not path.is_file() or not (path.parent / CURVES).is_file():
        raise TrainingError(f"model version {version!r}: no predictions; train it first")
    return pl.read_parquet(path)


def _daily(daily: DailyMetrics) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "date": daily.ic.index.to_numpy().astype("datetime64[D]"),
            "ic": daily.ic.to_numpy(),
            "rank_ic": daily.rank_ic.to_numpy(),
        }
    ).cast({"date": pl.Date})
