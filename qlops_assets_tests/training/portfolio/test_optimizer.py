"""Weights against closed forms, cvxpy and the conditions that define them."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qlib.contrib.strategy.optimizer import PortfolioOptimizer

from qlops_assets.training.portfolio.optimizer import (
    BoundedOptimizer,
    equal_risk,
    gradient_of,
    require_weights,
)
from qlops_assets.training.portfolio.risk.returns import Floats
from qlops_assets.training.portfolio.strategy import RebalanceError


def random_covariance(seed: int, names: int) -> Floats:
    """Return a covariance in percent squared with a common factor."""
    rng = np.random.default_rng(seed)
    exposure = rng.normal(0.8, 0.3, names)
    return np.outer(exposure, exposure) + np.diag(rng.uniform(0.5, 4.0, names))


def optimizer(
    method: str,
    names: int,
    *,
    lamb: float = 1.0,
    least: float = 0.0,
    most: float = 1.0,
    turnover: float | None = None,
) -> BoundedOptimizer:
    bounds = np.full(names, least), np.full(names, most)
    return BoundedOptimizer(method, lamb=lamb, least=bounds[0], most=bounds[1], turnover=turnover)


def best(
    covariance: Floats,
    score: Floats | None,
    *,
    lamb: float = 1.0,
    least: float = 0.0,
    most: float = 1.0,
    held: Floats | None = None,
    turnover: float = 2.0,
) -> Floats:
    """Return the weights of the same problem, by a solver for quadratic programs."""
    w = cp.Variable(len(covariance))
    risk = cp.quad_form(w, cp.psd_wrap(covariance))
    objective = risk if score is None else lamb * risk - w @ score
    limits = [cp.sum(w) == 1, w >= least, w <= most]
    if held is not None:
        limits.append(cp.norm1(w - held) <= turnover)
    cp.Problem(cp.Minimize(objective), limits).solve(solver="CLARABEL")
    found: Floats = w.value
    return found


def scaled(score: Floats, covariance: Floats) -> Floats:
    """Return a score as Qlib scales it: to the typical volatility."""
    typical: float = np.sqrt(np.diag(covariance).mean())
    return score / score.std() * typical


def test_minimum_variance_equals_its_closed_form_where_no_bound_is_met() -> None:
    covariance = np.diag([1.0, 2.0, 4.0, 5.0]) + 0.3
    expected = np.linalg.solve(covariance, np.ones(4))
    expected /= expected.sum()
    assert expected.min() > 0
    np.testing.assert_allclose(optimizer("gmv", 4)(covariance), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [1.0, 0.2])
def test_minimum_variance_equals_a_quadratic_program(seed: int, most: float) -> None:
    covariance = random_covariance(seed, 20)
    found = optimizer("gmv", 20, least=0.01, most=most)(covariance)
    expected = best(covariance, None, least=0.01, most=most)
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lamb", [0.3, 1.0, 10.0])
def test_mean_variance_equals_a_quadratic_program(seed: int, lamb: float) -> None:
    covariance = random_covariance(seed, 20)
    score = np.random.default_rng(seed).normal(size=20)
    found = optimizer("mvo", 20, lamb=lamb, most=0.3)(covariance, score)
    expected = best(covariance, scaled(score, covariance), lamb=lamb, most=0.3)
    np.testing.assert_allclose(found, expected, atol=5e-4)


@pytest.mark.parametrize("method", ["gmv", "mvo"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("turnover", [0.1, 0.5])
def test_bounded_change_equals_a_quadratic_program(method: str, seed: int, turnover: float) -> None:
    rng = np.random.default_rng(seed)
    covariance, score = random_covariance(seed, 15), rng.normal(size=15)
    held = rng.dirichlet(np.ones(15)) * (rng.random(15) < 0.7)
    held /= held.sum()
    asked = None if method == "gmv" else score
    found = optimizer(method, 15, most=0.6, turnover=turnover)(covariance, asked, held)
    r = None if asked is None else scaled(score, covariance)
    expected = best(covariance, r, most=0.6, held=held, turnover=turnover)
    assert np.abs(found - held).sum() <= turnover + 1e-5
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("names", [2, 10, 50])
def test_risk_parity_contributions_are_equal(seed: int, names: int) -> None:
    covariance = random_covariance(seed, names)
    weights = optimizer("rp", names)(covariance)
    contribution = weights * (covariance @ weights) / (weights @ covariance @ weights)
    np.testing.assert_allclose(contribution, 1 / names, rtol=2e-3)


def test_equal_risk_equals_the_convex_problem_that_defines_it() -> None:
    covariance = random_covariance(3, 12)
    x = cp.Variable(12)
    risk = cp.quad_form(x, cp.psd_wrap(covariance)) / 2
    cp.Problem(cp.Minimize(risk - cp.sum(cp.log(x)) / 12)).solve(solver="CLARABEL")
    np.testing.assert_allclose(equal_risk(covariance), x.value / x.value.sum(), atol=1e-5)


@pytest.mark.parametrize("method", ["gmv", "mvo", "rp"])
def test_gradient_equals_differences_of_the_objective(method: str) -> None:
    covariance = random_covariance(1, 6)
    rng = np.random.default_rng(2)
    score = rng.normal(size=6) if method == "mvo" else None
    asked = (covariance,) if score is None else (covariance, score)
    objective = getattr(PortfolioOptimizer(method, lamb=0.7), f"_get_objective_{method}")(*asked)
    gradient = gradient_of(method, 0.7, covariance, score)
    at, step = rng.dirichlet(np.ones(6)), 1e-6
    slopes = [(objective(at + d) - objective(at - d)) / (2 * step) for d in step * np.eye(6)]
    np.testing.assert_allclose(gradient(at), slopes, rtol=1e-5, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    names=st.integers(2, 12),
    method=st.sampled_from(["gmv", "mvo", "rp"]),
    turnover=st.one_of(st.none(), st.floats(0.01, 2.0)),
    room=st.floats(1.05, 6.0),
)
def test_weights_are_a_portfolio_within_every_bound(
    seed: int, names: int, method: str, turnover: float | None, room: float
) -> None:
    rng = np.random.default_rng(seed)
    covariance, most = random_covariance(seed, names), min(1.0, room / names)
    held = np.full(names, 1 / names) if turnover is None else _within(rng, names, most)
    score = rng.normal(size=names) if method == "mvo" else None
    weights = optimizer(method, names, most=most, turnover=turnover)(covariance, score, held)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights.max() <= most + 1e-5
    if turnover is not None:
        assert np.abs(weights - held).sum() <= turnover + 1e-5


def _within(rng: np.random.Generator, names: int, most: float) -> Floats:
    """Return random weights of at most so much each."""
    drawn = rng.dirichlet(np.ones(names))
    even = np.full(names, 1 / names)
    share = min(1.0, (most - 1 / names) / max(drawn.max() - 1 / names, 1e-12))
    return even + share * (drawn - even)


def test_delta_of_zero_of_qlib_would_forbid_every_trade_without_a_word() -> None:
    """Why the bound is never left to Qlib's default: what is held comes back as the optimum."""
    covariance, held = random_covariance(0, 4), np.array([0.7, 0.1, 0.1, 0.1])
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(UserWarning)
        stuck = PortfolioOptimizer("gmv")(covariance, w0=held)
    free = optimizer("gmv", 4)(covariance, None, held)
    np.testing.assert_allclose(stuck, held, atol=1e-2)
    assert np.abs(free - held).sum() > 0.5


