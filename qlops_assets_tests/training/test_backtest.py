"""The backtest against Qlib called directly, and its figures against the formulas."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.lake.benchmark import Benchmark, load_benchmark
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import (
    BacktestMetrics,
    Holdings,
    choose_holdings,
    require_tradable,
    run_backtest,
)
from qlops_assets.training.fit import predictions_path
from qlops_assets_tests.support.market import market_days
from qlops_assets_tests.support.market_fixtures import Trained

DAYS = market_days()
Result = tuple[BacktestMetrics, pl.DataFrame]


@pytest.fixture(scope="module")
def predictions(trained: Trained) -> pl.DataFrame:
    return pl.read_parquet(predictions_path(trained.settings, trained.first))


@pytest.fixture(scope="module")
def benchmark(trained: Trained) -> Benchmark:
    return load_benchmark(trained.settings)


@pytest.fixture(scope="module")
def result(trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark) -> Result:
    with qlib_session(build_provider(trained.settings)):
        return run_backtest(predictions, trained.settings.training, benchmark)


@pytest.fixture(scope="module")
def direct(trained: Trained, predictions: pl.DataFrame) -> pd.DataFrame:
    """Return the report of ``qlib.backtest`` configured as Qlib's benchmark workflows are.

    The index is read from the source by hand; the universe is not limited to the test's codes.
    """
    levels = pd.read_parquet(trained.settings.source_folder / "benchmark.parquet")
    returns = levels.set_index(pd.to_datetime(levels["date"]))["close"].pct_change().dropna()
    test = predictions.filter(pl.col("segment") == "test").to_pandas()
    score = test.set_index([pd.to_datetime(test["date"]), "instrument"])["score"]
    score.index.names = ["datetime", "instrument"]
    with qlib_session(build_provider(trained.settings)):
        from qlib.backtest import backtest

        portfolio, _ = backtest(
            start_time="2020-04-16",
            end_time="2020-08-11",
            account=1e7,
            benchmark=returns,
            strategy={
                "class": "TopkDropoutStrategy",
                "module_path": "qlib.contrib.strategy",
                "kwargs": {"signal": score.sort_index(), "topk": 4, "n_drop": 1},
            },
            executor={
                "class": "SimulatorExecutor",
                "module_path": "qlib.backtest.executor",
                "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True},
            },
            exchange_kwargs={
                "limit_threshold": 0.095,
                "deal_price": "close",
                "open_cost": 0.0005,
                "close_cost": 0.0015,
                "min_cost": 5,
            },
        )
    report: pd.DataFrame = portfolio["1day"][0]
    return report


def test_days_equal_those_of_qlib_called_directly(result: Result, direct: pd.DataFrame) -> None:
    _, by_day = result
    assert by_day["date"].to_list() == direct.index.date.tolist()
    net = direct["return"] - direct["cost"]
    for ours, theirs in (
        ("strategy", net),
        ("benchmark", direct["bench"]),
        ("excess", net - direct["bench"]),
        ("turnover", direct["turnover"]),
        ("cost", direct["cost"]),
    ):
        np.testing.assert_allclose(by_day[ours], theirs, rtol=1e-12, atol=1e-15)


def test_metrics_follow_their_formulas(result: Result, direct: pd.DataFrame) -> None:
    metrics, by_day = result
    gross = (direct["return"] - direct["bench"]).to_numpy()
    net = gross - direct["cost"].to_numpy()
    curve = np.cumsum(net)
    drawdown = curve - np.maximum.accumulate(curve)
    assert metrics.excess_return_without_cost == pytest.approx(238 * gross.mean())
    assert metrics.excess_return_with_cost == pytest.approx(238 * net.mean())
    ratio = net.mean() / net.std(ddof=1) * np.sqrt(238)
    assert metrics.information_ratio == pytest.approx(ratio)
    assert metrics.max_drawdown == pytest.approx(drawdown.min())
    np.testing.assert_allclose(by_day["drawdown"], drawdown, atol=1e-12)
    assert metrics.turnover == pytest.approx(direct["turnover"].mean())
    assert metrics.excess_return_with_cost < metrics.excess_return_without_cost
    assert (metrics.topk, metrics.n_drop, metrics.benchmark) == (4, 1, "SH000300")


def test_backtest_runs_up_to_the_last_day_of_the_calendar(result: Result) -> None:
    metrics, by_day = result
    assert by_day["date"].max() == DAYS[-1]
    assert by_day["date"].to_list() == DAYS[-metrics.days :]


def test_signal_of_a_day_is_traded_on_the_next(result: Result) -> None:
    _, by_day = result
    assert by_day["turnover"][0] == 0.0
    assert by_day["turnover"][1] > 0.5


@pytest.mark.parametrize(
    ("size", "topk", "n_drop", "expected"),
    [
        (300, None, None, (50, 5)),
        (200, None, None, (50, 5)),
        (120, None, None, (30, 3)),
        (16, None, None, (4, 1)),
        (4, None, None, (1, 1)),
        (1, None, None, (1, 1)),
        (300, 30, None, (30, 3)),
        (300, 30, 10, (30, 10)),
        (300, None, 7, (50, 7)),
        (110, 50, 5, (50, 5)),
    ],
)
def test_holdings_scale_down_with_the_universe(
    size: int, topk: int | None, n_drop: int | None, expected: tuple[int, int]
) -> None:
    training = TrainingSettings(topk=topk, n_drop=n_drop)
    assert choose_holdings(training, size) == Holdings(*expected)


@pytest.mark.parametrize(("size", "topk", "n_drop"), [(100, 50, 5), (109, 50, 5), (300, 20, 140)])
def test_holdings_of_more_than_half_the_universe_are_refused(
    size: int, topk: int, n_drop: int
) -> None:
    with pytest.raises(TrainingError, match=rf"was {topk} \+ {n_drop}, .* half of the {size}"):
        choose_holdings(TrainingSettings(topk=topk, n_drop=n_drop), size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region": "eu"}, "region: was 'eu', must be one of cn, us"),
        ({"topk": -5}, "topk: was -5, must be above 0"),
        ({"n_drop": 0}, "n_drop: was 0, must be above 0"),
        ({"account": -1.0}, "account: was -1.0, must be above 0"),
    ],
)
def test_settings_that_cannot_be_traded_by_are_refused(
    predictions: pl.DataFrame, benchmark: Benchmark, change: dict[str, Any], message: str
) -> None:
    training = TrainingSettings(**change)
    with pytest.raises(TrainingError, match=message):
        require_tradable(training)
    with pytest.raises(TrainingError, match=message):
        run_backtest(predictions, training, benchmark)


def test_region_us_trades_single_shares_without_limits(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark, result: Result
) -> None:
    training = replace(trained.settings.training, region="us", account=1e5)
    with qlib_session(build_provider(trained.settings), region="us"):
        metrics, _ = run_backtest(predictions, training, benchmark)
    # An account of 100 000 buys next to nothing in hundreds of shares at the costs of CN.
    assert metrics.turnover > 0.3
    assert metrics.excess_return_with_cost > 0


def test_benchmark_that_ends_before_the_test_is_refused(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark
) -> None:
    short = replace(benchmark, returns=benchmark.returns.filter(pl.col("date") < DAYS[400]))
    with pytest.raises(
        TrainingError, match=r"'SH000300': has a return on 64 of the 84 test days .* needs 95%"
    ):
        run_backtest(predictions, trained.settings.training, short)


def test_account_too_small_to_trade_is_an_error_not_a_flat_line(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark
) -> None:
    training = replace(trained.settings.training, account=100.0)
    with (
        qlib_session(build_provider(trained.settings)),
        pytest.raises(TrainingError, match="no order was filled on any day"),
    ):
        run_backtest(predictions, training, benchmark)
