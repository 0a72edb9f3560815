"""Enhanced indexing against the same problem solved directly, and what must not pass silently."""

from datetime import date
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.errors import SourceError, TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import backtest_identity, run_backtest
from qlops_assets.training.portfolio.benchmark_weights import EQUAL, BenchmarkWeights
from qlops_assets.training.portfolio.enhanced_indexing import EnhancedIndexing
from qlops_assets.training.portfolio.optimised import Problem
from qlops_assets.training.portfolio.risk.covariance import structured
from qlops_assets.training.portfolio.risk.returns import Floats
from qlops_assets.training.portfolio.strategy import Holdings, Inputs, RebalanceError
from qlops_assets_tests.support.trading import random_market, settings_of, write_market

DAY = np.datetime64("2020-03-02")
CODES = [f"SH6000{n:02d}" for n in range(20)]


def problem(held: Floats | None = None, *, seed: int = 0, score: Floats | None = None) -> Problem:
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 0.01, (120, 3)) @ rng.normal(0.7, 0.4, (3, 20))
    return Problem(
        day=DAY,
        codes=CODES,
        score=rng.normal(size=20) if score is None else score,
        returns=common + rng.normal(0, 0.012, (120, 20)),
        held=held,
        is_candidate=np.ones(20, dtype=bool),
        traded=np.ones(20, dtype=bool),
    )


def strategy(**chosen: Any) -> EnhancedIndexing:
    backtest = BacktestSettings(strategy="enhanced-indexing", **chosen)
    day = date(2020, 1, 2)
    return EnhancedIndexing(
        Inputs(pd.Series(dtype=float), Holdings(20, 0), backtest, tuple(CODES), day, day)
    )


def solved(
    asked: Problem, benchmark: Floats, *, lamb: float, deviation: float, delta: float = 2.0
) -> Floats:
    """Return the optimum of the formula in the strategy's docstring."""
    parts = structured(asked.returns, 10)
    covariance = parts.exposure @ parts.covariance @ parts.exposure.T + np.diag(parts.specific)
    r = asked.score / asked.score.std() * np.sqrt(np.diag(covariance).mean())
    w = cp.Variable(20, nonneg=True)
    d = w - benchmark
    limits = [cp.sum(w) == 1, cp.abs(d) <= deviation]
    if asked.held is not None:
        limits.append(cp.norm1(w - asked.held) <= delta)
    risk = cp.quad_form(d, cp.psd_wrap(covariance))
    cp.Problem(cp.Maximize(d @ r - lamb * risk), limits).solve(solver="CLARABEL")
    found: Floats = w.value
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("lamb", "deviation"), [(1.0, 0.01), (5.0, 0.05), (0.1, 0.2)])
def test_weights_equal_the_problem_solved_directly(
    seed: int, lamb: float, deviation: float
) -> None:
    asked = problem(seed=seed)
    found = strategy(lamb=lamb, benchmark_deviation=deviation).weigh(asked)
    expected = solved(asked, np.full(20, 0.05), lamb=lamb, deviation=deviation)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - 0.05).max() <= deviation + 1e-5


def test_change_is_bounded_by_delta_as_in_the_problem_solved_directly() -> None:
    held = np.zeros(20)
    held[:10] = 0.1
    asked = problem(held)
    found = strategy(benchmark_deviation=0.06, delta=0.4).weigh(asked)
    expected = solved(asked, np.full(20, 0.05), lamb=1.0, deviation=0.06, delta=0.4)
    assert np.abs(found - held).sum() <= 0.4 + 1e-5
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_delta_that_the_benchmark_does_not_allow_is_an_error() -> None:
    """Qlib drops the bound and goes on; here that is a failure."""
    held = np.zeros(20)
    held[:2] = 0.5
    with pytest.raises(RebalanceError, match=r"with a change of at most delta .* infeasible"):
        strategy(delta=0.1).weigh(problem(held))


def test_problem_without_a_solution_is_an_error() -> None:
    """Qlib returns what is held, as if it were the optimum."""
    held = np.full(20, 0.1 / 19)
    held[0] = 0.9
    asked = problem(held)
    asked.traded[0] = False  # it cannot be sold, the others have to be bought
    with pytest.raises(RebalanceError, match=r"the solver did not succeed: infeasible"):
        strategy().weigh(asked)


@pytest.mark.skipif("ECOS" in cp.installed_solvers(), reason="cvxpy has ECOS here")
def test_qlibs_optimizer_alone_fails_silently_without_its_solver() -> None:
    """Why another solver is put in its place."""
    from qlib.contrib.strategy.optimizer import EnhancedIndexingOptimizer, enhanced_indexing

    asked, held = problem(), np.full(20, 0.05)
    parts = structured(asked.returns, 10)
    arguments = (asked.score, parts.exposure, parts.covariance, parts.specific, held, held)
    assert EnhancedIndexingOptimizer()(*arguments) is held
    strategy().weigh(asked)
    assert enhanced_indexing.cp is cp  # the library is given back as it was


