"""Price limits by board: who is stopped, who is not, and that Qlib's own exchange agrees."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings, BoardSettings
from qlops_assets.lake.qlib_bin import write_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.exchange.boards import board_sizes, price_limits
from qlops_assets.training.exchange.conditions import trading_conditions
from qlops_assets_tests.support.trading import random_market, settings_of, trade, write_market

BEFORE, REFORM = date(2020, 8, 21), date(2020, 8, 24)  # a Friday and the Monday after
DAYS = [date(2020, 8, 20), BEFORE, REFORM, date(2020, 8, 25)]
CODES = {
    "main": "SH600000",
    "main_sz": "SZ000001",
    "chinext": "SZ300750",
    "chinext_301": "SZ301001",
    "star": "SH688001",
    "star_cdr": "SH689009",
    "beijing": "BJ830799",
}


def moved(folder: Path, moves: dict[str, float], *, field: str = "close") -> Path:
    """Write a market in which every code moves by so much on the second and on the third day."""
    rows = []
    for code, move in moves.items():
        levels = [16.0, 16.0 * (1 + move), 16.0 * (1 + move) ** 2, 16.0 * (1 + move) ** 2]
        for day, level in zip(DAYS, levels, strict=True):
            prices = dict.fromkeys(("open", "high", "low", "close", "vwap"), level)
            rows.append({"instrument": code, "date": day, **prices, "volume": 1e6, "factor": 1.0})
    frame = pl.DataFrame(rows)
    if field != "close":  # the other price moves, the close goes back to where it was
        frame = frame.with_columns(close=pl.lit(16.0), high=pl.max_horizontal("high", pl.lit(16.0)))
    write_provider(folder, frame)
    return folder


def exchange(provider: Path, chosen: BacktestSettings, codes: list[str]) -> Any:
    from qlops_assets.training.exchange.exchange import board_exchange

    return board_exchange(trading_conditions(chosen, "cn"), codes, DAYS[0], DAYS[-1])


def stopped(provider: Path, chosen: BacktestSettings, day: date) -> dict[str, tuple[bool, bool]]:
    """Return by code whether buying and selling are stopped."""
    from qlib.backtest.decision import OrderDir

    codes = list(CODES.values())
    at = pd.Timestamp(day)
    made = exchange(provider, chosen, codes)
    sides = (OrderDir.BUY, OrderDir.SELL)
    return {
        name: tuple(not made.is_stock_tradable(code, at, at, direction=side) for side in sides)
        for name, code in CODES.items()
    }


@pytest.mark.parametrize(
    ("move", "before", "after"),
    [
        (0.05, set(), set()),
        (0.11, {"main", "main_sz", "chinext", "chinext_301"}, {"main", "main_sz"}),
        (0.21, set(CODES) - {"beijing"}, set(CODES) - {"beijing"}),
        (0.31, set(CODES), set(CODES)),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_move_stops_the_boards_whose_limit_it_meets_and_no_other(
    tmp_path: Path, move: float, before: set[str], after: set[str], sign: int
) -> None:
    provider = moved(tmp_path / "provider", dict.fromkeys(CODES.values(), sign * move))
    side = 0 if sign > 0 else 1
    with qlib_session(provider):
        found = {day: stopped(provider, BacktestSettings(), day) for day in (BEFORE, REFORM)}
    for day, expected in ((BEFORE, before), (REFORM, after)):
        assert {name for name, sides in found[day].items() if sides[side]} == expected
        assert {name for name, sides in found[day].items() if sides[1 - side]} == set()


@pytest.mark.parametrize("price", ["open", "vwap"])
def test_limit_is_met_by_the_price_at_which_orders_are_filled(tmp_path: Path, price: str) -> None:
    provider = moved(
        tmp_path / "provider", dict.fromkeys(CODES.values(), 0.12), field=price
    )  # 25 % in two days
    with qlib_session(provider):
        by_close = stopped(provider, BacktestSettings(), REFORM)
        by_price = stopped(provider, BacktestSettings(deal_price=price), REFORM)
    assert not any(buy or sell for buy, sell in by_close.values())
    assert {name for name, (buy, _) in by_price.items() if buy} == set(CODES) - {"beijing"}


@pytest.mark.parametrize(
    ("prefix", "limit"), [("SH688", 0.195), ("SZ30", 0.195), ("BJ", 0.295), ("SH600", 0.095)]
)
def test_every_board_is_held_to_what_qlib_holds_a_whole_market_to(
    tmp_path: Path, prefix: str, limit: float
) -> None:
    board = random_market(3, names=30, days=50)
    provider = write_market(board, tmp_path / "provider")
    first = board.days[25]  # from ChiNext's reform on
    codes = sorted(board.close)
    with qlib_session(provider):
        from qlib.backtest.exchange import Exchange

        from qlops_assets.training.exchange.exchange import board_exchange

        conditions = trading_conditions(BacktestSettings(), "cn")
        ours = board_exchange(conditions, codes, first, board.days[-1]).quote_df
        own = [code for code in codes if code.startswith(prefix)]
        whole = Exchange(
            start_time=first, end_time=board.days[-1], codes=own, limit_threshold=limit
        )
    assert first == REFORM
    for side in ("limit_buy", "limit_sell"):
        expected = whole.quote_df[side]
        assert expected.sum() > 5
        pd.testing.assert_series_equal(ours.loc[expected.index, side], expected)


def test_order_at_a_limit_is_not_filled_on_one_board_and_filled_on_another(tmp_path: Path) -> None:
    board = random_market(1, names=4, days=4, halts=0.0)
    codes = ["SH600000", "SZ300001", "SH600001", "SH600002"]
    board = replace(
        board,
        days=[date(2020, 8, 25), date(2020, 8, 26), date(2020, 8, 27), date(2020, 8, 28)],
        close={
            codes[0]: [16.0, 18.0, 18.0, 18.0],  # + 12.5 %: at its limit on the second day
            codes[1]: [16.0, 18.0, 18.0, 18.0],  # the same move is none of ChiNext's
            codes[2]: [16.0] * 4,
            codes[3]: [16.0] * 4,
        },
        score=dict(zip(codes, ([4.0] * 4, [3.0] * 4, [2.0] * 4, [1.0] * 4), strict=True)),
        volume={},
        factor={},
    )
    provider = write_market(board, tmp_path / "provider")
    settings = settings_of(BacktestSettings(), topk=2, n_drop=1, account=1e5)
    with pytest.raises(TrainingError, match="must be at most half"):
        trade(board, provider, settings)
    settings = settings_of(BacktestSettings(), topk=1, n_drop=1, account=1e5)
    _, positions = trade(board, provider, settings)
    second, third = (positions[pd.Timestamp(day)] for day in board.days[1:3])
    assert second.get_stock_list() == []
    assert third.get_stock_list() == ["SH600000"]
    only = replace(board, score={**board.score, "SH600000": [0.0] * 4})
    _, positions = trade(only, provider, settings)
    assert positions[pd.Timestamp(board.days[1])].get_stock_list() == ["SZ300001"]


def test_expression_of_an_own_board_stops_its_instruments_only(tmp_path: Path) -> None:
    provider = moved(tmp_path / "provider", dict.fromkeys(CODES.values(), 0.06))
    st = BoardSettings("Ge($change,0.045)", "Le($change,-0.045)", codes=("sz000",))
    chosen = BacktestSettings(boards={"special treatment": st})
    with qlib_session(provider):
        found = stopped(provider, chosen, REFORM)
    assert {name for name, (buy, _) in found.items() if buy} == {"main_sz"}


def test_exact_limit_of_the_page_is_met_at_the_rounded_price_and_not_a_cent_below(
    tmp_path: Path,
) -> None:
    """The exchanges' rule: the close before times 1.1, rounded to a cent, half up."""
    page = (Path(__file__).parents[3] / "docs" / "backtest.md").read_text(encoding="utf-8")
    text = next(t for t in page.split("`") if t.startswith("Ge($close/$factor-1.1"))
    rows, at_limit = [], {}
    for n, cents in enumerate((103, 204, 333, 1005, 1015, 2499, 9997, 12345)):
        limit = Decimal(cents * 110) / 10_000
        top = int(limit.quantize(Decimal("0.01"), ROUND_HALF_UP) * 100)
        for code, reached in ((f"SH6000{n:02d}", top), (f"SH6001{n:02d}", top - 1)):
            at_limit[code] = reached == top
            for day, price in zip(DAYS, (cents, cents, reached, reached), strict=True):
                close = price / 100 * 2.0
                prices = dict.fromkeys(("open", "high", "low", "close", "vwap"), close)
                row = {"instrument": code, "date": day, **prices, "volume": 1e6, "factor": 2.0}
                rows.append(row)
    write_provider(tmp_path / "provider", pl.DataFrame(rows))
    chosen = BacktestSettings(boards={"exact": BoardSettings(text, "Lt($close,0)")})
    with qlib_session(tmp_path / "provider"):
        quotes = exchange(tmp_path / "provider", chosen, sorted(at_limit)).quote_df
    found = quotes.xs(pd.Timestamp(DAYS[2]), level="datetime")["limit_buy"]
    assert found.to_dict() == at_limit


