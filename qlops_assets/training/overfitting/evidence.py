"""All that is known about whether one model was overfit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.sections.overfitting import OverfittingSettings
from qlops_assets.training.overfitting.backtest_overfitting import (
    BacktestOverfitting,
    backtest_overfitting,
)
from qlops_assets.training.overfitting.deflated_sharpe import deflated_sharpe
from qlops_assets.training.overfitting.expected_maximum import expected_maximum_sharpe
from qlops_assets.training.overfitting.ic_decay import IcDecay, ic_decay
from qlops_assets.training.overfitting.learning_curve import LearningCurve, learning_curve
from qlops_assets.training.overfitting.probabilistic_sharpe import probabilistic_sharpe
from qlops_assets.training.overfitting.sharpe import SharpeRatio
from qlops_assets.training.overfitting.track_record import minimum_track_record
from qlops_assets.training.overfitting.trials import Trials

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit and its predictions leave for the evidence.

    Attributes:
        curves: ``train.<metric>`` and ``valid.<metric>`` -> a value for each iteration.
        best_iteration: The iteration that is used, from 1.
        valid_rank_ic: By day; NaN where there is none.
        test_rank_ic: Likewise.
        horizon_days: Days that the label looks ahead.
        excess: Daily return over the benchmark on test, after cost.
    """

    curves: Mapping[str, Sequence[float]]
    best_iteration: int
    valid_rank_ic: Vector
    test_rank_ic: Vector
    horizon_days: int
    excess: Vector


@dataclass(frozen=True, slots=True)
class Evidence:
    """Measures of overfitting; None where one cannot be taken.

    Attributes:
        learning: Of the curves; None where nothing was measured on valid.
        decay: Of the Rank IC from valid to test.
        sharpe: Of the daily excess return after cost on test, not annualised.
        trials: How many the model was chosen among; 1 for a single training.
        expected_maximum: Sharpe ratio that the best of those has by luck; 0 for one.
        probabilistic_sharpe: Probability that the true Sharpe ratio is above 0.
        deflated_sharpe: Probability that it is above ``expected_maximum``.
        least_days: Days after which such a Sharpe ratio would be above ``expected_maximum`` with
            confidence.
        choice: Of choosing among the trials; None without their daily returns.
    """

    learning: LearningCurve | None
    decay: IcDecay | None
    sharpe: SharpeRatio | None
    trials: int
    expected_maximum: float
    probabilistic_sharpe: float | None
    deflated_sharpe: float | None
    least_days: float | None
    choice: BacktestOverfitting | None

    def to_json(self) -> dict[str, Any]:
        """Return the measures by name."""
        parts = (self.learning, self.decay, self.sharpe, self.choice)
        learning, decay, sharpe, choice = (part and part.to_json() for part in parts)
        return {
            "learning": learning,
            "rank_ic_decay": decay,
            "sharpe": sharpe,
            "trials": self.trials,
            "expected_maximum_sharpe": self.expected_maximum,
            "probabilistic_sharpe": self.probabilistic_sharpe,
            "deflated_sharpe": self.deflated_sharpe,
            "least_days": self.least_days,
            "backtest_overfitting": choice,
        }


def gather_evidence(
    fit: Fit, settings: OverfittingSettings, trials: Trials | None = None
) -> Evidence:
    """Take every measure of a fit.

    Args:
        fit: What is judged.
        settings: How: confidence, iterations of the slope, blocks of days.
        trials: Those that the model was chosen among, it included; None for a single training.

    Raises:
        TrainingError: a curve does not reach the best iteration, or the trials' days are too few.
    """
    count, variance = (trials.count, trials.variance) if trials else (1, 0.0)
    expected = expected_maximum_sharpe(count, variance)
    ratio = SharpeRatio.of(fit.excess)
    returns = trials.returns if trials and trials.count > 1 else None
    return Evidence(
        learning=learning_curve(
            fit.curves, fit.best_iteration, last_iterations=settings.last_iterations
        ),
        decay=ic_decay(
            fit.valid_rank_ic,
            fit.test_rank_ic,
            horizon_days=fit.horizon_days,
            confidence=settings.confidence,
        ),
        sharpe=ratio,
        trials=count,
        expected_maximum=expected,
        probabilistic_sharpe=probabilistic_sharpe(ratio) if ratio else None,
        deflated_sharpe=deflated_sharpe(ratio, trials=count, variance=variance) if ratio else None,
        least_days=minimum_track_record(ratio, confidence=settings.confidence, benchmark=expected)
        if ratio
        else None,
        choice=None
        if returns is None
        else backtest_overfitting(returns, blocks=settings.blocks_of_days),
    )
