"""Qlib's backtest of a signal: a strategy of the catalog in the conditions of a market."""

import warnings
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import Benchmark
from qlops_assets.training.exchange.boards import board_sizes
from qlops_assets.training.exchange.conditions import REGIONS, Conditions, trading_conditions
from qlops_assets.training.metrics import qlib_series
from qlops_assets.training.portfolio.catalog import STRATEGIES
from qlops_assets.training.portfolio.strategy import Holdings, Inputs, Strategy

if TYPE_CHECKING:
    import pandas as pd

# Share of the test days on which a benchmark must have a return.
_LEAST_COVER: Final = 0.95


@dataclass(frozen=True, slots=True)
class BacktestMetrics:
    """What Qlib's ``risk_analysis`` says of the excess return over the benchmark.

    Annualised arithmetically by the region's trading days (CN 238, Qlib's convention; US 252).
    ``information_ratio`` and ``max_drawdown`` are of the excess return with cost; ``turnover`` is
    the mean daily share of the account that is traded. ``topk`` is what the strategy holds, or
    chooses among. ``facts`` are what the returns do not show: days without a benchmark's return,
    instruments by board, rebalances and their failures, where the benchmark's weights are from.
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
    strategy: str = "topk-dropout"
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the metrics by name."""
        return asdict(self)


def require_tradable(settings: Settings) -> None:
    """Refuse settings that no backtest can follow, whatever the data.

    Raises:
        TrainingError: the region is unknown, a number is out of range, a price limit cannot be
            read, or a setting has no effect on the strategy.
        UnknownEntryError: there is no such strategy.
    """
    training, backtest = settings.training, settings.backtest
    trading_conditions(backtest, training.region)
    for name in ("topk", "n_drop", "account"):
        value = getattr(training, name)
        if value is not None and value <= 0:
            raise TrainingError(f"[training] {name}: was {value}, must be above 0")
    STRATEGIES.load(backtest.strategy).require(backtest)


def backtest_identity(settings: Settings) -> dict[str, Any]:
    """Return everything that decides the outcome of a backtest, resolved, as a document.

    Settings of the optimisers are in it where the strategy follows them.

    Raises:
        TrainingError: the settings cannot be followed.
        SourceError: the benchmark's weights cannot be read.
    """
    training, backtest = settings.training, settings.backtest
    strategy = STRATEGIES.load(backtest.strategy)
    return {
        "topk": training.topk,
        "n_drop": training.n_drop,
        "account": training.account,
        **trading_conditions(backtest, training.region).to_json(),
        "strategy": {"name": backtest.strategy, **strategy.identity(backtest)},
    }


def run_backtest(
    predictions: pl.DataFrame, settings: Settings, benchmark: Benchmark
) -> tuple[BacktestMetrics, pl.DataFrame]:
    """Trade the test predictions in Qlib's simulator; the session must be open.

    The signal of a day is traded on the next, at its close unless ``deal_price`` says otherwise,
    as the label assumes.

    Args:
        predictions: Columns instrument, date, score, segment and the raw label ``LABEL0``.
        settings: Of the training.
        benchmark: What the returns are compared with.

    Returns:
        The metrics, and by day: ``date, strategy, benchmark, excess, turnover, cost, drawdown``
        (daily returns after cost; drawdown of the cumulated excess).

    Raises:
        TrainingError: the settings cannot be traded by, the benchmark does not cover the test
            days, no day follows the test in the calendar, weights could not be chosen too often,
            or nothing was ever traded.
    """
    require_tradable(settings)
    training, backtest = settings.training, settings.backtest
    test = predictions.filter(pl.col("segment") == "test")
    missing = _require_benchmark(benchmark, test)
    strategy, holdings = _strategy(test, training, backtest)
    conditions = trading_conditions(backtest, training.region)
    report, _ = simulate(test, training.account, strategy, conditions, benchmark)
    facts = strategy.facts()
    if not report["turnover"].any():
        raise TrainingError("backtest: no order was filled on any day; check prices and limits")
    metrics = _metrics(
        report,
        benchmark,
        days_a_year=REGIONS[training.region].days_a_year,
        topk=holdings.topk,
        n_drop=holdings.n_drop,
        strategy=backtest.strategy,
        facts={
            "benchmark_days_missing": missing,
            "boards": dict(board_sizes(conditions.boards, _codes(test))),
            **facts,
        },
    )
    return metrics, _by_day(report)


