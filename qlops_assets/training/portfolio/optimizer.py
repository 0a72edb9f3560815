"""Qlib's PortfolioOptimizer, with bounds and with its failures said.

The problems are Qlib's: ``gmv``, ``mvo``, ``rp`` (``qlib.contrib.strategy.optimizer.optimizer``).
Two things are solved otherwise, because Qlib's way fails without a word: a solve that did not
succeed is an error instead of a warning, and the bound on the change of weights is linear (bought
and sold parts as variables) instead of a sum of absolute values, at whose kinks SLSQP stops. The
objectives come with their gradients, which Qlib leaves to differences: a tenth of the time.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from qlops_assets.training.portfolio.risk.returns import Floats
from qlops_assets.training.portfolio.strategy import RebalanceError

Objective = Callable[[Floats], float]
Gradient = Callable[[Floats], Floats]

_RP: Final = "rp"
_MOST_ITERATIONS: Final = 500
_CLOSE: Final = 1e-4  # of weights: ten times what SLSQP leaves
_NOTHING: Final = 1e-7  # a weight below it is none


class BoundedOptimizer:
    """Weights within bounds, at most ``turnover`` from what is held; None leaves it unbounded."""

    def __init__(
        self, method: str, *, lamb: float, least: Floats, most: Floats, turnover: float | None
    ) -> None:
        self._method, self._lamb = method, lamb
        self._least, self._most, self._turnover = least, most, turnover

    def __call__(
        self, covariance: Floats, score: Floats | None = None, held: Floats | None = None
    ) -> Floats:
        """Return the optimal weights.

        Raises:
            RebalanceError: no weights are within the bounds, or the solver did not succeed.
        """
        if self._least.sum() > 1 + _NOTHING or self._most.sum() < 1 - _NOTHING:
            raise RebalanceError(
                f"no weights of {len(covariance)} names are within their bounds: together they "
                f"are at least {self._least.sum():.3g} and at most {self._most.sum():.3g}"
            )
        optimizer = _qlib_optimizer(self._method, self._lamb, self._solve)
        weights: Floats = optimizer(covariance, score, None if self._turnover is None else held)
        return weights

    def _solve(
        self, obj: Objective, covariance: Floats, score: Floats | None, held: Floats | None
    ) -> Floats:
        """Minimise Qlib's objective; ``score`` is scaled."""
        gradient = gradient_of(self._method, self._lamb, covariance, score)
        # Between equal weights and risk parity may lie a pole, where S x is 0 somewhere.
        even = np.ones(len(covariance)) / len(covariance)
        start = self._within(equal_risk(covariance) if self._method == _RP else even)
        found = (
            _minimum(obj, gradient, start, (self._least, self._most), np.ones(len(start)), total=1)
            if held is None
            else self._changed(obj, gradient, start, held)
        )
        weights = require_weights(found)
        if self._method == _RP:
            self._require_equal_risk(obj, weights, held)
        return weights

    def _within(self, start: Floats) -> Floats:
        """Return a start moved into the bounds, with a sum of 1."""
        inside = np.clip(start, self._least, self._most)
        gap = 1 - inside.sum()
        room = self._most - inside if gap > 0 else inside - self._least
        moved: Floats = inside + room * (gap / room.sum() if room.sum() > 0 else 0.0)
        return moved

    def _changed(self, obj: Objective, gradient: Gradient, start: Floats, held: Floats) -> Floats:
        """Return the best weights by buying and selling, together at most the turnover.

        ``weights = held + bought - sold``; bought and sold are at least 0, so that their sum is a
        bound of the change.
        """
        turnover = float(self._turnover or 0.0)
        low, high = self._least - held, self._most - held
        fewest = np.concatenate([np.maximum(low, 0), np.maximum(-high, 0)])
        largest = np.concatenate([np.maximum(high, 0), np.maximum(-low, 0)])
        if fewest.sum() > turnover + _NOTHING:
            raise RebalanceError(
                f"the bounds of the weights ask for a change of {fewest.sum():.3g}, delta allows "
                f"{turnover:g}"
            )
        n, step = len(held), start - held
        step *= min(1.0, turnover / max(np.abs(step).sum(), _NOTHING))
        first = np.clip(np.concatenate([step, -step]), fewest, largest)
        free = largest > fewest  # nobody sells what is not held: half of the parts, or more
        sides = np.concatenate([np.ones(n), -np.ones(n)])

        def weights_of(chosen: Floats) -> Floats:
            whole = fewest.copy()
            whole[free] = chosen
            weights: Floats = held + whole[:n] - whole[n:]
            return weights

        best = _minimum(
            lambda z: obj(weights_of(z)),
            lambda z: (sides * np.tile(gradient(weights_of(z)), 2))[free],
            first[free],
            (fewest[free], largest[free]),
            sides[free],
            total=1.0 - held.sum() - sides[~free] @ fewest[~free],
            most_in_all=turnover - fewest[~free].sum(),
        )
        return weights_of(best)

    def _require_equal_risk(self, obj: Objective, weights: Floats, held: Floats | None) -> None:
        """Refuse a local minimum: without active bounds every name contributes the same risk."""
        inside = ((weights > self._least + _CLOSE) & (weights < self._most - _CLOSE)).all()
        bound = held is not None and (
            np.abs(weights - held).sum() > float(self._turnover or 0.0) - _CLOSE
        )
        miss = np.sqrt(obj(weights))
        if inside and not bound and miss > 0.01:
            raise RebalanceError(f"rp: contributions to risk are unequal by {miss:.1%} together")


