"""How certain a Sharpe ratio is once it is known how many were tried to find it."""

from qlops_assets.training.overfitting.expected_maximum import expected_maximum_sharpe
from qlops_assets.training.overfitting.probabilistic_sharpe import probabilistic_sharpe
from qlops_assets.training.overfitting.sharpe import SharpeRatio


def deflated_sharpe(ratio: SharpeRatio, *, trials: int, variance: float) -> float:
    """Return the probability that the true Sharpe ratio is above what luck makes of the trials.

    The probabilistic Sharpe ratio against the maximum to be expected of ``trials`` worthless ones.
    The trials count as independent; where they resemble each other that is strict by their number
    and mild by their variance.
    Source: Bailey and López de Prado (2014), The Deflated Sharpe Ratio, equation 2.

    Args:
        ratio: Of the trial that was chosen.
        trials: How many were tried, it included.
        variance: Of the trials' Sharpe ratios, not annualised.

    Raises:
        TrainingError: there is no trial, or the variance is negative.
    """
    return probabilistic_sharpe(ratio, expected_maximum_sharpe(trials, variance))
