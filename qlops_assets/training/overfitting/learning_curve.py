"""What the curves of a fit say: how far train is ahead of valid, and where valid was going."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from qlops_assets.core.errors import TrainingError

_RISING: Final = frozenset(
    {"ic", "icir", "rank_ic", "rank_icir", "auc", "accuracy", "average_precision", "map", "ndcg"}
)
_LEAST_VALUES: Final = 3


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The first metric that was measured on valid, with the same on train.

    Attributes:
        metric: Its name, such as ``l2``.
        rises: Whether more is better (an IC); a loss falls.
        best_iteration: The iteration that is used, from 1.
        iterations: How many were run.
        best_share: The one over the other: near 0, valid got worse almost from the start.
        train: On train at the best iteration; None where it was not measured.
        valid: On valid there.
        gap: How much better train is, as a share of |valid|; None without train, or of 0.
        last_iterations: Over how many of the last the slope is.
        slope: Change of valid per iteration over those, by least squares; None for fewer than 3.
        worsening: What that makes over all of them, as a share of |valid|, above 0 where valid got
            worse: a loss rose, an IC fell.
    """

    metric: str
    rises: bool
    best_iteration: int
    iterations: int
    best_share: float
    train: float | None
    valid: float
    gap: float | None
    last_iterations: int
    slope: float | None
    worsening: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def learning_curve(
    curves: Mapping[str, Sequence[float]], best_iteration: int, *, last_iterations: int
) -> LearningCurve | None:
    """Return what the curves say; None where nothing was measured on valid.

    Args:
        curves: ``train.<metric>`` and ``valid.<metric>`` -> a value for each iteration.
        best_iteration: The iteration that is used, from 1.
        last_iterations: Over how many of the last the slope of valid is taken.

    Raises:
        TrainingError: a curve does not reach the best iteration.
    """
    name = next((name for name in curves if name.startswith("valid.") and curves[name]), None)
    if name is None:
        return None
    metric = name.removeprefix("valid.")
    values = curves[name]
    valid = _at(curves, name, best_iteration)
    train_name = f"train.{metric}"
    train = _at(curves, train_name, best_iteration) if curves.get(train_name) else None
    better = 1.0 if is_rising(metric) else -1.0
    last = min(last_iterations, len(values))
    slope = _slope(values[-last:]) if last >= _LEAST_VALUES else None
    change = (last - 1) * slope if slope is not None else None
    return LearningCurve(
        metric=metric,
        rises=better > 0,
        best_iteration=best_iteration,
        iterations=len(values),
        best_share=best_iteration / len(values),
        train=train,
        valid=valid,
        gap=better * (train - valid) / abs(valid) if train is not None and valid else None,
        last_iterations=last,
        slope=slope,
        worsening=-better * change / abs(valid) if change is not None and valid else None,
    )


def is_rising(metric: str) -> bool:
    """Return whether more of a metric is better; ``ndcg@5`` counts as ``ndcg``."""
    return metric.partition("@")[0].lower() in _RISING


def _at(curves: Mapping[str, Sequence[float]], name: str, iteration: int) -> float:
    if not 1 <= iteration <= len(curves[name]):
        raise TrainingError(
            f"curve {name!r}: has {len(curves[name])} iterations; the one that is used, "
            f"{iteration}, must be among them"
        )
    return float(curves[name][iteration - 1])


def _slope(values: Sequence[float]) -> float:
    """Return the slope of the least-squares line through values one iteration apart."""
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    return float(steps @ np.asarray(values, dtype=np.float64) / (steps @ steps))
