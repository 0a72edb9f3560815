"""Is it more than chance: errors that know about overlap, and false discoveries in a whole set."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
LEAST_DAYS: Final = 3


def newey_west_lags(days: int, horizon_days: int) -> int:
    """Return up to which lag daily figures are taken to be correlated.

    The larger of ``horizon - 1``, over which the returns of neighbouring days overlap, and Newey
    and West's ``floor(4 (days/100)^(2/9))``; never more than ``days - 1``.
    """
    rule = int(4 * (days / 100) ** (2 / 9))
    return max(0, min(days - 1, max(horizon_days - 1, rule)))


def mean_test(figures: Vector, horizon_days: int) -> tuple[float, float]:
    """Return the t-statistic and the two-sided p-value of a mean being 0.

    Least squares on a constant with Newey–West errors (Bartlett weights, small-sample correction,
    Student's t), by statsmodels. Days without a figure are left out. NaN where fewer than three
    days have one, or none differs from 0.
    """
    from statsmodels.regression.linear_model import OLS

    known = figures[~np.isnan(figures)]
    if known.size < LEAST_DAYS or not known.any():
        return float("nan"), float("nan")
    if known.min() == known.max():  # the same every day: no error at all
        return float(np.copysign(np.inf, known[0])), 0.0
    lags = newey_west_lags(known.size, horizon_days)
    fit = OLS(known, np.ones_like(known)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}, use_t=True
    )
    return float(fit.tvalues[0]), float(fit.pvalues[0])


def q_values(p_values: Vector, method: str) -> Vector:
    """Return the least false discovery rate at which each would count as a discovery.

    Args:
        p_values: Of the whole set; NaN where there was no test, and it counts for none.
        method: ``fdr_bh`` or ``fdr_by``, as ``statsmodels.stats.multitest`` defines them.
    """
    from statsmodels.stats.multitest import multipletests

    adjusted = np.full(p_values.shape, np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        adjusted[tested] = multipletests(p_values[tested], method=method)[1]
    return adjusted