def test_no_boards_means_no_limits_even_in_china(tmp_path: Path) -> None:
    provider = moved(tmp_path / "provider", dict.fromkeys(CODES.values(), 0.4))
    with qlib_session(provider):
        found = stopped(provider, BacktestSettings(boards={}), REFORM)
    assert not any(buy or sell for buy, sell in found.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ge($chang,0.1)", r"\[backtest.boards.x\] buy_limited: .*unknown field '\$chang'"),
        ("Ge(Ref($close,-1),1)", r"\[backtest.boards.x\] buy_limited: "),
        ("__import__('os')", r"\[backtest.boards.x\] buy_limited: "),
    ],
)
def test_expression_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    limit = BoardSettings(text, "Le($change,-0.1)")
    with pytest.raises(TrainingError, match=message):
        price_limits(BacktestSettings(boards={"x": limit}), "cn")


def test_instruments_are_counted_by_the_board_that_holds_for_them() -> None:
    boards = price_limits(BacktestSettings(), "cn")
    sizes = board_sizes(boards, CODES.values())
    assert sizes == {"star": 2, "chinext": 2, "beijing": 1, "main": 2}
    assert board_sizes(price_limits(BacktestSettings(), "us"), ["AAPL"]) == {}


def test_price_that_is_missing_is_an_error_not_the_close(tmp_path: Path) -> None:
    board = random_market(1, names=4, days=4, halts=0.0)
    hole = pl.when(pl.int_range(pl.len()) == 2).then(None).otherwise(pl.col("vwap"))
    write_provider(tmp_path / "provider", board.bars().with_columns(vwap=hole))
    settings = settings_of(BacktestSettings(deal_price="vwap"), topk=1, n_drop=1)
    with pytest.raises(TrainingError, match=r"'vwap' is missing on 1 of 16 traded bars"):
        trade(board, tmp_path / "provider", settings)


