"""Price limits by board: which instruments they hold for, since when, and what hits them.

A board is a pair of Qlib expressions, as Qlib's exchange takes for a whole market: true on a day
on which an instrument cannot be bought, or sold.

Sources of the Chinese ones: the exchanges' trading rules (main boards 10 %, STAR 20 % since its
opening, ChiNext 20 % since 24 August 2020 and 10 % before, Beijing 30 %), and Qlib's convention
that a limit of 10 % is met at 9.5 %, because limit prices are rounded to a cent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from qlops_assets.core.columns import FIELDS
from qlops_assets.core.errors import ExpressionError, TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings, BoardSettings
from qlops_assets.factors.grammar.names import require_fields
from qlops_assets.factors.grammar.parser import parse

_CHINEXT_REFORM: Final = date(2020, 8, 24)


@dataclass(frozen=True, slots=True)
class Board:
    """A named price limit; ``codes`` are beginnings of codes, ``since`` its first day."""

    name: str
    buy_limited: str
    sell_limited: str
    codes: tuple[str, ...] = ()
    since: date | None = None

    def holds_for(self, code: str) -> bool:
        """Whether an instrument's code is of this board."""
        return not self.codes or code.startswith(self.codes)

    def to_json(self) -> dict[str, Any]:
        """Return the board as a document."""
        return {**asdict(self), "since": self.since and self.since.isoformat()}


def price_limits(backtest: BacktestSettings, region: str) -> tuple[Board, ...]:
    """Return the boards as set, else those of the region, in the order in which they are tried.

    Raises:
        TrainingError: an expression cannot be read, or looks at later days.
    """
    if backtest.boards is None:
        return default_boards(region, backtest.deal_price)
    boards = tuple(_board(name, limit) for name, limit in backtest.boards.items())
    for board in boards:
        for key in ("buy_limited", "sell_limited"):
            _require_expression(board.name, key, getattr(board, key))
    return boards


def default_boards(region: str, deal_price: str) -> tuple[Board, ...]:
    """Return the boards of a region; none for ``us``, whose stocks have no daily limit.

    The move that meets a limit is that of the price at which orders are filled.
    """
    if region != "cn":
        return ()
    return (
        _symmetric("star", 0.195, deal_price, ("SH688", "SH689")),
        _symmetric("chinext", 0.195, deal_price, ("SZ30",), _CHINEXT_REFORM),
        _symmetric("beijing", 0.295, deal_price, ("BJ",)),
        _symmetric("main", 0.095, deal_price),
    )


def board_sizes(boards: Iterable[Board], codes: Iterable[str]) -> Mapping[str, int]:
    """Return the name of each board, and how many of the instruments it holds for at the end."""
    known = tuple(boards)
    sizes = dict.fromkeys((board.name for board in known), 0)
    for code in codes:
        first = next((board.name for board in known if board.holds_for(code)), None)
        if first is not None:
            sizes[first] += 1
    return sizes


def _symmetric(
    name: str, limit: float, price: str, codes: tuple[str, ...] = (), since: date | None = None
) -> Board:
    # $change is of the close; the day's other prices are set against the same close before.
    move = "$change" if price == "close" else f"(${price}/$close*(1+$change)-1)"
    return Board(name, f"Ge({move},{limit:g})", f"Le({move},-{limit:g})", codes, since)


def _board(name: str, limit: BoardSettings) -> Board:
    codes = tuple(code.strip().upper() for code in limit.codes)
    return Board(name, limit.buy_limited, limit.sell_limited, codes, limit.since)


def _require_expression(name: str, key: str, text: str) -> None:
    try:
        parse(text)
        require_fields(text, FIELDS)
    except ExpressionError as error:
        raise TrainingError(f"[backtest.boards.{name}] {key}: {error}") from error
