"""Qlib's backtest of a signal: TopkDropout with the costs and limits of a market."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.lake.benchmark import Benchmark
from qlops_assets.training.metrics import qlib_series

if TYPE_CHECKING:
    import pandas as pd

# Qlib's own settings of its benchmark workflows (CN) and a plain commission (US).
EXCHANGES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "cn": {"limit_threshold": 0.095, "open_cost": 0.0005, "close_cost": 0.0015, "min_cost": 5},
        "us": {"limit_threshold": None, "open_cost": 0.0005, "close_cost": 0.0005, "min_cost": 0},
    }
)

# Share of the test days on which a benchmark must have a return.
_LEAST_COVER: Final = 0.95


@dataclass(frozen=True, slots=True)
class BacktestMetrics:
    """What Qlib's ``risk_analysis`` says of the excess return over the benchmark.

    Annualised by Qlib's own convention (238 days for CN, arithmetic). ``information_ratio`` and
    ``max_drawdown`` are of the excess return with cost; ``turnover`` is the mean daily share of
    the account that is traded.
    """

    excess_return_with_cost: float
    excess_return_without_cost: float
    information_ratio: float
    max_drawdown: float
    turnover: float
    days: int
    topk: int
    n_drop: int
    benchmark: str

    def to_json(self) -> dict[str, Any]:
        """Return the metrics by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Holdings:
    """How many instruments the strategy holds, and exchanges a day at most."""

    topk: int
    n_drop: int


def require_tradable(training: TrainingSettings) -> None:
    """Refuse settings that no backtest can follow, whatever the data.

    Raises:
        TrainingError: the region is unknown, or a number is out of range.
    """
    if training.region not in EXCHANGES:
        raise TrainingError(
            f"[training] region: was {training.region!r}, must be one of {', '.join(EXCHANGES)}"
        )
    for name in ("topk", "n_drop", "account"):
        value = getattr(training, name)
        if value is not None and value <= 0:
            raise TrainingError(f"[training] {name}: was {value}, must be above 0")


def choose_holdings(training: TrainingSettings, universe_size: int) -> Holdings:
    """Return the holdings as set, else 50/5 for 200 instruments or more and in proportion below.

    Raises:
        TrainingError: holdings and exchanges exceed half the universe: every signal would then
            hold nearly the same instruments.
    """
    topk = min(50, max(1, universe_size // 4)) if training.topk is None else training.topk
    n_drop = max(1, topk // 10) if training.n_drop is None else training.n_drop
    if topk + n_drop > max(2, universe_size // 2):
        raise TrainingError(
            f"[training] topk + n_drop: was {topk} + {n_drop}, must be at most half of the "
            f"{universe_size} instruments of a test day"
        )
    return Holdings(topk, n_drop)


def run_backtest(
    predictions: pl.DataFrame, training: TrainingSettings, benchmark: Benchmark
) -> tuple[BacktestMetrics, pl.DataFrame]:
    """Trade the test predictions in Qlib's simulator; the session must be open.

    The signal of a day is traded at the close of the next, as the label assumes.

    Returns:
        The metrics, and by day: ``date, strategy, benchmark, excess, turnover, cost, drawdown``
        (daily returns after cost; drawdown of the cumulated excess).

    Raises:
        TrainingError: the settings cannot be traded by, the benchmark does not cover the test
            days, or nothing was ever traded.
    """
    require_tradable(training)
    test = predictions.filter(pl.col("segment") == "test")
    _require_benchmark(benchmark, test)
    size = test.group_by("date").len().get_column("len").median()
    holdings = choose_holdings(training, int(size if isinstance(size, (int, float)) else 0))
    report = _simulate(test, training, holdings, benchmark)
    if not report["turnover"].any():
        raise TrainingError("backtest: no order was filled on any day; check prices and limits")
    return _metrics(report, holdings, benchmark), _by_day(report)


def _simulate(
    test: pl.DataFrame, training: TrainingSettings, holdings: Holdings, benchmark: Benchmark
) -> "pd.DataFrame":
    from qlib.backtest import backtest
    from qlib.contrib.strategy import TopkDropoutStrategy

    score, _ = qlib_series(test)
    first, last = _bounds(test)
    portfolio, _indicators = backtest(
        start_time=first,
        end_time=last,
        account=training.account,
        benchmark=_benchmark_series(benchmark),
        strategy=TopkDropoutStrategy(signal=score, topk=holdings.topk, n_drop=holdings.n_drop),
        executor={
            "class": "SimulatorExecutor",
            "module_path": "qlib.backtest.executor",
            "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True},
        },
        exchange_kwargs={
            "freq": "day",
            "deal_price": "close",
            "codes": test.get_column("instrument").unique().sort().to_list(),
            **EXCHANGES[training.region],
        },
    )
    report: pd.DataFrame = portfolio["1day"][0]
    return report


def _bounds(test: pl.DataFrame) -> tuple[date, date]:
    days = test.get_column("date")
    return days.min(), days.max()  # type: ignore[return-value]


def _require_benchmark(benchmark: Benchmark, test: pl.DataFrame) -> None:
    """Refuse a benchmark that begins after, or ends before the test; Qlib takes 0.0 for a gap."""
    days = test.get_column("date").unique()
    covered = days.is_in(benchmark.returns.get_column("date").implode()).sum()
    if covered < _LEAST_COVER * len(days):
        first, last = _bounds(test)
        raise TrainingError(
            f"benchmark {benchmark.name!r}: has a return on {covered} of the {len(days)} test days "
            f"{first} to {last}, needs {_LEAST_COVER:.0%}; bring benchmark.parquet up "
            "to date, or remove it to compare with the equal-weighted universe"
        )


def _benchmark_series(benchmark: Benchmark) -> "pd.Series[float]":
    import pandas as pd

    returns = benchmark.returns.sort("date")
    index = pd.DatetimeIndex(returns.get_column("date").to_numpy().astype("datetime64[ns]"))
    return pd.Series(returns.get_column("return").fill_null(0.0).to_numpy(), index=index)


def _metrics(report: "pd.DataFrame", holdings: Holdings, benchmark: Benchmark) -> BacktestMetrics:
    from qlib.contrib.evaluate import risk_analysis

    gross = report["return"] - report["bench"]
    without, with_cost = (
        risk_analysis(series, freq="day")["risk"] for series in (gross, gross - report["cost"])
    )
    return BacktestMetrics(
        excess_return_with_cost=float(with_cost["annualized_return"]),
        excess_return_without_cost=float(without["annualized_return"]),
        information_ratio=float(with_cost["information_ratio"]),
        max_drawdown=float(with_cost["max_drawdown"]),
        turnover=float(report["turnover"].mean()),
        days=len(report),
        topk=holdings.topk,
        n_drop=holdings.n_drop,
        benchmark=benchmark.name,
    )


def _by_day(report: "pd.DataFrame") -> pl.DataFrame:
    net = report["return"] - report["cost"]
    excess = net - report["bench"]
    cumulative = excess.cumsum()
    return pl.DataFrame(
        {
            "date": report.index.to_numpy().astype("datetime64[D]"),
            "strategy": net.to_numpy(),
            "benchmark": report["bench"].to_numpy(),
            "excess": excess.to_numpy(),
            "turnover": report["turnover"].to_numpy(),
            "cost": report["cost"].to_numpy(),
            "drawdown": (cumulative - cumulative.cummax()).to_numpy(),
        }
    ).cast({"date": pl.Date})
