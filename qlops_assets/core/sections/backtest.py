"""``[backtest]``: how the test predictions are traded, and by which strategy."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """``[backtest.boards.NAME]``: the price limit of some instruments.

    Attributes:
        codes: How their codes begin, such as ``SZ30``; none means every instrument.
        buy_limited: Qlib expression, true on a day on which they cannot be bought.
        sell_limited: Qlib expression, true on a day on which they cannot be sold.
        since: First day on which it holds; always where None.
    """

    buy_limited: str
    sell_limited: str
    codes: tuple[str, ...] = ()
    since: date | None = None


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """``[backtest]``: the market of the backtest and the strategy that trades in it.

    Starting cash, region, and ``topk`` and ``n_drop`` of TopkDropout are in ``[training]``.

    Attributes:
        strategy: A name of the strategy catalog.
        deal_price: ``close``, ``open`` or ``vwap`` of the day after the signal.
        open_cost: Share of a purchase's value; by region where None.
        close_cost: Share of a sale's value; by region where None.
        min_cost: Least cost of an order, in cash; by region where None.
        trade_unit: Orders are multiples of so many raw shares, 0 for any part of one; by region
            where None.
        volume_share: Share of a day's volume that an order may take; any where None.
        boards: Name -> price limit; the first whose codes and day fit an instrument holds. By
            region where None.
        most_names: The so many best scores are what ``inv``, ``gmv``, ``mvo`` and ``rp`` choose
            among; ``[training] topk``, or as many as its default, where None.
        rebalance_days: Weights are chosen anew every so many trading days.
        look_back_days: Daily returns up to the signal's day that the covariance is estimated from.
        risk_model: ``shrink``, ``poet`` or ``structured``; where None ``structured`` for
            ``enhanced-indexing``, else ``shrink``.
        risk_factors: Latent factors of ``structured`` and ``poet``.
        lamb: Aversion to risk of ``mvo`` and ``enhanced-indexing``.
        delta: Most that weights may change at a rebalance, bought and sold together; unbounded
            where None.
        least_weight: Of every name that is chosen among.
        most_weight: Of every name.
        benchmark_deviation: Most that ``enhanced-indexing`` departs from a benchmark's weight.
        benchmark_weights: Parquet file of ``instrument, date, weight``; equal weights where None.
        most_failed_share: Share of rebalances that may fail, which keep what is held.
    """

    strategy: str = "topk-dropout"
    deal_price: str = "close"
    open_cost: float | None = None
    close_cost: float | None = None
    min_cost: float | None = None
    trade_unit: int | None = None
    volume_share: float | None = None
    boards: dict[str, BoardSettings] | None = None
    most_names: int | None = None
    rebalance_days: int = 5
    look_back_days: int = 120
    risk_model: str | None = None
    risk_factors: int = 10
    lamb: float = 1.0
    delta: float | None = None
    least_weight: float = 0.0
    most_weight: float = 1.0
    benchmark_deviation: float = 0.01
    benchmark_weights: Path | None = None
    most_failed_share: float = 0.1
