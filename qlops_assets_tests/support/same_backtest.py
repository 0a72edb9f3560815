"""Backtests by Qlib's own classes and by ours, of the same signal on the same quotes."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.exchange.conditions import trading_conditions
from qlops_assets_tests.support.trading import Market, random_market, write_market

CONDITIONS = (
    ("cn", BacktestSettings()),
    ("cn", BacktestSettings(volume_share=0.02, min_cost=300.0)),
    ("us", BacktestSettings(trade_unit=0)),
)


@dataclass(frozen=True)
class Traded:
    """What a backtest leaves: orders by day, the report, and positions by day."""

    orders: list[list[Any]]
    report: pd.DataFrame
    positions: dict[Any, list[Any]]

    def require_same(self, other: "Traded") -> None:
        """Assert that the other is equal to the last bit."""
        assert self.orders == other.orders
        assert self.positions == other.positions
        pd.testing.assert_frame_equal(self.report, other.report, check_exact=True)


@dataclass
class Arena:
    """A market with some days halted and at its limits; exchanges by the place of conditions."""

    market: Market
    ours: list[Any]
    theirs: list[Any] = field(default_factory=list)

    def by_ours(self, score: Any, place: int, account: float = 1e6, **chosen: Any) -> Traded:
        """Trade by our strategy, executor, position, metrics and exchange."""
        from qlops_assets.training.exchange.executor import day_executor
        from qlops_assets.training.exchange.position import ordered_position
        from qlops_assets.training.exchange.signal import by_day
        from qlops_assets.training.portfolio.topk_orders import day_topk_dropout

        strategy = day_topk_dropout()(signal=score, **chosen)
        strategy.signal = by_day(strategy.signal)
        return self._trade(self.ours[place], strategy, day_executor(), ordered_position(), account)

    def by_theirs(
        self,
        score: Any,
        place: int,
        account: float = 1e6,
        executor: type | None = None,
        **chosen: Any,
    ) -> Traded:
        """Trade by Qlib's own, but for the order of a position: its is that of a set of texts."""
        from qlib.backtest.executor import SimulatorExecutor
        from qlib.backtest.position import Position
        from qlib.contrib.strategy import TopkDropoutStrategy

        class InOrder(Position):  # type: ignore[misc]
            def get_stock_list(self) -> list[str]:
                listed = set(super().get_stock_list())
                return [code for code in self.position if code in listed]

        strategy = TopkDropoutStrategy(signal=score, **chosen)
        return self._trade(
            self.theirs[place], strategy, executor or SimulatorExecutor, InOrder, account
        )

    def _trade(
        self, exchange: Any, strategy: Any, executor: type, position: type, account: float
    ) -> Traded:
        from qlib.backtest import collect_data

        found: dict[str, Any] = {}
        days = self.market.days
        returns = np.random.default_rng(len(days)).normal(0, 0.01, len(days))
        returns[2] = np.nan
        decisions = collect_data(
            start_time=days[0],
            end_time=days[-1],
            account=account,
            benchmark=pd.Series(returns, pd.DatetimeIndex(days)).drop(pd.Timestamp(days[4])),
            strategy=strategy,
            executor={
                "class": executor,
                "kwargs": {
                    "time_per_step": "day",
                    "generate_portfolio_metrics": True,
                    "track_data": True,
                },
            },
            exchange_kwargs={"exchange": exchange},
            pos_type=position,
            return_value=found,
        )
        orders = [decision.get_decision() for decision in decisions]
        report, positions = found["portfolio_dict"]["1day"]
        held = {day: list(position.position.items()) for day, position in positions.items()}
        return Traded(orders, report, held)


@contextmanager
def open_arena(folder: Path, *, names: int = 12, days: int = 12) -> Iterator[Arena]:
    """Write a market and open a session on it."""
    from qlib.backtest.exchange import Exchange
    from qlib.backtest.high_performance_ds import NumpyQuote

    from qlops_assets.training.exchange.exchange import board_exchange

    market = random_market(5, names=names, days=days, halts=0.15)
    provider = write_market(market, folder)
    codes = sorted(market.close)
    with qlib_session(provider):
        arena = Arena(market, [])
        for region, chosen in CONDITIONS:
            made = board_exchange(
                trading_conditions(chosen, region), codes, market.days[0], market.days[-1]
            )
            plain = copy.copy(made)
            plain.__class__ = Exchange
            plain.quote = NumpyQuote(made.quote_df, "day")
            arena.ours.append(made)
            arena.theirs.append(plain)
        yield arena
