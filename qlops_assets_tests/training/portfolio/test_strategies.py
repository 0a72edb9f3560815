"""Every strategy of the catalog in a market: what it holds, what it must not see, how it fails."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.errors import TrainingError, UnknownEntryError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import BacktestMetrics, require_tradable, run_backtest
from qlops_assets.training.portfolio.catalog import STRATEGIES
from qlops_assets.training.portfolio.optimised import Optimised, Problem
from qlops_assets.training.portfolio.strategy import Holdings, Inputs, RebalanceError
from qlops_assets_tests.support.trading import (
    Market,
    random_market,
    settings_of,
    trade,
    write_market,
)

NAMES, DAYS, FIRST = 12, 70, 30
OPTIMISED = [name for name in STRATEGIES.names() if name != "topk-dropout"]
BY_COVARIANCE = ["gmv", "mvo", "rp"]


def chosen(strategy: str, **other: Any) -> BacktestSettings:
    if strategy in OPTIMISED:
        other = {"look_back_days": 25, "most_failed_share": 0.0, **other}
    return BacktestSettings(strategy=strategy, **other)


def calm_market(seed: int = 5, names: int = NAMES) -> Market:
    """Return a market whose moves are small, so that no order meets a limit."""
    board = random_market(seed, names, DAYS, halts=0.02)
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 1, (DAYS, names)) * rng.uniform(0.004, 0.02, names)
    level = np.round(64 * 20 * np.exp(np.clip(moves, -0.04, 0.04).cumsum(axis=0))) / 64
    closes = {
        code: [None if was is None else float(price) for was, price in zip(old, own, strict=True)]
        for (code, old), own in zip(board.close.items(), level.T, strict=True)
    }
    return replace(board, close=closes, volume={})


@pytest.fixture(scope="module")
def board() -> Market:
    return calm_market()


@pytest.fixture(scope="module")
def provider(board: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(board, tmp_path_factory.mktemp("calm") / "provider")


def run(
    board: Market, provider: Path, backtest: BacktestSettings, **training: Any
) -> tuple[BacktestMetrics, pl.DataFrame]:
    settings = settings_of(backtest, **{"account": 1e7, **training})
    with qlib_session(provider, region=settings.training.region):
        return run_backtest(board.predictions(FIRST), settings, board.benchmark())


def weights(positions: dict[Any, Any]) -> list[dict[str, float]]:
    """Return the shares of the stocks among each other at the end of every day."""
    return [
        p.get_stock_weight_dict(only_stock=True) if p.get_stock_list() else {}
        for p in positions.values()
    ]


@pytest.mark.parametrize("region", ["cn", "us"])
@pytest.mark.parametrize("name", STRATEGIES.names())
def test_strategy_of_the_catalog_trades_a_market(
    board: Market, provider: Path, name: str, region: str
) -> None:
    metrics, by_day = run(board, provider, chosen(name), region=region)
    assert metrics.strategy == name
    assert metrics.turnover > 0
    assert metrics.days == DAYS - FIRST == len(by_day)
    assert by_day["turnover"][0] == 0.0
    assert by_day["turnover"][1] > 0.6
    assert np.isfinite(by_day.drop("date").to_numpy()).all()
    if name in OPTIMISED:
        assert metrics.facts["rebalances"] == 8  # 39 days with a signal, every fifth
        assert metrics.facts["failed_rebalances"] == 0


@pytest.mark.parametrize("name", OPTIMISED)
def test_nothing_is_traded_between_rebalances(board: Market, provider: Path, name: str) -> None:
    _, by_day = run(board, provider, chosen(name, rebalance_days=10))
    traded = np.flatnonzero(by_day["turnover"].to_numpy() > 0)
    assert set(traded) <= {1, 11, 21, 31}
    assert {1, 11} <= set(traded)


@pytest.mark.parametrize("name", OPTIMISED)
def test_later_prices_change_no_weight_chosen_before(
    board: Market, tmp_path: Path, provider: Path, name: str
) -> None:
    """The day of the change itself may differ: orders of the day before are filled at its price."""
    change = FIRST + 20
    rng = np.random.default_rng(1)
    later = {
        code: [
            price if price is None or at < change else float(np.round(64 * price * move)) / 64
            for at, (price, move) in enumerate(
                zip(closes, rng.uniform(0.93, 1.07, DAYS), strict=True)
            )
        ]
        for code, closes in board.close.items()
    }
    other = write_market(replace(board, close=later), tmp_path / "provider")
    delta = {} if name == "inv" else {"delta": 0.5}
    settings = settings_of(chosen(name, rebalance_days=1, **delta), account=1e7)
    asked = _asked(board, provider, settings), _asked(board, other, settings)
    assert len(asked[0]) == len(asked[1]) == DAYS - FIRST - 1
    # The last signal that can know nothing of the change is that of the day before it.
    assert asked[0][: change - FIRST] == asked[1][: change - FIRST]
    assert asked[0][change - FIRST :] != asked[1][change - FIRST :]


def _asked(board: Market, provider: Path, settings: Any) -> list[Any]:
    """Return every day's target weights of a run."""
    seen: list[Any] = []
    real = Optimised.target

    def target(self: Any, *arguments: Any) -> Any:
        seen.append(real(self, *arguments))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimised, "target", target)
        trade(board, provider, settings, first=FIRST)
    return seen


