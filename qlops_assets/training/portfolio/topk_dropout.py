"""TopkDropout: hold the best scores, exchange a few of the worst held a day. Equal money each.

Source: ``qlib.contrib.strategy.TopkDropoutStrategy``.
"""

from typing import Any

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.training.portfolio.strategy import (
    Holdings,
    Inputs,
    require_followed,
    usual_topk,
)
from qlops_assets.training.portfolio.topk_orders import day_topk_dropout


class TopkDropout:
    """Qlib's own strategy, with the orders that it makes."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    @classmethod
    def require(cls, backtest: BacktestSettings) -> None:
        """Refuse settings of the optimisers.

        Raises:
            TrainingError: one is set.
        """
        require_followed("topk-dropout", backtest, ())

    @classmethod
    def identity(cls, backtest: BacktestSettings) -> dict[str, Any]:
        """Return nothing: ``topk`` and ``n_drop`` are the training's."""
        return {}

    @classmethod
    def choose_holdings(
        cls, training: TrainingSettings, backtest: BacktestSettings, universe_size: int
    ) -> Holdings:
        """Return the holdings as set, else 50/5 for 200 or more and in proportion below.

        Raises:
            TrainingError: holdings and exchanges exceed half the universe: every signal would
                then hold nearly the same instruments.
        """
        topk = usual_topk(universe_size) if training.topk is None else training.topk
        n_drop = max(1, topk // 10) if training.n_drop is None else training.n_drop
        if topk + n_drop > max(2, universe_size // 2):
            raise TrainingError(
                f"[training] topk + n_drop: was {topk} + {n_drop}, must be at most half of the "
                f"{universe_size} instruments of a test day"
            )
        return Holdings(topk, n_drop)

    def build(self) -> Any:
        """Return ``TopkDropoutStrategy``, which finds a day's orders faster."""
        made, holdings = self._inputs, self._inputs.holdings
        return day_topk_dropout()(signal=made.score, topk=holdings.topk, n_drop=holdings.n_drop)

    def facts(self) -> dict[str, Any]:
        """Return nothing: its turnover says it all."""
        return {}
