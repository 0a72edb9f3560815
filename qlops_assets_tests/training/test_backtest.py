"""The backtest against Qlib called directly, and its figures against the formulas."""

import json
import shutil
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings, BoardSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import Benchmark, load_benchmark
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import (
    BacktestMetrics,
    backtest_identity,
    require_tradable,
    run_backtest,
)
from qlops_assets.training.fit import predictions_path
from qlops_assets.training.portfolio.strategy import Holdings
from qlops_assets.training.portfolio.topk_dropout import TopkDropout
from qlops_assets_tests.support.market import market_days
from qlops_assets_tests.support.market_fixtures import Trained

DAYS = market_days()
Result = tuple[BacktestMetrics, pl.DataFrame]


@pytest.fixture(scope="module")
def predictions(trained: Trained) -> pl.DataFrame:
    return pl.read_parquet(predictions_path(trained.settings, trained.first))


def with_training(trained: Trained, **changes: Any) -> Settings:
    """Return the settings of the home with other keys of ``[training]``."""
    return replace(trained.settings, training=replace(trained.settings.training, **changes))


@pytest.fixture(scope="module")
def benchmark(trained: Trained) -> Benchmark:
    return load_benchmark(trained.settings)


@pytest.fixture(scope="module")
def result(trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark) -> Result:
    with qlib_session(build_provider(trained.settings)):
        return run_backtest(predictions, trained.settings, benchmark)


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
    chosen = TopkDropout.choose_holdings(training, BacktestSettings(), size)
    assert chosen == Holdings(*expected)


@pytest.mark.parametrize(("size", "topk", "n_drop"), [(100, 50, 5), (109, 50, 5), (300, 20, 140)])
def test_holdings_of_more_than_half_the_universe_are_refused(
    size: int, topk: int, n_drop: int
) -> None:
    with pytest.raises(TrainingError, match=rf"was {topk} \+ {n_drop}, .* half of the {size}"):
        TopkDropout.choose_holdings(
            TrainingSettings(topk=topk, n_drop=n_drop), BacktestSettings(), size
        )


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
    settings = Settings(training=TrainingSettings(**change))
    with pytest.raises(TrainingError, match=message):
        require_tradable(settings)
    with pytest.raises(TrainingError, match=message):
        run_backtest(predictions, settings, benchmark)


def test_region_us_trades_single_shares_without_limits(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark, result: Result
) -> None:
    settings = with_training(trained, region="us", account=1e5)
    with qlib_session(build_provider(trained.settings), region="us"):
        metrics, _ = run_backtest(predictions, settings, benchmark)
    # An account of 100 000 buys next to nothing in hundreds of shares at the costs of CN.
    assert metrics.turnover > 0.3
    assert metrics.excess_return_with_cost > 0


def test_returns_are_annualised_by_the_regions_trading_days(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark
) -> None:
    settings = with_training(trained, region="us", account=1e7)
    with qlib_session(build_provider(trained.settings), region="us"):
        metrics, by_day = run_backtest(predictions, settings, benchmark)
    excess = by_day["excess"].to_numpy()
    assert metrics.excess_return_with_cost == pytest.approx(252 * excess.mean())
    ratio = excess.mean() / excess.std(ddof=1) * np.sqrt(252)
    assert metrics.information_ratio == pytest.approx(ratio)


def test_settings_without_a_backtest_section_give_what_its_defaults_give(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark, result: Result
) -> None:
    with qlib_session(build_provider(trained.settings)):
        metrics, by_day = run_backtest(predictions, trained.settings, benchmark)
    assert metrics == result[0]
    assert by_day.equals(result[1])


def test_facts_say_which_limits_held_for_how_many(result: Result) -> None:
    facts = result[0].facts
    assert facts["boards"]["main"] == sum(facts["boards"].values()) > 10
    assert facts["benchmark_days_missing"] == 0
    assert result[0].strategy == "topk-dropout"


def test_days_without_a_return_of_the_benchmark_are_counted(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark
) -> None:
    holes = [DAYS[-3], DAYS[-9]]
    few = replace(benchmark, returns=benchmark.returns.filter(~pl.col("date").is_in(holes)))
    with qlib_session(build_provider(trained.settings)):
        metrics, by_day = run_backtest(predictions, trained.settings, few)
    assert metrics.facts["benchmark_days_missing"] == 2
    assert by_day.filter(pl.col("date").is_in(holes))["benchmark"].to_list() == [0.0, 0.0]


