"""What the account holds, and the signal, in forms that a simulation of many days asks quickly."""

import copy
from functools import cache
from typing import Any, Final

_NO_STOCKS: Final = ("cash", "now_account_value", "cash_delay")


@cache
def ordered_position() -> type:
    """Return Qlib's position, for ``pos_type`` of its backtest.

    Instruments come in the order in which they were bought, not in that of a set of texts, which
    is another in every process: sums are the same to the last bit. A copy, of which Qlib makes two
    a day, is one of two dictionaries.
    """
    from qlib.backtest.position import Position

    class OrderedPosition(Position):  # type: ignore[misc]
        def get_stock_list(self) -> list[str]:
            return [name for name in self.position if name not in _NO_STOCKS]

        def __deepcopy__(self, memo: dict[int, Any]) -> "OrderedPosition":
            made = copy.copy(self)
            made.position = {
                name: dict(held) if isinstance(held, dict) else held
                for name, held in self.position.items()
            }
            return made

    return OrderedPosition


@cache
def unmeasured_executor() -> type:
    """Return Qlib's executor of a day's orders, without indicators of how well each was executed.

    They are of trading within a day, and nobody reads them of orders that are all dealt at one
    price.
    """
    from qlib.backtest.executor import SimulatorExecutor
    from qlib.backtest.report import Indicator

    class NoIndicator(Indicator):  # type: ignore[misc]
        def update_order_indicators(self, trade_info: Any) -> None:
            pass

        def cal_trade_indicators(self, *_: Any, **__: Any) -> None:
            pass

        def record(self, trade_start_time: Any) -> None:
            pass

    class UnmeasuredExecutor(SimulatorExecutor):  # type: ignore[misc]
        def reset_common_infra(self, common_infra: Any, copy_trade_account: bool = False) -> None:
            super().reset_common_infra(common_infra, copy_trade_account)
            if common_infra.has("trade_account"):
                self.trade_account.indicator = NoIndicator()

    return UnmeasuredExecutor


def by_day(signal: Any) -> Any:
    """Return a signal of Qlib's whose scores are cut into days beforehand.

    Args:
        signal: ``SignalWCache`` of one score by (datetime, instrument); any other comes back as it
            is.
    """
    import numpy as np
    import pandas as pd
    from qlib.backtest.signal import Signal, SignalWCache

    scores = getattr(signal, "signal_cache", None)
    if type(signal) is not SignalWCache or not isinstance(scores, pd.Series):
        return signal
    scores = scores.sort_index()
    starts = scores.index.get_level_values("datetime").to_numpy()
    days, begins = np.unique(starts, return_index=True)
    ends = [*begins[1:], len(scores)]
    own = scores.droplevel("datetime")

    class DaySignal(Signal):  # type: ignore[misc]
        def get_signal(self, start_time: Any, end_time: Any) -> Any:
            first = int(np.searchsorted(days, start_time.to_datetime64(), side="left"))
            last = int(np.searchsorted(days, end_time.to_datetime64(), side="right"))
            if last <= first:
                return None
            if last > first + 1:  # the newest score of each
                return signal.get_signal(start_time, end_time)
            return own.iloc[begins[first] : ends[first]]

    return DaySignal()
