"""The verdict on a trained version: signal metrics, backtest, overfitting, report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from qlops_assets.core.atomic import read_json, replacing, write_bytes, write_json
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.datasets import bars_dataset
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
from qlops_assets.training.overfitting.evidence import Evidence, Fit, gather_evidence
from qlops_assets.training.overfitting.rules import judge_overfitting, require_sensible
from qlops_assets.training.overfitting.trials import Trials
from qlops_assets.training.overfitting.verdict import Level, Verdict
from qlops_assets.training.pictures import as_small_png, equity_figure
from qlops_assets.training.recipes import with_recipe
from qlops_assets.training.report.page import write_report
from qlops_assets.training.report.score_exposure import NEEDED, first_day_needed
from qlops_assets.training.report.tables import Measured
from qlops_assets.training.tuning.trials import trials_of

EVALUATION = "evaluation.json"
EQUITY = "equity.parquet"
PICTURE = "equity.png"
REPORT = "report.html"


RANK_IC_CHECK = "rank_ic_above_minimum"
OVERFIT_CHECK = "not_overfit"


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of an evaluation.

    Attributes:
        name: Of the asset check.
        passed: Whether it holds.
        description: The numbers that it follows from.
        is_blocking: Whether a version is rejected where it does not hold.
    """

    name: str
    passed: bool
    description: str
    is_blocking: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A version's metrics on its test segment, and the signal metrics on valid beside them.

    Attributes:
        version: The model version.
        test: Signal metrics on test.
        valid: Likewise on valid.
        backtest: On test.
        evidence: Of overfitting.
        verdict: On that evidence.
        checks: Conditions; the version is rejected where a blocking one does not hold.
        report: The page.
        picture: Small picture of the backtest.
    """

    version: str
    test: SignalMetrics
    valid: SignalMetrics
    backtest: BacktestMetrics
    evidence: Evidence
    verdict: Verdict
    checks: tuple[Check, ...]
    report: Path
    picture: Path

    @property
    def passed(self) -> bool:
        """Whether the version may be deployed."""
        return all(check.passed for check in self.checks if check.is_blocking)

    @property
    def reason(self) -> str:
        """Why it may, or may not."""
        blocking = [check for check in self.checks if check.is_blocking]
        because = [check for check in blocking if check.passed is self.passed]
        return "; ".join(check.description for check in because)

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

    def overfitting(self) -> dict[str, Any]:
        """Return verdict, findings and measures of overfitting as a document."""
        return {**self.verdict.to_json(), "measures": self.evidence.to_json()}

    def facts(self) -> dict[str, Any]:
        """Return what the registry remembers of the evaluation."""
        return {
            "metrics": self.metrics(),
            "backtest": self.backtest.to_json(),
            "overfitting": self.overfitting(),
        }

    def metadata(self) -> dict[str, str | float | int]:
        """Return the figures of the evaluation, flat and rounded, as Dagster shows them."""
        figures = {
            **self.metrics(),
            "turnover": self.backtest.turnover,
            **{finding.rule: finding.number for finding in self.verdict.findings},
        }
        return {
            **{name: round(value, 6) for name, value in figures.items()},
            "overfitting": str(self.verdict.level),
            "overfitting_reason": self.verdict.text,
            "trials": self.evidence.trials,
            "benchmark": self.backtest.benchmark,
        }


def evaluate_model(
    settings: Settings, version: str, progress: Progress, *, trials: Trials | None = None
) -> Evaluation:
    """Evaluate a version's predictions; write metrics, equity by day, picture and report.

    Args:
        settings: Of the home.
        version: The model version.
        progress: Told of the stages.
        trials: Those that the version was chosen among, it included; where None, those of the
            study that its recipe names, if it names one.

    Raises:
        TrainingError: there are no predictions, they cannot be judged, a setting of
            ``[overfitting]`` is out of range, or the lake is no longer what the version was named
            after.
    """
    settings = with_recipe(settings, version)
    folder = settings.models / version
    training_set = read_training_set(settings, version)
    require_version(settings, version)
    require_sensible(settings.overfitting)
    if trials is None and settings.training.study is not None:
        trials = trials_of(settings, settings.training.study)
    metrics, measured = _measure(settings, version, progress)
    with replacing(folder / EQUITY) as path:
        measured.by_day.write_parquet(path)
    evidence = gather_evidence(_fit(measured), settings.overfitting, trials)
    verdict = judge_overfitting(evidence, settings.overfitting)
    evaluation = Evaluation(
        version,
        *metrics,
        evidence=evidence,
        verdict=verdict,
        checks=_checks(settings, metrics[0], verdict),
        report=folder / REPORT,
        picture=folder / PICTURE,
    )
    progress.report("report", 0, None)
    _write_picture(evaluation, measured.by_day, is_simulated=training_set["simulated"])
    write_report(evaluation, training_set, measured)
    write_json(folder / EVALUATION, evaluation_document(evaluation))
    return evaluation


def _measure(
    settings: Settings, version: str, progress: Progress
) -> tuple[tuple[SignalMetrics, SignalMetrics, BacktestMetrics], Measured]:
    """Return the metrics of test, valid and backtest; and the same by day."""
    predictions = _read_predictions(settings, version)
    fitted = read_json(settings.models / version / CURVES)
    progress.report("metrics", 0, None)
    with qlib_session(build_provider(settings), region=settings.training.region):
        test, on_test = signal_metrics(predictions, "test")
        valid, on_valid = signal_metrics(predictions, "valid")
        progress.report("backtest", 0, None)
        backtest, by_day = run_backtest(predictions, settings, load_benchmark(settings))
    first = first_day_needed(predictions.filter(pl.col("segment") == "test"))
    measured = Measured(
        predictions=predictions,
        daily=pl.concat([_daily(on_valid, "valid"), _daily(on_test, "test")]),
        by_day=by_day,
        bars=bars_dataset(settings).read(columns=NEEDED, first=first),
        fitted=dict(fitted or {}),
        horizon_days=settings.training.label_horizon_days,
    )
    return (test, valid, backtest), measured


def judge(settings: Settings, test: SignalMetrics) -> tuple[bool, str]:
    """Return whether the Rank IC of a version is enough, and the numbers."""
    least = settings.training.min_rank_ic
    if test.rank_ic > least:
        return True, f"test Rank IC {test.rank_ic:.4f} is above {least:g}"
    return False, f"test Rank IC was {test.rank_ic:.4f}, must be above {least:g}"


def _checks(settings: Settings, test: SignalMetrics, verdict: Verdict) -> tuple[Check, ...]:
    holds = verdict.level is not Level.OVERFIT
    return (
        Check(RANK_IC_CHECK, *judge(settings, test), is_blocking=True),
        Check(OVERFIT_CHECK, holds, verdict.text, is_blocking=settings.overfitting.blocks),
    )


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation as the document that is stored beside the model."""
    return {
        "model_version": evaluation.version,
        "metrics": evaluation.metrics(),
        "test": evaluation.test.to_json(),
        "valid": evaluation.valid.to_json(),
        "backtest": evaluation.backtest.to_json(),
        "overfitting": evaluation.overfitting(),
        "passed": evaluation.passed,
        "reason": evaluation.reason,
    }


