"""Mean and variance: score against risk.

    min_w  -w' r + lamb w' S w    s.t.  least ≤ w ≤ most,  Σ w = 1,  Σ |w - w0| ≤ delta

``r`` is the score, scaled to the typical volatility: r / std(r) · sqrt(mean(diag S)).

Source: ``qlib.contrib.strategy.optimizer.PortfolioOptimizer``, method ``mvo``; bounds are ours.
"""

from typing import ClassVar

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.training.portfolio.by_covariance import ByCovariance
from qlops_assets.training.portfolio.optimised import Problem
from qlops_assets.training.portfolio.risk.returns import Floats
from qlops_assets.training.portfolio.strategy import RebalanceError


class MeanVariance(ByCovariance):
    """The best score for its risk; ``lamb`` is the aversion to risk."""

    name = "mvo"
    follows: ClassVar[tuple[str, ...]] = (*ByCovariance.follows, "lamb")
    uses_score = True

    @classmethod
    def require(cls, backtest: BacktestSettings) -> None:
        """Refuse what every strategy refuses, and no aversion to risk.

        Raises:
            TrainingError: see above.
        """
        super().require(backtest)
        if backtest.lamb == 0:
            raise TrainingError(
                "[backtest] lamb: was 0, must be above 0 for mvo: without aversion to risk "
                "everything goes into the best scores that the bounds allow"
            )

    def weigh(self, problem: Problem) -> Floats:
        """Return the optimal weights."""
        require_scores(problem.score)
        return super().weigh(problem)


def require_scores(score: Floats) -> None:
    """Refuse scores that are all the same: Qlib divides by their deviation.

    Raises:
        RebalanceError: they are.
    """
    if not score.std() > 0:
        raise RebalanceError(f"the scores of all {len(score)} names are the same")