def test_shares_that_cannot_be_counted_are_an_error_not_fractions(tmp_path: Path) -> None:
    board = random_market(1, names=4, days=4, halts=0.0)
    write_provider(
        tmp_path / "provider", board.bars().with_columns(factor=pl.lit(None, pl.Float64))
    )
    with pytest.raises(TrainingError, match=r"have no factor"):
        trade(board, tmp_path / "provider", settings_of(BacktestSettings(), topk=1, n_drop=1))
    fractions = settings_of(BacktestSettings(trade_unit=0), topk=1, n_drop=1)
    report, _ = trade(board, tmp_path / "provider", fractions)
    assert report["turnover"].sum() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deal_price": "high"}, "deal_price: was 'high', must be one of close, open, vwap"),
        ({"open_cost": -0.1}, "open_cost: was -0.1, must be 0 or more and below 1"),
        ({"close_cost": 1.0}, "close_cost: was 1, must be 0 or more and below 1"),
        ({"min_cost": -1.0}, "min_cost: was -1, must be 0 or more"),
        ({"trade_unit": -100}, "trade_unit: was -100, must be 0 or more"),
        ({"volume_share": 0.0}, "volume_share: was 0, must be above 0 and at most 1"),
        ({"volume_share": 1.5}, "volume_share: was 1.5, must be above 0 and at most 1"),
    ],
)
def test_condition_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        trading_conditions(BacktestSettings(**change), "cn")
