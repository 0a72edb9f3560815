"""Enhanced indexing: the benchmark's weights, tilted by the scores.

    max_w  d' r - lamb (v' Cov_b v + var_u' d²)      d = w - wb,  v = d F
    s.t.   w ≥ 0,  Σ w = 1,  Σ |w - w0| ≤ delta,  |d| ≤ benchmark_deviation

``F``, ``Cov_b`` and ``var_u`` are the parts of Qlib's ``StructuredCovEstimator``; ``wb`` are the
benchmark's weights among the names with a past; what is held and halted stays as it is.

Source: ``qlib.contrib.strategy.optimizer.EnhancedIndexingOptimizer``.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.training.portfolio.benchmark_weights import BenchmarkWeights, weights_digest
from qlops_assets.training.portfolio.mvo import require_scores
from qlops_assets.training.portfolio.optimised import Optimised, Problem
from qlops_assets.training.portfolio.optimizer import require_weights
from qlops_assets.training.portfolio.risk.covariance import STRUCTURED, structured
from qlops_assets.training.portfolio.risk.returns import Floats
from qlops_assets.training.portfolio.strategy import Holdings, Inputs, RebalanceError

if TYPE_CHECKING:
    import pandas as pd

_SOLVER: Final = "CLARABEL"
_EVERYTHING: Final = 2.0  # the change from any weights to any others is at most this
_SMALLEST: Final = 1e-7


class EnhancedIndexing(Optimised):
    """Holds the universe about as the benchmark does."""

    name = "enhanced-indexing"
    follows: ClassVar[tuple[str, ...]] = (
        *("lamb", "delta", "benchmark_deviation", "benchmark_weights"),
    )
    usual_risk_model = STRUCTURED

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self._benchmark = BenchmarkWeights.read(self.backtest.benchmark_weights)

    @classmethod
    def require(cls, backtest: BacktestSettings) -> None:
        """Refuse what every strategy refuses, and a risk model without parts.

        Raises:
            TrainingError: see above.
        """
        super().require(backtest)
        if backtest.risk_model not in (None, STRUCTURED):
            raise TrainingError(
                f"[backtest] risk_model: was {backtest.risk_model!r}, must be {STRUCTURED!r} for "
                f"{cls.name}, which needs the parts of a covariance"
            )

    @classmethod
    def identity(cls, backtest: BacktestSettings) -> dict[str, Any]:
        """Return what decides the weights, the benchmark's by their content."""
        found = super().identity(backtest)
        return {**found, "benchmark_weights": weights_digest(backtest.benchmark_weights)}

    @classmethod
    def choose_holdings(
        cls, training: TrainingSettings, backtest: BacktestSettings, universe_size: int
    ) -> Holdings:
        """Return the whole universe."""
        return Holdings(universe_size, 0)

    @property
    def bounds_change(self) -> bool:
        """Always: what is held and no longer in the benchmark has to be sold within the bounds."""
        return True

    def candidates(self, score: "pd.Series[float]") -> list[str]:
        """Return every name with a score, whatever it is."""
        return sorted(str(code) for code in score.index)

    def weigh(self, problem: Problem) -> Floats:
        """Return the optimal weights.

        Raises:
            RebalanceError: the benchmark's weights are missing, the scores are all the same, or
                the solver did not succeed under all bounds.
        """
        from qlib.contrib.strategy.optimizer import EnhancedIndexingOptimizer

        require_scores(problem.score)
        parts = structured(problem.returns, self.backtest.risk_factors)
        held = np.zeros(len(problem.codes)) if problem.held is None else problem.held
        optimizer = EnhancedIndexingOptimizer(
            lamb=self.backtest.lamb,
            # Qlib says that None is no bound, and then fails on it.
            delta=_EVERYTHING if self.backtest.delta is None else self.backtest.delta,
            b_dev=self.backtest.benchmark_deviation,
            epsilon=_SMALLEST,
        )
        with _solving() as problems:
            weights = optimizer(
                r=problem.score,
                F=parts.exposure,
                cov_b=parts.covariance,
                var_u=parts.specific,
                w0=held,
                wb=self._benchmark.on(problem.day, problem.codes, problem.is_candidate),
                mfh=~problem.traded & (held > 0),
            )
        _require_solved(problems, gave_up=weights is held)
        return require_weights(weights)

    def facts(self) -> dict[str, Any]:
        """Return also where the benchmark's weights are from."""
        return {**super().facts(), "benchmark_weights": self._benchmark.origin}


@contextlib.contextmanager
def _solving() -> Iterator[list[Any]]:
    """Give Qlib's optimiser a solver that is there, and keep the problems that it makes.

    It names ECOS, which cvxpy no longer brings; without it every solve fails, is logged, and what
    is held comes back as if it were the answer.
    """
    from qlib.contrib.strategy.optimizer import enhanced_indexing

    real = enhanced_indexing.cp
    solving = _Cvxpy(real)
    enhanced_indexing.cp = solving
    try:
        yield solving.problems
    finally:
        enhanced_indexing.cp = real


class _Cvxpy:
    """The library, with another solver by the name of ECOS."""

    ECOS = _SOLVER

    def __init__(self, real: Any) -> None:
        self._real = real
        self.problems: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def Problem(self, *arguments: Any) -> Any:  # noqa: N802 (cvxpy's name)
        """Return a problem, and remember it."""
        self.problems.append(self._real.Problem(*arguments))
        return self.problems[-1]


def _require_solved(problems: list[Any], *, gave_up: bool) -> None:
    """Refuse a solve that failed, and one that left out the bound on the change.

    Raises:
        RebalanceError: see above.
    """
    said = problems[0].status if problems else "not even posed"
    if gave_up:
        raise RebalanceError(f"the solver did not succeed: {said}")
    if len(problems) > 1:
        raise RebalanceError(
            f"with a change of at most delta the problem is {said}; raise [backtest] delta or "
            "benchmark_deviation"
        )