def test_calendar_that_ends_with_the_test_is_an_error_that_says_so(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark, tmp_path: Path
) -> None:
    provider = Path(shutil.copytree(build_provider(trained.settings), tmp_path / "provider"))
    (provider / "calendars" / "day_future.txt").unlink()
    with (
        qlib_session(provider),
        pytest.raises(TrainingError, match=rf"calendar ends on {DAYS[-1]}, .*/day_future\.txt"),
    ):
        run_backtest(predictions, trained.settings, benchmark)


# A change of each setting that the strategy beside it follows.
CHANGES: dict[str, tuple[str, Any]] = {
    "strategy": ("topk-dropout", "inv"),
    "deal_price": ("topk-dropout", "open"),
    "open_cost": ("topk-dropout", 0.001),
    "close_cost": ("topk-dropout", 0.001),
    "min_cost": ("topk-dropout", 1.0),
    "trade_unit": ("topk-dropout", 10),
    "volume_share": ("topk-dropout", 0.1),
    "boards": ("topk-dropout", {"all": BoardSettings("Ge($change,0.1)", "Le($change,-0.1)")}),
    "most_names": ("gmv", 20),
    "rebalance_days": ("gmv", 1),
    "look_back_days": ("gmv", 60),
    "risk_model": ("gmv", "poet"),
    "risk_factors": ("gmv", 5),
    "lamb": ("mvo", 2.0),
    "delta": ("gmv", 0.5),
    "least_weight": ("gmv", 0.001),
    "most_weight": ("gmv", 0.1),
    "benchmark_deviation": ("enhanced-indexing", 0.02),
    "benchmark_weights": ("enhanced-indexing", "weights.parquet"),
    "most_failed_share": ("gmv", 0.0),
}


def test_every_setting_of_the_backtest_is_in_its_identity(tmp_path: Path) -> None:
    assert set(CHANGES) == {field.name for field in fields(BacktestSettings)}
    (tmp_path / "weights.parquet").write_bytes(b"weights")
    same = []
    for name, (strategy, value) in CHANGES.items():
        plain = BacktestSettings(strategy=strategy)
        wanted = tmp_path / value if name == "benchmark_weights" else value
        changed = replace(plain, **{name: wanted})
        before, after = (
            backtest_identity(Settings(home=tmp_path, backtest=b)) for b in (plain, changed)
        )
        json.dumps(after)
        same += [name] if before == after else []
    assert same == []


def test_example_of_the_settings_page_is_read_and_can_be_traded_by(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    part = page.split("## `[backtest]`")[1].split("\n## ")[0]
    example = part.split("```toml\n")[1].split("```")[0]
    weights = 'benchmark_weights = "weights.parquet"\n'
    file = tmp_path / "qlops.toml"
    file.write_text(example.replace("[backtest]\n", f"[backtest]\n{weights}"), encoding="utf-8")
    found = Settings.read(home=tmp_path, config=file).backtest
    assert found.benchmark_weights == Path("weights.parquet").absolute()
    assert (found.strategy, found.most_weight, found.delta) == ("gmv", 0.05, 0.3)
    assert found.boards == {
        "chinext": BoardSettings(
            "Ge($change,0.195)", "Le($change,-0.195)", ("SZ30",), date(2020, 8, 24)
        ),
        "rest": BoardSettings("Ge($change,0.095)", "Le($change,-0.095)"),
    }
    require_tradable(Settings(home=tmp_path, backtest=replace(found, benchmark_weights=None)))
    with pytest.raises(TrainingError, match=r"benchmark_weights: was .*, but gmv does not follow"):
        require_tradable(Settings(home=tmp_path, backtest=found))


def test_identity_leaves_out_what_the_strategy_does_not_follow(tmp_path: Path) -> None:
    plain, other = BacktestSettings(), BacktestSettings(rebalance_days=1, look_back_days=60)
    first, second = (backtest_identity(Settings(home=tmp_path, backtest=b)) for b in (plain, other))
    assert first == second
    assert {"region", "topk", "n_drop", "account"} <= set(first)


def test_benchmark_that_ends_before_the_test_is_refused(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark
) -> None:
    short = replace(benchmark, returns=benchmark.returns.filter(pl.col("date") < DAYS[400]))
    with pytest.raises(
        TrainingError, match=r"'SH000300': has a return on 64 of the 84 test days .* needs 95%"
    ):
        run_backtest(predictions, trained.settings, short)


def test_account_too_small_to_trade_is_an_error_not_a_flat_line(
    trained: Trained, predictions: pl.DataFrame, benchmark: Benchmark
) -> None:
    settings = with_training(trained, account=100.0)
    with (
        qlib_session(build_provider(trained.settings)),
        pytest.raises(TrainingError, match="no order was filled on any day"),
    ):
        run_backtest(predictions, settings, benchmark)