def _fit(measured: Measured) -> Fit:
    fitted: Mapping[str, Any] = measured.fitted
    rank_ic = {
        segment: measured.daily.filter(pl.col("segment") == segment)["rank_ic"].to_numpy()
        for segment in ("valid", "test")
    }
    return Fit(
        curves=fitted.get("curves", {}),
        best_iteration=fitted["best_iteration"],
        valid_rank_ic=rank_ic["valid"],
        test_rank_ic=rank_ic["test"],
        horizon_days=measured.horizon_days,
        excess=measured.by_day["excess"].to_numpy(),
    )


def _write_picture(evaluation: Evaluation, by_day: pl.DataFrame, *, is_simulated: bool) -> None:
    title = "Backtest" + (" (simulated market)" if is_simulated else "")
    figure = equity_figure(by_day, title=title, size=(7.0, 3.6))
    write_bytes(evaluation.picture, as_small_png(figure))


def _read_predictions(settings: Settings, version: str) -> pl.DataFrame:
    path = predictions_path(settings, version)
    if not path.is_file() or not (path.parent / CURVES).is_file():
        raise TrainingError(f"model version {version!r}: no predictions; train it first")
    return pl.read_parquet(path)


def _daily(daily: DailyMetrics, segment: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "date": daily.ic.index.to_numpy().astype("datetime64[D]"),
            "segment": segment,
            "ic": daily.ic.to_numpy(),
            "rank_ic": daily.rank_ic.to_numpy(),
        }
    ).cast({"date": pl.Date})