def _strategy(
    test: pl.DataFrame, training: TrainingSettings, backtest: BacktestSettings
) -> tuple[Strategy, Holdings]:
    kind = STRATEGIES.load(backtest.strategy)
    size = test.group_by("date").len().get_column("len").median()
    holdings = kind.choose_holdings(
        training, backtest, int(size if isinstance(size, (int, float)) else 0)
    )
    score, _ = qlib_series(test)
    first, last = _bounds(test)
    made = kind(Inputs(score, holdings, backtest, tuple(_codes(test)), first, last))
    return made, holdings


def simulate(
    test: pl.DataFrame,
    account: float,
    strategy: Strategy,
    conditions: Conditions,
    benchmark: Benchmark,
) -> tuple["pd.DataFrame", "dict[pd.Timestamp, Any]"]:
    """Return Qlib's report by day, and its position at the end of each; the session must be open.

    Raises:
        TrainingError: no day follows the test in the calendar, a price to deal at is missing, or
            the strategy lacks the history that it needs.
    """
    from qlib.backtest import backtest
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from qlops_assets.training.exchange.exchange import board_exchange
    from qlops_assets.training.exchange.executor import day_executor
    from qlops_assets.training.exchange.position import ordered_position

    first, last = _bounds(test)
    _require_day_after(last)
    # Threads only wait for each other over matrices of a few hundred names: 5 to 40 times slower.
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        # Qlib averages the prices of a day's orders, also on a day without any.
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        portfolio, _indicators = backtest(
            start_time=first,
            end_time=last,
            account=account,
            benchmark=_benchmark_series(benchmark),
            strategy=_quick(strategy.build()),
            executor={
                "class": day_executor(),
                "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True},
            },
            exchange_kwargs={"exchange": board_exchange(conditions, _codes(test), first, last)},
            pos_type=ordered_position(),
        )
    report, positions = portfolio["1day"]
    return report, positions


def _quick(built: Any) -> Any:
    """Return Qlib's strategy with its scores cut into days beforehand."""
    from qlops_assets.training.exchange.signal import by_day

    built.signal = by_day(built.signal)
    return built


def _codes(test: pl.DataFrame) -> list[str]:
    return test.get_column("instrument").unique().sort().to_list()


def _bounds(test: pl.DataFrame) -> tuple[date, date]:
    days = test.get_column("date")
    return days.min(), days.max()  # type: ignore[return-value]


def _require_day_after(last: date) -> None:
    """Refuse a test that ends with the calendar: Qlib asks for the day after, by an IndexError."""
    from qlib.data import D

    if len(D.calendar(start_time=last, future=True)) < 2:
        raise TrainingError(
            f"backtest: the provider's calendar ends on {last}, the last day of the test; Qlib "
            "needs a later day in calendars/day_future.txt, which `write_provider` writes"
        )


def _require_benchmark(benchmark: Benchmark, test: pl.DataFrame) -> int:
    """Return the number of test days without a return of the benchmark, for which Qlib takes 0.

    Raises:
        TrainingError: there are too many: it begins after, or ends before the test.
    """
    days = test.get_column("date").unique()
    with_return = benchmark.returns.drop_nulls("return").get_column("date")
    covered = int(days.is_in(with_return.implode()).sum())
    if covered < _LEAST_COVER * len(days):
        first, last = _bounds(test)
        raise TrainingError(
            f"benchmark {benchmark.name!r}: has a return on {covered} of the {len(days)} test days "
            f"{first} to {last}, needs {_LEAST_COVER:.0%}; bring benchmark.parquet up "
            "to date, or remove it to compare with the equal-weighted universe"
        )
    return len(days) - covered


def _benchmark_series(benchmark: Benchmark) -> "pd.Series[float]":
    import pandas as pd

    returns = benchmark.returns.sort("date")
    index = pd.DatetimeIndex(returns.get_column("date").to_numpy().astype("datetime64[ns]"))
    return pd.Series(returns.get_column("return").fill_null(0.0).to_numpy(), index=index)


def _metrics(
    report: "pd.DataFrame", benchmark: Benchmark, *, days_a_year: int, **described: Any
) -> BacktestMetrics:
    from qlib.contrib.evaluate import risk_analysis

    gross = report["return"] - report["bench"]
    without, with_cost = (
        risk_analysis(series, N=days_a_year, freq=None)["risk"]
        for series in (gross, gross - report["cost"])
    )
    return BacktestMetrics(
        excess_return_with_cost=float(with_cost["annualized_return"]),
        excess_return_without_cost=float(without["annualized_return"]),
        information_ratio=float(with_cost["information_ratio"]),
        max_drawdown=float(with_cost["max_drawdown"]),
        turnover=float(report["turnover"].mean()),
        days=len(report),
        benchmark=benchmark.name,
        **described,
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
