"""Our TopkDropout beside Qlib's: the same orders, positions and report, to the last bit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.training.exchange.executor import day_executor
from qlops_assets.training.portfolio.topk_orders import DayScores, choose
from qlops_assets_tests.support.same_backtest import CONDITIONS, Arena, open_arena

SCORES = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 2.0, np.nan, np.inf]), st.floats(width=32))
CODES = [f"SH{600000 + number}" for number in (7, 3, 11, 0, 5, 2, 9, 1)]


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with open_arena(tmp_path_factory.mktemp("market") / "provider") as opened:
        yield opened


def random_score(arena: Arena, seed: int, levels: int, holes: float, lost: float) -> Any:
    """Return scores of so many levels (0: all different), some without a number or a row."""
    rng = np.random.default_rng(seed)
    names = ["datetime", "instrument"]
    days = pd.DatetimeIndex(arena.market.days)
    index = pd.MultiIndex.from_product([days, sorted(arena.market.close)], names=names)
    size = len(index)
    values = rng.integers(0, levels, size).astype(float) if levels else rng.normal(size=size)
    values[rng.random(size) < holes] = np.nan
    score = pd.Series(values, index, dtype=rng.choice(["float32", "float64"]))
    return score[rng.random(size) >= lost]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([0, 1, 2, 5]),
    holes=st.sampled_from([0.0, 0.3]),
    lost=st.sampled_from([0.0, 0.1, 0.7]),
    place=st.sampled_from(range(len(CONDITIONS))),
    account=st.sampled_from([1e6, 4e3]),
    topk=st.integers(1, 8),
    n_drop=st.integers(0, 5),
    hold_thresh=st.integers(0, 4),
    only_tradable=st.booleans(),
    forbid_all_trade_at_limit=st.booleans(),
)
def test_orders_positions_and_report_equal_qlibs(
    arena: Arena,
    seed: int,
    levels: int,
    holes: float,
    lost: float,
    place: int,
    account: float,
    **chosen: Any,
) -> None:
    score = random_score(arena, seed, levels, holes, lost)
    ours = arena.by_ours(score, place, account, **chosen)
    ours.require_same(arena.by_theirs(score, place, account, **chosen))


def test_market_of_the_comparison_stops_some_orders_and_fills_many(arena: Arena) -> None:
    """Otherwise its agreement says little."""
    differing = set()
    for seed in range(5):
        score = random_score(arena, seed, 0, 0.0, 0.0)
        found = arena.by_ours(score, 0, topk=5, n_drop=2)
        assert sum(order.direction == order.SELL for day in found.orders for order in day) > 10
        assert (found.report["turnover"] > 0).sum() > 8
        for name, value in (
            ("forbid_all_trade_at_limit", False),
            ("only_tradable", True),
            ("hold_thresh", 3),
        ):
            other = arena.by_ours(score, 0, topk=5, n_drop=2, **{name: value})
            differing |= {name} if other.orders != found.orders else set()
        capped = arena.by_ours(score, 1, topk=5, n_drop=2)
        differing |= {"volume"} if capped.positions != found.positions else set()
    assert differing == {"forbid_all_trade_at_limit", "only_tradable", "hold_thresh", "volume"}


def test_day_without_a_return_of_the_benchmark_is_a_return_of_0(arena: Arena) -> None:
    returns = arena.by_ours(random_score(arena, 3, 0, 0.0, 0.0), 0, topk=5, n_drop=2).report[
        "bench"
    ]
    assert (returns == 0).to_numpy().nonzero()[0].tolist() == [2, 4]


@pytest.mark.parametrize("place", range(len(CONDITIONS)))
@pytest.mark.parametrize("cash", [0.0, 2.5, 1e5])
@pytest.mark.parametrize("part", [1.0, 1 + 1e-6, 0.5, 2.0])
def test_sale_is_dealt_as_by_qlibs_exchange(
    arena: Arena, place: int, cash: float, part: float
) -> None:
    """Of all, of a part and of more than is held; also one that does not pay its own cost."""
    from qlib.backtest.decision import Order, OrderDir
    from qlib.backtest.position import Position

    from qlops_assets.training.exchange.position import ordered_position

    day, (code, *_) = pd.Timestamp(arena.market.days[1]), sorted(arena.market.close)
    dealt = []
    for amount in (0.01, 3.0, 7531.0):
        pair = ((arena.ours, ordered_position()), (arena.theirs, Position))
        for exchanges, kind in pair:
            held = kind(cash=cash, position_dict={code: {"amount": amount, "price": 9.0}})
            order = Order(code, amount * part, OrderDir.SELL, day, day)
            dealt.append((exchanges[place].deal_order(order, position=held), order, held.position))
    assert dealt[::2] == dealt[1::2]
    assert dealt[-1][0][0] > 0


@pytest.mark.parametrize("methods", [("random", "top"), ("bottom", "random"), ("random", "random")])
def test_what_is_chosen_at_random_is_left_to_qlib(arena: Arena, methods: tuple[str, str]) -> None:
    score = random_score(arena, 4, 0, 0.0, 0.0)
    chosen: dict[str, Any] = {"topk": 4, "n_drop": 2}
    chosen |= dict(zip(("method_sell", "method_buy"), methods, strict=True))
    np.random.seed(1)  # of the generator that Qlib asks
    ours = arena.by_ours(score, 0, **chosen)
    np.random.seed(1)
    # Qlib's indicators fail on what it chose to buy at random: its names are numpy's texts.
    executor = day_executor() if chosen["method_buy"] == "random" else None
    ours.require_same(arena.by_theirs(score, 0, executor=executor, **chosen))


def test_signal_of_two_columns_is_left_to_qlib(arena: Arena) -> None:
    score = random_score(arena, 4, 0, 0.0, 0.0).astype("float64")
    both = pd.DataFrame({"score": score, "other": -score})
    ours = arena.by_ours(both, 0, topk=4, n_drop=2)
    ours.require_same(arena.by_theirs(both, 0, topk=4, n_drop=2))
    ours.require_same(arena.by_ours(score, 0, topk=4, n_drop=2))


@given(
    values=st.lists(SCORES, min_size=len(CODES), max_size=len(CODES)),
    asked=st.lists(st.sampled_from([*CODES, "SZ000001"]), unique=True),
    kind=st.sampled_from(["float32", "float64"]),
)
def test_instruments_come_in_the_order_in_which_pandas_sorts_them(
    values: list[float], asked: list[str], kind: str
) -> None:
    score = pd.Series(values, CODES, dtype=kind)
    found = DayScores.read(score)
    assert found is not None
    expected = score.reindex(asked).sort_values(ascending=False).index
    assert found.ranked(asked) == expected.tolist()
    others = score[~score.index.isin(asked)].sort_values(ascending=False).index
    assert found.ranked_without(asked) == others.tolist()


def test_order_of_equal_scores_is_pandas_also_among_hundreds() -> None:
    """Numpy's quicksort moves equal numbers only where there are more than a few."""
    rng = np.random.default_rng(0)
    codes = [f"SH{number:06d}" for number in rng.permutation(400)]
    score = pd.Series(rng.integers(0, 4, 400).astype(float), codes)
    found = DayScores.read(score)
    assert found is not None
    held = codes[::7]
    ranked = score.reindex(codes[::2]).sort_values(ascending=False).index
    others = score[~score.index.isin(held)].sort_values(ascending=False).index
    assert found.ranked(codes[::2]) == ranked.tolist()
    assert found.ranked_without(held) == others.tolist()


