"""How certain it is that a true Sharpe ratio is above another."""

from math import copysign, inf
from statistics import NormalDist

from qlops_assets.training.overfitting.sharpe import SharpeRatio


def probabilistic_sharpe(ratio: SharpeRatio, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio is above a benchmark's.

    ``PSR(SR*) = Φ((SR - SR*) / standard error)``, with an error that knows skewness and fat tails.
    Source: Bailey and López de Prado (2012), The Sharpe Ratio Efficient Frontier, equation 11.

    Args:
        ratio: What was seen.
        benchmark: A Sharpe ratio of the same days' scale, not annualised.
    """
    ahead, error = ratio.value - benchmark, ratio.standard_error
    if not error:  # returns of two values only, in the one proportion that leaves no doubt
        return 0.5 if not ahead else float(copysign(inf, ahead) > 0)
    return NormalDist().cdf(ahead / error)
