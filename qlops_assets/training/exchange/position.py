"""What the account holds, in a form that a simulation of many days asks quickly."""

import copy
from functools import cache
from math import inf
from typing import Any, Final

_NO_STOCKS: Final = ("cash", "now_account_value", "cash_delay")
# Defaults of np.isclose, by which Qlib tells that all of a stock is sold.
_LEAST_GAP: Final = 1e-8
_LEAST_SHARE: Final = 1e-5


def is_close(number: float, other: float) -> bool:
    """Return what ``np.isclose`` says of two finite numbers, in a hundredth of its time.

    The arithmetic is its own. What is infinite or no number is close to nothing: who asks here
    leaves what is not close to Qlib, which asks ``np.isclose`` again.
    """
    return bool(abs(number - other) <= _LEAST_GAP + _LEAST_SHARE * abs(other) < inf)


@cache
def ordered_position() -> type:
    """Return Qlib's position, for ``pos_type`` of its backtest.

    Instruments come in the order in which they were bought, not in that of a set of texts, which
    is another in every process: sums are the same to the last bit. A copy, of which Qlib makes up
    to two a day, is one of two dictionaries.
    """
    from qlib.backtest.position import Position

    class OrderedPosition(Position):  # type: ignore[misc]
        def get_stock_list(self) -> list[str]:
            return [name for name in self.position if name not in _NO_STOCKS]

        def _sell_stock(
            self, stock_id: str, trade_val: float, cost: float, trade_price: float
        ) -> None:
            """Sell, as Qlib does: what is all of a stock is removed, and the cash comes at once.

            Sales of a part, and cash that comes later, are left to Qlib.
            """
            held, settle = self.position.get(stock_id), self._settle_type
            is_all = held is not None and is_close(held["amount"], trade_val / trade_price)
            if not is_all or settle != self.ST_NO:
                super()._sell_stock(stock_id, trade_val, cost, trade_price)
                return
            self._del_stock(stock_id)
            self.position["cash"] += trade_val - cost

        def __deepcopy__(self, memo: dict[int, Any]) -> "OrderedPosition":
            made = copy.copy(self)
            made.position = {
                name: dict(held) if isinstance(held, dict) else held
                for name, held in self.position.items()
            }
            return made

    return OrderedPosition
