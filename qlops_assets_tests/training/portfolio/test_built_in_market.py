"""Every strategy on the built-in market, under the settings of China and of the United States."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import Settings, SimulatedSettings
from qlops_assets.lake.bars import build_bars, stale_months
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.lake.scan import scan
from qlops_assets.lake.sources.simulated.market import write_simulated_market
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import run_backtest
from qlops_assets.training.portfolio.catalog import STRATEGIES

TEST_DAYS = 120


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    simulated = SimulatedSettings(instruments=60, years=2)
    settings = Settings(home=tmp_path_factory.mktemp("home"), simulated=simulated)
    write_simulated_market(settings.simulated_folder, seed=7, instruments=60, years=2)
    scan(settings)
    build_bars(settings, stale_months(settings))
    return settings


@pytest.fixture(scope="module")
def provider(home: Settings) -> Path:
    return build_provider(home)


@pytest.fixture(scope="module")
def predictions(home: Settings) -> pl.DataFrame:
    """Five days' moves, of which the market gives a part back, as the score."""
    bars = bars_dataset(home).read(columns=["close"])
    first = bars["date"].unique().sort()[-TEST_DAYS]
    moved = pl.col("close").forward_fill().pct_change(5).over("instrument")
    return (
        bars.with_columns(score=-moved, segment=pl.lit("test"), LABEL0=pl.lit(0.0))
        .filter(pl.col("date") >= first)
        .drop_nulls("score")
    )


@pytest.mark.parametrize("region", ["cn", "us"])
@pytest.mark.parametrize("name", STRATEGIES.names())
def test_strategy_trades_the_built_in_market_to_its_last_day(
    home: Settings, provider: Path, predictions: pl.DataFrame, name: str, region: str
) -> None:
    settings = Settings(
        home=home.home,
        simulated=home.simulated,
        training=TrainingSettings(region=region, account=1e7),
        backtest=BacktestSettings(strategy=name),
    )
    with qlib_session(provider, region=region):
        metrics, by_day = run_backtest(predictions, settings, load_benchmark(settings))
    assert by_day["date"].max() == predictions["date"].max()
    assert metrics.days == TEST_DAYS
    assert metrics.facts.get("failed_rebalances", 0) == 0
    assert 0 < metrics.turnover < 0.6
    assert metrics.excess_return_with_cost < metrics.excess_return_without_cost
    assert np.isfinite(by_day.drop("date").to_numpy()).all()
    assert metrics.facts["boards"] == (
        {"star": 0, "chinext": 0, "beijing": 0, "main": predictions["instrument"].n_unique()}
        if region == "cn"
        else {}
    )
