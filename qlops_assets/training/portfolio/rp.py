"""Risk parity: every name contributes the same part of the variance.

    min_w  Σ_i (w_i - w' S w / ((S w)_i N))²
    s.t.   least ≤ w ≤ most,  Σ w = 1,  Σ |w - w0| ≤ delta

Source: ``qlib.contrib.strategy.optimizer.PortfolioOptimizer``, method ``rp``; bounds are ours.
"""

from qlops_assets.training.portfolio.by_covariance import ByCovariance


class RiskParity(ByCovariance):
    """Equal contributions to risk: w_i (S w)_i is the same for every i."""

    name = "rp"
    # At a weight of 0 nothing is contributed, and (S w)_i, by which is divided, may be 0.
    smallest_weight = 1e-5
