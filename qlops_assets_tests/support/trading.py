"""A market of exact prices to trade in, and a second simulator: plain loops over Qlib's rules.

Prices are multiples of 1/64 and factors powers of two, so that float32 holds them exactly and cash
can be compared to the last digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import Benchmark
from qlops_assets.lake.qlib_bin import write_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import simulate
from qlops_assets.training.exchange.conditions import Conditions, trading_conditions
from qlops_assets.training.portfolio.catalog import STRATEGIES
from qlops_assets.training.portfolio.strategy import Inputs
from qlops_assets_tests.support.market import weekdays


@dataclass(frozen=True)
class Market:
    """A market: closes by code (None: halted), volumes, factors, and scores by day and code."""

    days: list[date]
    close: Mapping[str, Sequence[float | None]]
    score: Mapping[str, Sequence[float]]
    volume: Mapping[str, Sequence[float]] = field(default_factory=dict)
    factor: Mapping[str, float] = field(default_factory=dict)

    def bars(self) -> pl.DataFrame:
        """Return the market as a frame of adjusted bars."""
        rows = [
            {
                "instrument": code,
                "date": day,
                **dict.fromkeys(("open", "high", "low", "close", "vwap"), price),
                "volume": self.volume[code][at] if code in self.volume else 1e9,
                "factor": self.factor.get(code, 1.0),
            }
            for code, closes in self.close.items()
            for at, (day, price) in enumerate(zip(self.days, closes, strict=True))
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def predictions(self, first: int = 0) -> pl.DataFrame:
        """Return the scores from a day on, as a trained model leaves them."""
        rows = [
            {"instrument": code, "date": day, "score": score, "segment": "test", "LABEL0": 0.0}
            for code, scores in self.score.items()
            for day, score in list(zip(self.days, scores, strict=True))[first:]
        ]
        return pl.DataFrame(rows)

    def benchmark(self) -> Benchmark:
        """Return a benchmark that never moves."""
        return Benchmark(
            "flat", pl.DataFrame({"date": self.days, "return": [0.0] * len(self.days)})
        )


def random_market(seed: int, names: int, days: int, *, halts: float = 0.03) -> Market:
    """Return a market of random moves, some of them beyond every limit."""
    rng = np.random.default_rng(seed)
    starts = ("SH600", "SZ300", "SH688", "BJ830", "SZ000")
    codes = [f"{starts[n % len(starts)]}{n:03d}" for n in range(names)]
    price = rng.integers(8 * 64, 40 * 64, names)
    closes: dict[str, list[float | None]] = {code: [] for code in codes}
    for _ in range(days):
        wild = rng.random(names) < 0.1
        move = np.where(wild, rng.uniform(-0.35, 0.35, names), rng.normal(0, 0.02, names))
        price = np.maximum(64, np.round(price * (1 + move)))
        for code, value, halted in zip(codes, price, rng.random(names) < halts, strict=True):
            closes[code].append(None if halted else float(value) / 64)
    for code in codes:
        closes[code][0] = closes[code][0] or 10.0
    return Market(
        days=weekdays(date(2020, 7, 20), days),  # ChiNext's limit widens on the 26th of them
        close=closes,
        score={code: rng.normal(size=days).tolist() for code in codes},
        # Whole shares also after a twentieth is taken: float32 would round others to either side.
        volume={code: (200 * np.ceil(rng.lognormal(3, 1.5, days))).tolist() for code in codes},
        factor={code: float(2.0 ** rng.integers(-1, 2)) for code in codes},
    )


def write_market(board: Market, folder: Path) -> Path:
    """Write the provider of a market."""
    write_provider(folder, board.bars(), calendar=board.days)
    return folder


def settings_of(backtest: BacktestSettings, **training: Any) -> Settings:
    """Return settings of a home that is never touched."""
    return Settings(home=Path("unused"), backtest=backtest, training=TrainingSettings(**training))


def trade(
    board: Market, provider: Path, settings: Settings, *, first: int = 0
) -> tuple[Any, dict[Any, Any]]:
    """Return Qlib's report and positions of a market under settings."""
    test, training, backtest = board.predictions(first), settings.training, settings.backtest
    kind = STRATEGIES.load(backtest.strategy)
    holdings = kind.choose_holdings(training, backtest, len(board.score))
    with qlib_session(provider, region=training.region):
        made = Inputs(
            score=_scores(test),
            holdings=holdings,
            backtest=backtest,
            codes=tuple(sorted(board.score)),
            first=board.days[first],
            last=board.days[-1],
        )
        conditions = trading_conditions(backtest, training.region)
        return simulate(test, training.account, kind(made), conditions, board.benchmark())


