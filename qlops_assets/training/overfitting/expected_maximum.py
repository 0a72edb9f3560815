"""What the best of many trials looks like where none is worth anything."""

from math import e, sqrt
from statistics import NormalDist
from typing import Final

from qlops_assets.core.errors import TrainingError

_EULER_MASCHERONI: Final = 0.5772156649015329


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of independent trials has by luck alone.

    ``sqrt(V) ((1 - γ) Φ⁻¹(1 - 1/N) + γ Φ⁻¹(1 - 1/(N e)))``, γ the Euler-Mascheroni constant; 0 for
    one trial, among which nothing was chosen.
    Source: Bailey and López de Prado (2014), The Deflated Sharpe Ratio, equation 1.

    Args:
        trials: How many were tried, N.
        variance: Of the trials' Sharpe ratios, V, of the same scale as what is compared with it.

    Raises:
        TrainingError: there is no trial, or the variance is negative.
    """
    if trials < 1 or not variance >= 0:
        raise TrainingError(
            f"trials: was {trials} with a variance of {variance:g}, must be at least 1 and 0"
        )
    if trials == 1:
        return 0.0
    normal, share = NormalDist(), _EULER_MASCHERONI
    most = (1 - share) * normal.inv_cdf(1 - 1 / trials) + share * normal.inv_cdf(
        1 - 1 / (trials * e)
    )
    return sqrt(variance) * most
