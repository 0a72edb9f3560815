"""Inverse volatility: a name's weight is one over the volatility of its returns.

    w_i = (1 / σ_i) / Σ_j (1 / σ_j)

Source: ``qlib.contrib.strategy.optimizer.PortfolioOptimizer``, method ``inv``.
"""

from typing import ClassVar

from qlops_assets.training.portfolio.optimised import Optimised, Problem
from qlops_assets.training.portfolio.optimizer import require_weights
from qlops_assets.training.portfolio.risk.covariance import covariance
from qlops_assets.training.portfolio.risk.returns import Floats


class InverseVolatility(Optimised):
    """Closed form: it takes neither bounds nor what is held."""

    name = "inv"
    follows: ClassVar[tuple[str, ...]] = ("most_names",)

    def weigh(self, problem: Problem) -> Floats:
        """Return the weights."""
        from qlib.contrib.strategy.optimizer import PortfolioOptimizer

        optimizer = PortfolioOptimizer(self.name)
        return require_weights(optimizer(covariance(problem.returns, self.backtest)))
