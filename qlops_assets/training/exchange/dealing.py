"""Qlib's exchange over the quotes of days: the same answers about an order, in fewer steps."""

from functools import cache
from typing import Any, Final

from qlops_assets.training.exchange.position import is_close

# Qlib's: an order of less is not dealt, and costs nothing.
_LEAST_VALUE: Final = 1e-5


@cache
def day_exchange() -> type:
    """Return Qlib's exchange, for ``DayQuotes`` as its quotes."""
    from qlib.backtest.decision import Order
    from qlib.backtest.exchange import Exchange

    class DayExchange(Exchange):  # type: ignore[misc]
        def check_stock_suspended(self, stock_id: str, start_time: Any, end_time: Any) -> bool:
            """Return what Qlib does, by a table of one number where a holiday follows."""
            suspended = self.quote.is_suspended(stock_id, start_time, end_time)
            if suspended is None:
                return bool(super().check_stock_suspended(stock_id, start_time, end_time))
            return bool(suspended)

        def _calc_trade_info_by_order(
            self, order: Any, position: Any, dealt_order_amount: dict[str, float]
        ) -> Any:
            """Return an order's price, value and cost, and set what is dealt of it, as Qlib does.

            Qlib's clips an order by the volume, by what is held and by the cash, and adds its
            impact to the cost. A plain sale is clipped by nothing but the cash, where that does
            not even pay the cost: that one and every other order are left to Qlib.
            """
            if self._is_plain_sale(order, position):
                place = (order.stock_id, order.start_time, order.end_time)
                price = self.get_deal_price(*place, direction=order.direction)
                value = order.amount * price
                cost = max(value * self.close_cost, self.min_cost)
                if not position.get_cash() + value < cost:
                    order.factor, order.deal_amount = self.get_factor(*place), order.amount
                    return price, value, cost if value > _LEAST_VALUE else 0
            return super()._calc_trade_info_by_order(order, position, dealt_order_amount)

        def _is_plain_sale(self, order: Any, position: Any) -> bool:
            """Whether all that is held is sold, without a cap by the volume or an impact."""
            return (
                order.direction == Order.SELL
                and position is not None
                and self.sell_vol_limit is None
                and self.impact_cost == 0
                and is_close(order.amount, position.get_stock_amount(order.stock_id))
            )

    return DayExchange
