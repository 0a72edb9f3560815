"""The bridge to Qlib: one WeightStrategyBase for every strategy that chooses weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class Chooser(Protocol):
    """What chooses the weights of a day."""

    def target(
        self, day: np.datetime64, score: "pd.Series[float]", held: Mapping[str, float]
    ) -> dict[str, float] | None:
        """Return weights by instrument; None keeps what is held."""


def weight_strategy(score: "pd.Series[float]", chooser: Chooser, every_days: int) -> Any:
    """Return a Qlib strategy that trades to a chooser's weights every so many days."""
    from qlib.contrib.strategy.signal_strategy import WeightStrategyBase

    class ByWeights(WeightStrategyBase):  # type: ignore[misc]
        asked = 0

        def generate_target_weight_position(
            self, score: "pd.Series[float]", current: Any, *_: Any, **__: Any
        ) -> dict[str, float] | None:
            """Return the weights of the signal's day, the one before; None keeps holdings."""
            due = self.asked % every_days == 0
            self.asked += 1
            if not due:
                return None
            calendar, held = self.trade_calendar, {}
            day, _end = calendar.get_step_time(calendar.get_trade_step(), shift=1)
            if current.get_stock_list():
                held = current.get_stock_weight_dict(only_stock=True)
            return chooser.target(day.to_datetime64().astype("datetime64[D]"), score, held)

    return ByWeights(signal=score)
