"""The standard error of a mean of daily figures that resemble those of the day before."""

import numpy as np
from numpy.typing import NDArray

from qlops_assets.factors.analysis.inference import newey_west_lags


def mean_error(days: NDArray[np.float64], horizon_days: int) -> float:
    """Return Newey and West's standard error: Bartlett weights, small-sample correction.

    Computed by statsmodels, as least squares on a constant. 0 where all days are the same.

    Args:
        days: Figures of at least two days, in order, without NaN.
        horizon_days: Over how many days neighbouring figures overlap.
    """
    from statsmodels.regression.linear_model import OLS

    if days.min() == days.max():
        return 0.0
    lags = {"maxlags": newey_west_lags(days.size, horizon_days), "use_correction": True}
    return float(OLS(days, np.ones_like(days)).fit(cov_type="HAC", cov_kwds=lags).bse[0])
