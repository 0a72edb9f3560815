"""Qlib's exchange with a price limit per board.

Qlib takes one limit for every instrument: a number, or a pair of expressions. Here every board has
a pair of its own, and an instrument is held to that of its board alone.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import numpy as np

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.exchange.boards import Board
from qlops_assets.training.exchange.conditions import Conditions
from qlops_assets.training.exchange.dealing import day_exchange
from qlops_assets.training.exchange.market import market_quotes
from qlops_assets.training.exchange.quotes import DayQuotes

# A number or None would let Qlib fall back to the region's own limit.
_NEVER: Final = "Lt($close,0)"


def board_exchange(conditions: Conditions, codes: Sequence[str], first: date, last: date) -> Any:
    """Return a Qlib exchange that fills orders under the conditions; a session must be open.

    Raises:
        TrainingError: a price to deal at is missing, or shares cannot be counted.
    """
    limits = {text for b in conditions.boards for text in (b.buy_limited, b.sell_limited)}
    made = _exchange_class(conditions)(
        freq="day",
        start_time=first,
        end_time=last,
        codes=list(codes),
        deal_price=conditions.deal_price,
        subscribe_fields=sorted(limits),
        limit_threshold=(_NEVER, _NEVER),
        volume_threshold=_volume_cap(conditions.volume_share),
        open_cost=conditions.open_cost,
        close_cost=conditions.close_cost,
        min_cost=conditions.min_cost,
        trade_unit=conditions.trade_unit or None,
        quote_cls=DayQuotes,
    )
    _require_prices(made, conditions)
    return made


def _exchange_class(conditions: Conditions) -> Any:
    class BoardExchange(day_exchange()):  # type: ignore[misc]
        def get_quote_from_qlib(self) -> None:
            quotes = market_quotes(self.codes, self.all_fields, self.start_time, self.end_time)
            self.quote_df = quotes
            # Shares cannot be counted where a traded bar has no factor.
            self.trade_w_adj_price = bool(
                (quotes["$factor"].isna() & ~quotes["$close"].isna()).any()
            )
            self._update_limit(self.limit_threshold)

        def _update_limit(self, limit_threshold: Any) -> None:
            super()._update_limit(limit_threshold)  # halts
            _mark_limits(self.quote_df, conditions.boards)

    return BoardExchange


def _mark_limits(quotes: Any, boards: Sequence[Board]) -> None:
    """Mark the days on which an instrument is at the limit of its board."""
    undecided = np.ones(len(quotes), dtype=bool)
    for board in boards:
        rows = undecided & _of_board(board, quotes.index)
        undecided &= ~rows
        for side in ("buy", "sell"):
            met = quotes[getattr(board, f"{side}_limited")].fillna(0).astype(bool)
            quotes[f"limit_{side}"] |= met & rows


def _require_prices(exchange: Any, conditions: Conditions) -> None:
    """Refuse what Qlib would replace without a word: the close for a price, parts for shares."""
    quotes = exchange.quote_df
    traded = quotes["$close"].notna()
    missing = int((traded & ~(quotes[exchange.buy_price] > 0)).sum())
    if missing:
        raise TrainingError(
            f"[backtest] deal_price: {conditions.deal_price!r} is missing on {missing} of "
            f"{int(traded.sum())} traded bars of the test; fill it in the source, or choose "
            "'close'"
        )
    if conditions.trade_unit and exchange.trade_w_adj_price:
        raise TrainingError(
            "[backtest] trade_unit: bars of the test have no factor, so that shares cannot be "
            "counted; give the source's factor, or set trade_unit = 0"
        )


def _of_board(board: Board, rows: Any) -> Any:
    codes, places = rows.levels[0], np.asarray(rows.codes[0])
    held = np.array([board.holds_for(code) for code in codes], dtype=bool)[places]
    if board.since is None:
        return held
    return held & (rows.get_level_values("datetime") >= np.datetime64(board.since))


def _volume_cap(share: float | None) -> tuple[str, str] | None:
    # A day without a volume would make an order's amount NaN, and all cash after it.
    return None if share is None else ("current", f"If(Gt($volume,0),{share!r}*$volume,0)")