def chosen_by_pandas(
    score: "pd.Series[float]", held: list[str], topk: int, n_drop: int
) -> tuple[list[str], list[str]]:
    """The lines of ``TopkDropoutStrategy`` that choose, as they are."""
    last = score.reindex(held).sort_values(ascending=False).index
    others = score[~score.index.isin(last)].sort_values(ascending=False).index
    today = list(others)[: n_drop + topk - len(last)]
    comb = score.reindex(last.union(pd.Index(today))).sort_values(ascending=False).index
    sell = last[last.isin(list(comb)[-n_drop:])]
    return sell.tolist(), today[: len(sell) + topk - len(last)]


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1, 5, 60]),
    levels=st.integers(1, 4),
    share=st.sampled_from([0.0, 0.4, 1.0]),
    topk=st.integers(1, 30),
    n_drop=st.integers(0, 8),
)
def test_choice_is_that_of_qlibs_lines(
    seed: int, size: int, levels: int, share: float, topk: int, n_drop: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = [f"SH{number:06d}" for number in rng.permutation(size)]
    score = pd.Series(rng.integers(0, levels, size).astype(float), codes)
    held = [code for code in rng.permutation(codes).tolist() if rng.random() < share]
    found = DayScores.read(score)
    assert found is not None
    assert choose(found, held, topk, n_drop, None) == chosen_by_pandas(score, held, topk, n_drop)


@pytest.mark.parametrize(
    "score",
    [
        None,
        pd.DataFrame({"score": [1.0]}, index=["A"]),
        pd.Series([1, 2], index=["A", "B"]),
        pd.Series([1.0, 2.0], index=["A", "A"]),
    ],
)
def test_scores_that_are_not_one_number_by_instrument_are_not_read(score: Any) -> None:
    assert DayScores.read(score) is None


def test_worst_held_makes_room_for_the_best_other() -> None:
    scores = DayScores(list("ABCDE"), np.array([5.0, 4.0, 3.0, 2.0, 1.0]))
    assert choose(scores, ["B", "E"], 2, 1, None) == (["E"], ["A"])
    assert choose(scores, ["A", "B"], 2, 1, None) == ([], [])
    assert choose(scores, [], 2, 1, None) == ([], ["A", "B"])
    assert choose(scores, ["B", "E"], 2, 1, lambda code: code != "A") == (["E"], ["C"])
