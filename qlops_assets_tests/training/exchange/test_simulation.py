"""Cash and holdings, day by day: a table by hand, a second simulator, and Qlib called directly."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.exchange.conditions import trading_conditions
from qlops_assets_tests.support.market import FIRST_DAY, weekdays
from qlops_assets_tests.support.trading import (
    BruteForce,
    Market,
    random_market,
    settings_of,
    trade,
    write_market,
)

A, B, C = "SH600000", "SH600001", "SH600002"
BY_HAND = Market(
    days=weekdays(FIRST_DAY, 5),
    close={
        A: [10.0, 10.0, 10.5, 11.0, 11.0],
        B: [20.0, 20.0, 20.0, 20.5, 21.0],
        C: [5.0, 5.0, 5.0, 5.0, 5.0],
    },
    score={A: [3, 1, 1, 2, 0], B: [2, 3, 3, 1, 0], C: [1, 2, 2, 3, 0]},
    volume={A: [1e6] * 5, B: [1e6] * 5, C: [1e6, 1e6, 1e6, 1e6, 5000.0]},
)


def states(report: Any, positions: dict[Any, Any]) -> list[tuple[float, dict[str, float], float]]:
    return [
        (row.cash, positions[day].get_stock_amount_dict(), row.account)
        for day, row in report.iterrows()
    ]


def test_cash_and_holdings_equal_a_table_by_hand(tmp_path: Path) -> None:
    """CN: 0.05 % to buy, 0.15 % to sell, at least 5, lots of 100, 95 % of the cash is used."""
    provider = write_market(BY_HAND, tmp_path / "provider")
    settings = settings_of(BacktestSettings(), topk=1, n_drop=1, account=10_000.0)
    found = states(*trade(BY_HAND, provider, settings))
    expected = [
        (10_000.0, {}, 10_000.0),
        # A is best: 9500 / 10 = 950 -> 900 shares, 9000; cost max(4.5, 5).
        (995.0, {A: 900.0}, 9995.0),
        # B is best: A for 9450 - 14.175; 10430.825 * 0.95 / 20 = 495 -> 400 shares, 8000 + 5.
        (2425.825, {B: 400.0}, 10_425.825),
        # B is still best; it closes at 20.5.
        (2425.825, {B: 400.0}, 10_625.825),
        # C is best: B for 8400 - 12.6; 10813.225 * 0.95 / 5 = 2054 -> 2000 shares, 10000 + 5.
        (808.225, {C: 2000.0}, 10_808.225),
    ]
    for ours, hand in zip(found, expected, strict=True):
        assert ours[0] == pytest.approx(hand[0], abs=1e-6)
        assert ours[1] == pytest.approx(hand[1])
        assert ours[2] == pytest.approx(hand[2], abs=1e-6)


def test_volume_cap_limits_an_order_to_its_share_of_the_day(tmp_path: Path) -> None:
    """C trades 5000 on the last day: a tenth is 500 shares, 2500 + 5 instead of 10000 + 5."""
    provider = write_market(BY_HAND, tmp_path / "provider")
    settings = settings_of(BacktestSettings(volume_share=0.1), topk=1, n_drop=1, account=10_000.0)
    cash, shares, value = states(*trade(BY_HAND, provider, settings))[-1]
    assert cash == pytest.approx(10_813.225 - 2505, abs=1e-6)
    assert shares == pytest.approx({C: 500.0})
    assert value == pytest.approx(10_808.225, abs=1e-6)


def test_day_without_a_volume_fills_nothing_and_leaves_the_cash_a_number(tmp_path: Path) -> None:
    """Unguarded, Qlib makes the order's amount NaN, and the cash of every later order."""
    silent = replace(BY_HAND, volume={**BY_HAND.volume, A: [1e6, np.nan, 1e6, 1e6, 1e6]})
    provider = write_market(silent, tmp_path / "provider")
    settings = settings_of(BacktestSettings(volume_share=0.1), topk=1, n_drop=1, account=10_000.0)
    found = states(*trade(silent, provider, settings))
    assert found[1] == (10_000.0, {}, 10_000.0)
    assert found[2][1] == pytest.approx({B: 400.0})  # 9500 / 20 = 475


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("region", "chosen"),
    [
        ("cn", BacktestSettings()),
        ("cn", BacktestSettings(volume_share=0.05)),
        ("cn", BacktestSettings(open_cost=0.001, close_cost=0.004, min_cost=30.0, trade_unit=10)),
        ("us", BacktestSettings()),
        ("us", BacktestSettings(volume_share=0.05, min_cost=2.0)),
        ("us", BacktestSettings(trade_unit=0)),
    ],
)
def test_every_day_equals_the_second_simulator(
    tmp_path: Path, seed: int, region: str, chosen: BacktestSettings
) -> None:
    board = random_market(seed, names=16, days=50)
    provider = write_market(board, tmp_path / "provider")
    settings = settings_of(chosen, topk=5, n_drop=2, account=200_000.0, region=region)
    found = states(*trade(board, provider, settings))
    second = BruteForce(board, trading_conditions(chosen, region), topk=5, n_drop=2)
    expected = second.run(200_000.0)
    assert len(found) == len(expected)
    assert sum(ours[1] != before[1] for before, ours in pairwise(found)) > 30
    for day, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours[0] == pytest.approx(theirs[0], abs=1e-4), day
        assert ours[1] == pytest.approx(theirs[1]), day
        assert ours[2] == pytest.approx(theirs[2], abs=1e-4), day


@pytest.mark.parametrize(
    ("region", "limit", "costs"),
    [("cn", 0.095, (0.0005, 0.0015, 5)), ("us", None, (0.0005, 0.0005, 0))],
)
def test_main_board_equals_qlib_called_directly(
    tmp_path: Path, region: str, limit: float | None, costs: tuple[float, float, float]
) -> None:
    mixed = random_market(7, names=40, days=50)
    main = {code: closes for code, closes in mixed.close.items() if code[:5] in ("SH600", "SZ000")}
    board = replace(mixed, close=main, score={code: mixed.score[code] for code in main})
    provider = write_market(board, tmp_path / "provider")
    settings = settings_of(BacktestSettings(), topk=5, n_drop=2, account=1e6, region=region)
    report, _ = trade(board, provider, settings)
    scores = board.predictions().to_pandas()
    signal = scores.set_index([pd.to_datetime(scores["date"]), "instrument"])["score"]
    signal.index.names = ["datetime", "instrument"]
    with qlib_session(provider, region=region):
        from qlib.backtest import backtest

        direct, _ = backtest(
            start_time=board.days[0],
            end_time=board.days[-1],
            account=1e6,
            benchmark=pd.Series(0.0, index=pd.DatetimeIndex(board.days)),
            strategy={
                "class": "TopkDropoutStrategy",
                "module_path": "qlib.contrib.strategy",
                "kwargs": {"signal": signal.sort_index(), "topk": 5, "n_drop": 2},
            },
            executor={
                "class": "SimulatorExecutor",
                "module_path": "qlib.backtest.executor",
                "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True},
            },
            exchange_kwargs={
                "limit_threshold": limit,
                "deal_price": "close",
                **dict(zip(("open_cost", "close_cost", "min_cost"), costs, strict=True)),
            },
        )
    pd.testing.assert_frame_equal(report, direct["1day"][0])
