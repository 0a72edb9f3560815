"""Qlib's executor of a day's orders, without what is computed and never read."""

from collections import defaultdict
from functools import cache
from typing import Any

from qlops_assets.training.exchange.daily_metrics import daily_metrics


@cache
def day_executor() -> type:
    """Return Qlib's executor of orders that are all dealt at one price of their day."""
    from qlib.backtest.executor import SimulatorExecutor

    class DayExecutor(SimulatorExecutor):  # type: ignore[misc]
        def reset_common_infra(self, common_infra: Any, copy_trade_account: bool = False) -> None:
            """Take over the account as Qlib does, with indicators and metrics of our own."""
            super().reset_common_infra(common_infra, copy_trade_account)
            if common_infra.has("trade_account"):
                account = self.trade_account
                account.indicator = _no_indicator()()
                found = account.portfolio_metrics
                if found is not None:
                    account.portfolio_metrics = daily_metrics()(found.freq, found.benchmark_config)

        def _collect_data(self, trade_decision: Any, level: int = 0) -> Any:
            """Deal the orders in turn, as Qlib does.

            Qlib's looks before every order whether a new day has begun, to forget what was dealt
            on the one before. All orders of a decision are of one day: one look is enough.
            """
            if self.verbose:
                return super()._collect_data(trade_decision, level)
            day = self.trade_calendar.get_step_time()[0].floor(freq="D")
            if self.deal_day is None or day > self.deal_day:
                self.dealt_order_amount: dict[str, float] = defaultdict(float)
                self.deal_day: Any = day
            exchange, account, dealt = self.trade_exchange, self.trade_account, []
            for order in self._get_order_iterator(trade_decision):
                found = exchange.deal_order(
                    order, trade_account=account, dealt_order_amount=self.dealt_order_amount
                )
                dealt.append((order, *found))
                self.dealt_order_amount[order.stock_id] += order.deal_amount
            return dealt, {"trade_info": dealt}

    return DayExecutor


@cache
def _no_indicator() -> type:
    """Return indicators of how well each order was executed, which measure nothing.

    They are of trading within a day, and nobody reads them of orders that are all dealt at one
    price.
    """
    from qlib.backtest.report import Indicator

    class NoIndicator(Indicator):  # type: ignore[misc]
        def update_order_indicators(self, trade_info: Any) -> None:
            pass

        def cal_trade_indicators(self, *_: Any, **__: Any) -> None:
            pass

        def record(self, trade_start_time: Any) -> None:
            pass

    return NoIndicator
