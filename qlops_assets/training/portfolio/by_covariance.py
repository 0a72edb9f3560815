"""What the strategies on Qlib's PortfolioOptimizer share: bounds, covariance, one solve."""

from typing import Any, ClassVar, Final

import numpy as np

from qlops_assets.training.portfolio.optimised import Optimised, Problem
from qlops_assets.training.portfolio.risk.covariance import covariance
from qlops_assets.training.portfolio.risk.returns import Floats

# Of delta: what goes into selling remnants. Otherwise hundreds of names stay, with next to nothing
# in each, because the rest of delta is always better spent elsewhere.
_REMNANTS: Final = 0.25


class ByCovariance(Optimised):
    """One of PortfolioOptimizer's methods within bounds; a subclass names it."""

    follows: ClassVar[tuple[str, ...]] = ("most_names", "delta", "least_weight", "most_weight")
    uses_score: ClassVar[bool] = False
    smallest_weight: ClassVar[float] = 0.0  # where the method is not defined at 0

    def weigh(self, problem: Problem) -> Floats:
        """Return the optimal weights.

        Raises:
            RebalanceError: the covariance, the bounds or the solver do not allow any.
        """
        from qlops_assets.training.portfolio.optimizer import BoundedOptimizer

        least, most = self._bounds(problem)
        kept = most > 0
        held, turnover = None, None
        if problem.held is not None and self.backtest.delta is not None:
            held = problem.held[kept]
            turnover = self.backtest.delta - float(problem.held[~kept].sum())
        solve = BoundedOptimizer(
            self.name,
            lamb=self.backtest.lamb,
            least=least[kept],
            most=most[kept],
            turnover=turnover,
        )
        score = problem.score[kept] if self.uses_score else None
        weights = np.zeros(len(kept))
        weights[kept] = solve(covariance(problem.returns[:, kept], self.backtest), score, held)
        return weights

    def _bounds(self, problem: Problem) -> tuple[Floats, Floats]:
        """Return the least and most of each name.

        What is held and no candidate any more can only be sold, and the least of it is, up to a
        part of the change that is allowed; what is held and halted stays.
        """
        backtest, held = self.backtest, problem.held
        least = np.where(problem.is_candidate, backtest.least_weight, 0.0)
        most = np.full(len(least), backtest.most_weight)
        if held is not None and backtest.delta is not None:
            most = np.where(problem.is_candidate, most, held)
            most[_remnants(problem, held, _REMNANTS * backtest.delta)] = 0.0
            halted = ~problem.traded & (held > 0)
            least, most = np.where(halted, held, least), np.where(halted, held, most)
        return np.maximum(least, np.minimum(self.smallest_weight, most)), most


def _remnants(problem: Problem, held: Floats, most: float) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return the places of the smallest holdings that are no candidates, of at most so much."""
    beside = np.flatnonzero(~problem.is_candidate)
    smallest = beside[np.argsort(held[beside], kind="stable")]
    return smallest[np.cumsum(held[smallest]) <= most]