@pytest.mark.parametrize("name", OPTIMISED)
def test_every_target_is_a_portfolio(board: Market, provider: Path, name: str) -> None:
    settings = settings_of(chosen(name, rebalance_days=1), account=1e7)
    for target in _asked(board, provider, settings):
        assert min(target.values()) > 0
        assert sum(target.values()) == pytest.approx(1, abs=1e-9)
        assert set(target) <= set(board.close)


@pytest.mark.parametrize("name", [*BY_COVARIANCE, "enhanced-indexing"])
def test_change_of_the_target_is_bounded_by_delta(board: Market, provider: Path, name: str) -> None:
    wide = {"benchmark_deviation": 1.0} if name == "enhanced-indexing" else {}
    settings = settings_of(chosen(name, rebalance_days=1, delta=0.2, **wide), account=1e9)
    changes: list[float] = []
    real = Optimised.target

    def target(self: Any, day: Any, score: Any, held: Any) -> Any:
        found = real(self, day, score, held)
        if held:
            names = set(found) | set(held)
            changes.append(sum(abs(found.get(c, 0.0) - held.get(c, 0.0)) for c in names))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimised, "target", target)
        trade(board, provider, settings, first=FIRST)
    assert len(changes) > 30
    assert max(changes) <= 0.2 + 1e-4
    assert max(changes) > 0.15


def test_candidates_are_the_best_scores_with_a_past(board: Market, provider: Path) -> None:
    target = _asked(board, provider, settings_of(chosen("inv", most_names=4), account=1e7))[0]
    scores = {code: own[FIRST] for code, own in board.score.items()}
    assert set(target) == set(sorted(scores, key=lambda code: -scores[code])[:4])


def test_inverse_volatility_equals_its_closed_form(board: Market, provider: Path) -> None:
    """By hand: volatilities of Ledoit-Wolf's covariance of the past returns of all names."""
    from sklearn.covariance import ledoit_wolf

    target = _asked(board, provider, settings_of(chosen("inv", most_names=NAMES), account=1e7))[0]
    closes = pd.DataFrame(board.close).ffill().iloc[FIRST - 25 : FIRST + 1]
    closes = closes[sorted(target)].astype("float32").astype("float64")
    shrunk, _ = ledoit_wolf(100 * closes.pct_change().iloc[1:].to_numpy())
    expected = 1 / np.sqrt(np.diag(shrunk))
    found = [target[code] for code in sorted(target)]
    assert len(found) == NAMES
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-5)