def _qlib_optimizer(
    method: str, lamb: float, solve: Callable[[Objective, Floats, Floats | None, Any], Floats]
) -> Any:
    """Return Qlib's optimiser, which scales the score and makes the objective, with our solve.

    Its own ``delta`` stays out of it: the default of 0 forbids every trade.
    """
    from qlib.contrib.strategy.optimizer import PortfolioOptimizer

    class Solved(PortfolioOptimizer):  # type: ignore[misc]
        def _optimize(self, S: Floats, r: Floats | None = None, w0: Any = None) -> Floats:  # noqa: N803
            self.asked = S, r
            weights: Floats = super()._optimize(S, r, w0)
            return weights

        def _get_constrains(self, w0: Floats | None = None) -> tuple[None, Floats | None]:
            return None, w0

        def _solve(self, n: int, obj: Objective, bounds: None, cons: Any) -> Floats:
            return solve(obj, *self.asked, cons)

    return Solved(method=method, lamb=lamb)


def gradient_of(method: str, lamb: float, covariance: Floats, score: Floats | None) -> Gradient:
    """Return the gradient of an objective of Qlib's; ``score`` is scaled."""
    if method == _RP:
        return lambda x: _risk_parity_gradient(covariance, x)
    if score is None:
        return lambda x: 2 * (covariance @ x)
    return lambda x: 2 * lamb * (covariance @ x) - score


def equal_risk(covariance: Floats) -> Floats:
    """Return the weights at which every name contributes the same part of the variance.

    The minimum of ½ x' S x - Σ_i log(x_i) / N has them, up to its sum; coordinate by coordinate it
    is the positive root of a quadratic.

    Source: Griveau-Billion, Richard and Roncalli, A Fast Algorithm for Computing High-dimensional
    Risk Parity Portfolios, 2013.
    """
    variance = np.diag(covariance)
    x, share = 1 / np.sqrt(variance), 1 / len(covariance)
    for _ in range(_MOST_ITERATIONS):
        before = x.copy()
        for i, own in enumerate(variance):
            others = covariance[i] @ x - own * x[i]
            x[i] = (np.sqrt(others**2 + 4 * own * share) - others) / (2 * own)
        if np.abs(x - before).max() < _NOTHING * x.max():
            break
    weights: Floats = x / x.sum()
    return weights


def _risk_parity_gradient(covariance: Floats, weights: Floats) -> Floats:
    """Return the gradient of Σ_i (x_i - q / (N s_i))² with s = S x and q = x' s."""
    n = len(weights)
    s = covariance @ weights
    q = weights @ s
    d = weights - q / s / n
    slope: Floats = 2 * (d - (2 * s / n) * (d / s).sum() + (q / n) * (covariance @ (d / s**2)))
    return slope


def _minimum(
    obj: Objective,
    gradient: Gradient,
    start: Floats,
    bounds: tuple[Floats, Floats],
    sides: Floats,
    *,
    total: float,
    most_in_all: float | None = None,
) -> Floats:
    """Minimise with ``sides @ x == total`` and, where given, ``sum(x) <= most_in_all``."""
    from scipy import optimize

    constraints = [{"type": "eq", "fun": lambda x: sides @ x - total, "jac": lambda _: sides}]
    if most_in_all is not None:
        ones = np.ones(len(start))
        constraints.append(
            {"type": "ineq", "fun": lambda x: most_in_all - x.sum(), "jac": lambda _: -ones}
        )
    found = optimize.minimize(
        obj,
        start,
        jac=gradient,
        method="SLSQP",
        bounds=optimize.Bounds(*bounds),
        constraints=constraints,
        tol=1e-8,  # Qlib's
        options={"maxiter": _MOST_ITERATIONS},
    )
    if not found.success:
        raise RebalanceError(f"the solver ended with {found.message!r} after {found.nit} steps")
    best: Floats = found.x
    return best


def require_weights(weights: Floats) -> Floats:
    """Return weights without rounding: none below 0, tiny ones 0, with a sum of 1.

    Raises:
        RebalanceError: they are not finite, one is negative, or they do not sum to 1.
    """
    if not np.isfinite(weights).all():
        raise RebalanceError("the solver gave weights that are not finite")
    if weights.min() < -_CLOSE or abs(weights.sum() - 1) > _CLOSE:
        raise RebalanceError(
            f"the solver gave weights of at least {weights.min():.3g} that sum to "
            f"{weights.sum():.6g}, must be 0 or more and sum to 1"
        )
    kept = np.where(weights < _NOTHING, 0.0, weights)
    cleaned: Floats = kept / kept.sum()
    return cleaned