def test_scores_that_are_all_the_same_are_an_error() -> None:
    with pytest.raises(RebalanceError, match="the scores of all 20 names are the same"):
        strategy().weigh(problem(score=np.ones(20)))


def test_halted_holding_stays_as_it_is() -> None:
    held = np.full(20, 0.05)
    held[0], held[1] = 0.055, 0.045
    asked = problem(held)
    asked.traded[0] = False
    assert strategy().weigh(asked)[0] == pytest.approx(0.055, abs=1e-6)


def weights_file(folder: Path, **changes: Any) -> Path:
    rows = [
        {"instrument": code, "date": day, "weight": scale * (n + 1)}
        for day, scale in ((date(2020, 1, 31), 1.0), (date(2020, 2, 28), 2.0))
        for n, code in enumerate(CODES)
    ]
    path = folder / "weights.parquet"
    pl.DataFrame(rows).with_columns(**changes).write_parquet(path)
    return path


MEMBERS = np.ones(20, dtype=bool)


def test_weights_of_a_file_are_the_newest_up_to_the_day(tmp_path: Path) -> None:
    plain = pl.concat_str(pl.col("instrument").str.slice(2), pl.lit(".SH"))
    known = BenchmarkWeights.read(weights_file(tmp_path, instrument=plain))
    found = known.on(DAY, CODES[::-1], MEMBERS)
    np.testing.assert_allclose(found, np.arange(20, 0, -1) / 210)
    assert known.origin == "weights.parquet"


def test_without_a_file_every_name_of_the_day_weighs_the_same() -> None:
    known = BenchmarkWeights.read(None)
    is_member = np.arange(20) < 16
    found = known.on(DAY, CODES, is_member)
    np.testing.assert_allclose(found, np.where(is_member, 1 / 16, 0.0))
    assert known.origin == EQUAL


def test_names_that_hold_too_little_of_the_benchmark_are_an_error(tmp_path: Path) -> None:
    known = BenchmarkWeights.read(weights_file(tmp_path))
    with pytest.raises(RebalanceError, match=r"hold 72\.9% of them, need 95%"):
        known.on(DAY, [*CODES[:17], "X", "Y", "Z"], MEMBERS)  # without 18, 19, 20 of 210 = 153


@pytest.mark.parametrize(
    ("day", "message"),
    [("2020-01-30", "the newest are of a later day"), ("2020-12-31", "are of 2020-02-28, must be")],
)
def test_weights_that_are_not_of_the_day_are_an_error(
    tmp_path: Path, day: str, message: str
) -> None:
    with pytest.raises(RebalanceError, match=message):
        BenchmarkWeights.read(weights_file(tmp_path)).on(np.datetime64(day), CODES, MEMBERS)


def test_weights_of_zero_are_an_error(tmp_path: Path) -> None:
    known = BenchmarkWeights.read(weights_file(tmp_path, weight=pl.lit(0.0)))
    with pytest.raises(RebalanceError, match=r"hold 0\.0% of them"):
        known.on(DAY, CODES, MEMBERS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": pl.lit(-0.1)}, r"has the weight -0\.1 for SH600000 2020-01-31"),
        ({"weight": pl.lit(float("nan"))}, "has the weight nan"),
        ({"weight": pl.lit("much")}, "has a value of another kind"),
        ({"date": pl.lit(date(2020, 1, 31))}, "SH600000 2020-01-31 more than once"),
    ],
)
def test_file_of_weights_that_is_none_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        BenchmarkWeights.read(weights_file(tmp_path, **changes))


def test_file_that_is_not_there_or_lacks_a_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a readable Parquet file"):
        BenchmarkWeights.read(tmp_path / "none.parquet")
    missing = BacktestSettings(
        strategy="enhanced-indexing", benchmark_weights=tmp_path / "none.parquet"
    )
    with pytest.raises(SourceError, match="no such file"):
        backtest_identity(settings_of(missing))
    pl.DataFrame({"instrument": ["A"]}).write_parquet(tmp_path / "short.parquet")
    with pytest.raises(SourceError, match="has no column 'date'"):
        BenchmarkWeights.read(tmp_path / "short.parquet")


def test_backtest_says_whose_weights_it_follows_and_fails_without_them(tmp_path: Path) -> None:
    board = random_market(2, names=12, days=60)
    provider = write_market(board, tmp_path / "provider")
    late = tmp_path / "late.parquet"
    pl.DataFrame(
        {"instrument": list(board.close), "date": [date(2030, 1, 1)] * 12, "weight": [1.0] * 12}
    ).write_parquet(late)
    chosen = {"strategy": "enhanced-indexing", "look_back_days": 20, "benchmark_deviation": 0.05}
    with qlib_session(provider):
        metrics, _ = run_backtest(
            board.predictions(25), settings_of(BacktestSettings(**chosen)), board.benchmark()
        )
        wrong = settings_of(BacktestSettings(**chosen, benchmark_weights=late))
        with pytest.raises(TrainingError, match=r"benchmark weights of late\.parquet"):
            run_backtest(board.predictions(25), wrong, board.benchmark())
    assert metrics.facts["benchmark_weights"] == EQUAL
