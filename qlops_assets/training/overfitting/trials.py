"""The trials among which a model was chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.overfitting.sharpe import SharpeRatio


@dataclass(frozen=True, slots=True)
class Trials:
    """What a tuning study tried, the chosen one included.

    Attributes:
        sharpe_ratios: Of each trial, by day, not annualised.
        returns: (day × trial) the daily returns that they are of; None where only ratios are known.
    """

    sharpe_ratios: tuple[float, ...]
    returns: NDArray[np.float64] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.sharpe_ratios or not np.isfinite(self.sharpe_ratios).all():
            raise TrainingError(
                f"trials: found Sharpe ratios {list(self.sharpe_ratios)[:5]}; needs one finite "
                "number of each trial, and at least one trial"
            )

    @classmethod
    def of_returns(cls, returns: Sequence[Sequence[float]]) -> "Trials":
        """Return the trials of their daily returns: one series each, over the same days.

        Raises:
            TrainingError: the series differ in length, hold NaN, are too short or never move.
        """
        lengths = sorted({len(series) for series in returns})
        if len(lengths) != 1:
            raise TrainingError(
                f"trials: found returns of {lengths} days; each trial needs the same days"
            )
        by_day = np.array(returns, dtype=np.float64).T
        if not np.isfinite(by_day).all():
            raise TrainingError("trials: a return is not a finite number; each day needs one")
        ratios = [SharpeRatio.of(by_day[:, trial]) for trial in range(by_day.shape[1])]
        if None in ratios:
            raise TrainingError(
                f"trials: trial {ratios.index(None)} has {lengths[0]} returns that are too few or "
                "all the same; needs three days, and two returns that differ"
            )
        return cls(tuple(ratio.value for ratio in ratios if ratio), by_day)

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self.sharpe_ratios)

    @property
    def variance(self) -> float:
        """Variance of their Sharpe ratios (of a sample); 0 for one trial."""
        return float(np.var(self.sharpe_ratios, ddof=1)) if self.count > 1 else 0.0
