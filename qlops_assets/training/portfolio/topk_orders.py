"""Qlib's TopkDropout over arrays: the same orders, without a series for every question of a day."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qlops_assets.training.portfolio.risk.returns import Floats

if TYPE_CHECKING:
    import pandas as pd

Codes = list[str]
Tradable = Callable[[str], bool]


class DayScores:
    """Scores of one day."""

    def __init__(self, codes: Codes, values: Floats) -> None:
        self._codes: NDArray[np.object_] = np.array(codes, dtype=object)
        self._values = values
        self._places = {code: place for place, code in enumerate(codes)}

    @classmethod
    def read(cls, score: "pd.Series[float] | pd.DataFrame | None") -> "DayScores | None":
        """Return the scores of a signal; None where they are not one number by instrument."""
        if score is None or score.ndim != 1 or score.dtype.kind != "f":
            return None
        values: Any = score.to_numpy()
        found = cls(score.index.tolist(), values)
        return found if len(found._places) == len(score) else None

    def ranked(self, codes: Codes) -> Codes:
        """Return instruments by their scores, the best first, those without one last.

        As ``score.reindex(codes).sort_values(ascending=False).index``.
        """
        values = np.full(len(codes), np.nan, dtype=self._values.dtype)
        for number, code in enumerate(codes):
            place = self._places.get(code)
            if place is not None:
                values[number] = self._values[place]
        return [codes[number] for number in _descending(values)]

    def ranked_without(self, codes: Codes) -> Codes:
        """Return all other instruments by their scores.

        As ``score[~score.index.isin(codes)].sort_values(ascending=False).index``.
        """
        others = np.ones(len(self._values), dtype=bool)
        others[[self._places[code] for code in codes if code in self._places]] = False
        found: Codes = self._codes[others][_descending(self._values[others])].tolist()
        return found


def _descending(values: Floats) -> NDArray[np.intp]:
    """Return the order in which pandas sorts numbers downwards, what is no number last.

    It is numpy's quicksort of what is reversed, reversed: equal scores come in the same order too.
    """
    missing = np.isnan(values)
    known = np.flatnonzero(~missing)[::-1]
    order = known[np.argsort(values[known], kind="quicksort")][::-1]
    return np.concatenate([order, np.flatnonzero(missing)])


def choose(
    scores: DayScores, held: Codes, topk: int, n_drop: int, is_tradable: Tradable | None
) -> tuple[Codes, Codes]:
    """Return which instruments TopkDropout sells, and which it buys.

    Line by line what ``TopkDropoutStrategy`` does by its methods "bottom" and "top".

    Args:
        scores: Of the day before.
        held: What is held.
        topk: How many instruments are to be held.
        n_drop: How many of them are exchanged.
        is_tradable: Whether an instrument may be chosen; any may where None.
    """
    last = scores.ranked(held)
    best = _first(scores.ranked_without(held), n_drop + topk - len(last), is_tradable)
    # An index joined to an empty one stays as it is; any other union is sorted.
    both = scores.ranked(sorted([*last, *best]) if last and best else [*last, *best])
    worst = set(_last(both, n_drop, is_tradable))
    sell = [code for code in last if code in worst]
    return sell, best[: len(sell) + topk - len(last)]


def _first(codes: Codes, number: int, is_tradable: Tradable | None) -> Codes:
    """Return Qlib's ``get_first_n``, which stops after a tradable one, even if none is asked."""
    if is_tradable is None:
        return codes[:number]
    found = []
    for code in codes:
        if is_tradable(code):
            found.append(code)
            if len(found) >= number:
                break
    return found


def _last(codes: Codes, number: int, is_tradable: Tradable | None) -> Codes:
    """Return Qlib's ``get_last_n``, which of 0 are all."""
    if is_tradable is None:
        return codes[-number:]
    return _first(codes[::-1], number, is_tradable)[::-1]