def test_bounds_that_no_weights_meet_are_an_error() -> None:
    with pytest.raises(RebalanceError, match=r"no weights of 4 names .* at most 0\.8"):
        optimizer("gmv", 4, most=0.2)(random_covariance(0, 4))


def test_bounds_that_ask_for_more_change_than_allowed_are_an_error() -> None:
    held = np.array([0.7, 0.1, 0.1, 0.1])
    with pytest.raises(RebalanceError, match=r"a change of 0\.4, delta allows 0\.1"):
        optimizer("gmv", 4, most=0.3, turnover=0.1)(random_covariance(0, 4), None, held)


def test_solver_that_does_not_succeed_is_an_error() -> None:
    covariance = random_covariance(0, 4)
    covariance[0, 1] = covariance[1, 0] = np.nan
    with pytest.raises(RebalanceError, match=r"the solver"):
        optimizer("gmv", 4)(covariance)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, np.nan], "not finite"),
        ([1.2, -0.2], "must be 0 or more"),
        ([0.5, 0.4], "sum to 0.9"),
    ],
)
def test_weights_that_are_no_portfolio_are_an_error(weights: list[float], message: str) -> None:
    with pytest.raises(RebalanceError, match=message):
        require_weights(np.array(weights))


def test_rounding_of_a_solver_is_cleaned() -> None:
    cleaned = require_weights(np.array([0.6, 0.4 + 1e-9, -1e-9]))
    assert cleaned.tolist() == pytest.approx([0.6, 0.4, 0.0], abs=1e-8)
    assert cleaned[2] == 0.0
    assert cleaned.sum() == 1.0
