"""Global minimum variance.

    min_w  w' S w    s.t.  least ≤ w ≤ most,  Σ w = 1,  Σ |w - w0| ≤ delta

Source: ``qlib.contrib.strategy.optimizer.PortfolioOptimizer``, method ``gmv``; bounds are ours.
"""

from qlops_assets.training.portfolio.by_covariance import ByCovariance


class MinimumVariance(ByCovariance):
    """The least variance that the candidates allow."""

    name = "gmv"