@dataclass(frozen=True, slots=True)
class _Day:
    """What Qlib's exchange says of a day, and the orders that TopkDropout makes there."""

    exchange: Any
    start: Any
    end: Any

    def is_tradable(self, code: str, side: Any = None) -> bool:
        """Whether an instrument can be bought and sold, or traded on one side."""
        return bool(self.exchange.is_stock_tradable(code, self.start, self.end, side))

    def sales(self, position: Any, codes: Codes, side: Any) -> tuple[list[Any], float]:
        """Return orders to sell all of some instruments, and the cash after them.

        Qlib deals them to a copy of the position. A sale changes the cash and what it sells: no
        more than that is copied here.
        """
        from qlib.backtest.decision import OrderDir

        left = copy.copy(position)
        left.position = {**position.position, **{c: {**position.position[c]} for c in codes}}
        orders, cash = [], position.get_cash()
        for code in codes:
            if self.is_tradable(code, side):
                order = self._order(code, position.get_stock_amount(code), OrderDir.SELL)
                if self.exchange.check_order(order):
                    orders.append(order)
                    value, cost, _price = self.exchange.deal_order(order, position=left)
                    cash += value - cost
        return orders, cash

    def purchases(self, money: float, codes: Codes, side: Any) -> list[Any]:
        """Return orders for the same money of each instrument, in whole units."""
        from qlib.backtest.decision import OrderDir

        orders, when = [], (self.start, self.end)
        each = money / len(codes) if codes else 0.0
        for code in codes:
            if self.is_tradable(code, side):
                price = self.exchange.get_deal_price(code, *when, direction=OrderDir.BUY)
                factor = self.exchange.get_factor(code, *when)
                amount = self.exchange.round_amount_by_trade_unit(each / price, factor)
                orders.append(self._order(code, amount, OrderDir.BUY))
        return orders

    def _order(self, code: str, amount: float, side: Any) -> Any:
        from qlib.backtest.decision import Order

        return Order(code, amount, side, self.start, self.end)


@cache
def day_topk_dropout() -> type:
    """Return Qlib's ``TopkDropoutStrategy``, with a decision of the same orders."""
    from qlib.backtest.decision import OrderDir, TradeDecisionWO
    from qlib.contrib.strategy import TopkDropoutStrategy

    class DayTopkDropout(TopkDropoutStrategy):  # type: ignore[misc]
        def generate_trade_decision(self, execute_result: Any = None) -> Any:
            """Return the orders of a day.

            Qlib's ranks by five pandas series a day, asks of all that is held whether it may be
            sold before it looks which are to be, and copies the whole position to try the sales.
            What is chosen at random, and a signal that is no series of numbers, is left to it.
            """
            calendar, position = self.trade_calendar, self.trade_position
            start, end = calendar.get_step_time(shift=1)
            scores = DayScores.read(self.signal.get_signal(start_time=start, end_time=end))
            if scores is None or (self.method_sell, self.method_buy) != ("bottom", "top"):
                return super().generate_trade_decision(execute_result)
            day = _Day(self.trade_exchange, *calendar.get_step_time())
            held = position.get_stock_list()
            is_tradable = day.is_tradable if self.only_tradable else None
            sell, buy = choose(scores, held, self.topk, self.n_drop, is_tradable)
            old = [code for code in held if code in sell and self._is_held_long(code)]
            # The side of whose limit alone an order is stopped; None is either.
            is_either = self.forbid_all_trade_at_limit
            sales, cash = day.sales(position, old, None if is_either else OrderDir.SELL)
            money = cash * self.risk_degree
            purchases = day.purchases(money, buy, None if is_either else OrderDir.BUY)
            return TradeDecisionWO(sales + purchases, self)

        def _is_held_long(self, code: str) -> bool:
            days = self.trade_position.get_stock_count(code, bar=self.trade_calendar.get_freq())
            return bool(days >= self.hold_thresh)

    return DayTopkDropout