def _scores(test: pl.DataFrame) -> Any:
    from qlops_assets.training.metrics import qlib_series

    return qlib_series(test)[0]


@dataclass
class Account:
    """Cash, shares and what they were last worth; how long each was held."""

    cash: float
    shares: dict[str, float] = field(default_factory=dict)
    price: dict[str, float] = field(default_factory=dict)

    def value(self) -> float:
        return self.cash + sum(n * self.price[code] for code, n in self.shares.items())


@dataclass
class BruteForce:
    """TopkDropout in a market, one order after another."""

    board: Market
    conditions: Conditions
    topk: int
    n_drop: int

    def run(self, cash: float) -> list[tuple[float, dict[str, float], float]]:
        """Return cash, shares and total value at the end of every day."""
        account, days = Account(cash), []
        for at in range(len(self.board.days)):
            if at > 0:
                self._trade(account, at)
            for code in account.shares:
                price = self.board.close[code][at]
                account.price[code] = account.price[code] if price is None else price
            days.append((account.cash, dict(account.shares), account.value()))
        return days

    def _trade(self, account: Account, at: int) -> None:
        score = {code: values[at - 1] for code, values in self.board.score.items()}
        best = sorted(score, key=lambda code: -score[code])
        held = [code for code in best if code in account.shares]
        new = [c for c in best if c not in account.shares][: self.n_drop + self.topk - len(held)]
        both = [code for code in best if code in held or code in new]
        sell = [code for code in held if code in both[-self.n_drop :]]
        buy = new[: len(sell) + self.topk - len(held)]
        for code in sell:
            if not self._limited(code, at, "both"):
                self._sell(account, code, at)
        money = account.cash * 0.95 / len(buy) if buy else 0.0
        for code in buy:
            if not self._limited(code, at, "both"):
                self._buy(account, code, at, money)

    def _sell(self, account: Account, code: str, at: int) -> None:
        price, held = self.board.close[code][at], account.shares[code]
        assert price is not None
        amount = min(held, self._cap(code, at))
        if amount != held:
            amount = self._whole(code, amount)
        value = amount * price
        if value == 0:
            return
        account.cash += value - max(value * self.conditions.close_cost, self.conditions.min_cost)
        account.shares[code] -= amount
        if account.shares[code] == 0:
            del account.shares[code]

    def _buy(self, account: Account, code: str, at: int, money: float) -> None:
        price, rate = self.board.close[code][at], self.conditions.open_cost
        assert price is not None
        amount = min(self._whole(code, money / price), self._cap(code, at))
        least = self.conditions.min_cost
        if account.cash < amount * price + max(amount * price * rate, least):
            affordable = min(account.cash / (1 + rate), account.cash - least) / price
            amount = min(amount, max(affordable, 0.0))
        amount = self._whole(code, amount)
        value = amount * price
        if value == 0:
            return
        account.cash -= value + max(value * rate, least)
        account.shares[code] = account.shares.get(code, 0.0) + amount
        account.price[code] = price

    def _cap(self, code: str, at: int) -> float:
        share = self.conditions.volume_share
        return float("inf") if share is None else share * self.board.volume[code][at]

    def _whole(self, code: str, amount: float) -> float:
        unit = self.conditions.trade_unit
        if unit == 0:
            return amount
        factor = self.board.factor.get(code, 1.0)
        return (amount * factor + 0.1) // unit * unit / factor

    def _limited(self, code: str, at: int, side: str) -> bool:
        price = self.board.close[code][at]
        before = next((p for p in reversed(self.board.close[code][:at]) if p is not None), None)
        if price is None:
            return True
        limit = self._limit(code, self.board.days[at])
        return before is not None and limit is not None and abs(price / before - 1) >= limit

    def _limit(self, code: str, day: date) -> float | None:
        """The rule book, written down once more."""
        if self.conditions.region == "us":
            return None
        if code[:5] in {"SH688", "SH689"}:
            return 0.195
        if code[:4] == "SZ30":
            return 0.195 if day >= date(2020, 8, 24) else 0.095
        return 0.295 if code[:2] == "BJ" else 0.095
