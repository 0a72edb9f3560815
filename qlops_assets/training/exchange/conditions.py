"""What trading costs and how orders are cut, by region and as set."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.training.exchange.boards import Board, price_limits

DEAL_PRICES: Final = ("close", "open", "vwap")


@dataclass(frozen=True, slots=True)
class Region:
    """A market's costs (shares of an order's value, cash), trade unit and trading days a year."""

    open_cost: float
    close_cost: float
    min_cost: float
    trade_unit: int
    days_a_year: int


# Qlib's own settings of its benchmark workflows (CN) and a plain commission (US). Qlib annualises
# by 238 days, which is China's year.
REGIONS: Final[Mapping[str, Region]] = MappingProxyType(
    {
        "cn": Region(0.0005, 0.0015, 5.0, 100, 238),
        "us": Region(0.0005, 0.0005, 0.0, 1, 252),
    }
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The market of a backtest; nothing in it is left to a default of Qlib's.

    Attributes:
        region: Qlib's name of the region.
        deal_price: Field that orders are filled at.
        open_cost: Share of a purchase's value.
        close_cost: Share of a sale's value.
        min_cost: Least cost of an order, in cash.
        trade_unit: Raw shares that orders are multiples of; 0 for any part of one.
        volume_share: Share of a day's volume that an order may take; any where None.
        boards: Price limits in the order in which they are tried.
    """

    region: str
    deal_price: str
    open_cost: float
    close_cost: float
    min_cost: float
    trade_unit: int
    volume_share: float | None
    boards: tuple[Board, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the conditions as a document."""
        names = [name for name in self.__slots__ if name != "boards"]
        return {
            **{name: getattr(self, name) for name in names},
            "boards": [board.to_json() for board in self.boards],
        }


def trading_conditions(backtest: BacktestSettings, region: str) -> Conditions:
    """Return the conditions as set, else those of the region.

    Raises:
        TrainingError: the region or the price is unknown, a number is out of range, or a price
            limit cannot be read.
    """
    if region not in REGIONS:
        raise TrainingError(
            f"[training] region: was {region!r}, must be one of {', '.join(REGIONS)}"
        )
    if backtest.deal_price not in DEAL_PRICES:
        raise TrainingError(
            f"[backtest] deal_price: was {backtest.deal_price!r}, must be one of "
            f"{', '.join(DEAL_PRICES)}"
        )
    usual = REGIONS[region]
    found = Conditions(
        region=region,
        deal_price=backtest.deal_price,
        open_cost=_either(backtest.open_cost, usual.open_cost),
        close_cost=_either(backtest.close_cost, usual.close_cost),
        min_cost=_either(backtest.min_cost, usual.min_cost),
        trade_unit=usual.trade_unit if backtest.trade_unit is None else backtest.trade_unit,
        volume_share=backtest.volume_share,
        boards=price_limits(backtest, region),
    )
    _require_ranges(found)
    return found


def _either(given: float | None, usual: float) -> float:
    return usual if given is None else given


def _require_ranges(found: Conditions) -> None:
    for name in ("open_cost", "close_cost"):
        value = getattr(found, name)
        if not 0 <= value < 1:
            raise TrainingError(f"[backtest] {name}: was {value:g}, must be 0 or more and below 1")
    for name in ("min_cost", "trade_unit"):
        value = getattr(found, name)
        if value < 0:
            raise TrainingError(f"[backtest] {name}: was {value:g}, must be 0 or more")
    share = found.volume_share
    if share is not None and not 0 < share <= 1:
        raise TrainingError(
            f"[backtest] volume_share: was {share:g}, must be above 0 and at most 1"
        )