def test_target_weights_become_holdings_by_qlibs_rule(board: Market, provider: Path) -> None:
    """Shares = 95 % of the account x weight / close of the signal's day, cut to lots."""
    settings = settings_of(chosen("rp", rebalance_days=100, most_names=6), account=1e7)
    target = _asked(board, provider, settings)[0]
    _, positions = trade(board, provider, settings, first=FIRST)
    held = positions[pd.Timestamp(board.days[FIRST + 1])].get_stock_amount_dict()
    for code, weight in target.items():
        before, now = (board.close[code][FIRST + at] for at in (0, 1))
        if before is None or now is None:
            assert code not in held
            continue
        lot = 100 / board.factor[code]
        assert held[code] == pytest.approx((1e7 * 0.95 * weight / before + 0.05) // lot * lot)


def test_what_is_no_candidate_any_more_is_sold_and_never_bought() -> None:
    weigh = STRATEGIES.load("gmv")
    backtest = chosen("gmv", delta=0.4, most_weight=0.6)
    made: Any = weigh(_inputs(backtest))
    rng = np.random.default_rng(0)
    problem = Problem(
        day=np.datetime64("2020-01-02"),
        codes=list("ABCDE"),
        score=rng.normal(size=5),
        returns=rng.normal(0, 0.01, (60, 5)),
        held=np.array([0.3, 0.0, 0.25, 0.05, 0.4]),
        is_candidate=np.array([True, True, False, False, False]),
        traded=np.array([True, True, True, True, False]),
    )
    found = made.weigh(problem)
    assert found[2] <= 0.25 + 1e-9
    assert found[3] == 0.0  # a remnant
    assert found[4] == pytest.approx(0.4)  # halted
    assert found.sum() == pytest.approx(1)


def _inputs(backtest: BacktestSettings) -> Inputs:
    nothing = pd.Series(dtype=float)
    day = pd.Timestamp("2020-01-02").date()
    return Inputs(nothing, Holdings(2, 0), backtest, (), day, day)


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_universe_of_five_gives_a_right_result(tmp_path: Path, name: str) -> None:
    five = calm_market(names=5)
    metrics, by_day = run(five, write_market(five, tmp_path / "provider"), chosen(name))
    assert metrics.turnover > 0
    assert metrics.topk == {"topk-dropout": 1, "enhanced-indexing": 5}.get(name, 2)
    assert np.isfinite(by_day["strategy"].to_numpy()).all()


@pytest.mark.parametrize("name", [*BY_COVARIANCE, "inv"])
def test_more_names_than_the_universe_has_is_an_error(
    board: Market, provider: Path, name: str
) -> None:
    with pytest.raises(TrainingError, match=rf"{name} chooses among 13 names, a test day has 12"):
        run(board, provider, chosen(name, most_names=13))


def test_names_too_few_for_their_bound_are_an_error(board: Market, provider: Path) -> None:
    with pytest.raises(TrainingError, match=r"no weights of 3 names within them sum to 1"):
        run(board, provider, chosen("gmv", most_names=3, most_weight=0.3))


def test_look_back_beyond_the_calendar_is_an_error(board: Market, provider: Path) -> None:
    with pytest.raises(TrainingError, match=r"look_back_days: was 31, must be at most 30"):
        run(board, provider, chosen("gmv", look_back_days=31))
    run(board, provider, chosen("gmv", look_back_days=30))


def _never(self: Any, problem: Any) -> Any:
    raise RebalanceError("the solver ended with 'nothing'")


def test_failed_rebalances_beyond_the_allowed_share_are_an_error(
    board: Market, provider: Path
) -> None:
    kind = STRATEGIES.load("gmv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "weigh", _never)
        with pytest.raises(
            TrainingError,
            match=r"gmv could not choose weights on 8 of 8 days, may on 0% .* ended with 'nothing'",
        ):
            run(board, provider, chosen("gmv"))


def test_failed_rebalance_keeps_what_is_held_and_is_told(board: Market, provider: Path) -> None:
    kind: Any = STRATEGIES.load("gmv")
    real: Callable[..., Any] = kind.weigh
    days: list[Any] = []

    def weigh(self: Any, problem: Problem) -> Any:
        days.append(problem.day)
        return _never(self, problem) if len(days) == 3 else real(self, problem)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "weigh", weigh)
        metrics, by_day = run(board, provider, chosen("gmv", most_failed_share=0.2))
    assert metrics.facts["failed_rebalances"] == 1
    assert metrics.facts["failures"] == [f"{days[2]}: the solver ended with 'nothing'"]
    assert by_day["turnover"][11] == 0.0
    assert by_day["turnover"][16] > 0.0


def test_scores_that_are_all_the_same_are_an_error_for_mean_variance(
    board: Market, provider: Path
) -> None:
    flat = replace(board, score={code: [1.0] * DAYS for code in board.score})
    with pytest.raises(TrainingError, match=r"the scores of all 3 names are the same"):
        run(flat, provider, chosen("mvo"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": "gmv", "delta": 0.0}, r"delta: was 0, must be above 0"),
        ({"strategy": "gmv", "delta": 2.5}, r"delta: was 2.5, must be above 0"),
        ({"strategy": "inv", "delta": 0.5}, r"delta: was 0.5, but inv does not follow it"),
        ({"strategy": "inv", "most_weight": 0.5}, r"most_weight: was 0.5, but inv does not"),
        ({"strategy": "rp", "lamb": 3.0}, r"lamb: was 3.0, but rp does not follow it"),
        ({"strategy": "mvo", "lamb": 0.0}, r"lamb: was 0, must be above 0 for mvo"),
        ({"strategy": "gmv", "least_weight": 0.5, "most_weight": 0.4}, r"most_weight: was 0.4"),
        ({"strategy": "gmv", "rebalance_days": 0}, r"rebalance_days: was 0, must be at least 1"),
        ({"strategy": "gmv", "look_back_days": 1}, r"look_back_days: was 1, must be at least 2"),
        ({"strategy": "gmv", "risk_factors": 0}, r"risk_factors: was 0, must be at least 1"),
        ({"strategy": "gmv", "most_names": 1}, r"most_names: was 1, must be at least 2"),
        ({"strategy": "gmv", "risk_model": "none"}, r"risk_model: was 'none', must be one of"),
        ({"strategy": "gmv", "most_failed_share": 1.5}, r"most_failed_share: was 1.5"),
        ({"strategy": "enhanced-indexing", "risk_model": "poet"}, r"must be 'structured' for"),
        ({"strategy": "enhanced-indexing", "most_names": 9}, r"most_names: was 9, but enhanced"),
    ],
)
def test_setting_that_a_strategy_cannot_follow_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        require_tradable(settings_of(BacktestSettings(**change)))


def test_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(UnknownEntryError, match=r"unknown backtest strategy 'gmw'; did you mean"):
        require_tradable(settings_of(BacktestSettings(strategy="gmw")))


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_settings_that_do_nothing_for_a_strategy_are_refused(name: str) -> None:
    changes = {"lamb": 2.0, "delta": 0.5, "most_weight": 0.5, "benchmark_deviation": 0.2}
    followed = {
        "topk-dropout": set(),
        "inv": set(),
        "gmv": {"delta", "most_weight"},
        "rp": {"delta", "most_weight"},
        "mvo": {"lamb", "delta", "most_weight"},
        "enhanced-indexing": {"lamb", "delta", "benchmark_deviation"},
    }[name]
    for key, value in changes.items():
        settings = settings_of(replace(BacktestSettings(strategy=name), **{key: value}))
        if key in followed:
            require_tradable(settings)
            continue
        with pytest.raises(TrainingError, match=rf"{key}: was {value}, but {name} does not follow"):
            require_tradable(settings)
