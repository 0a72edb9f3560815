"""Strategies that choose weights: which names, how often, by which past, and what went wrong.

A day's weights are chosen from its scores and the returns up to and with it, and traded on the
next. Where that fails, what is held stays as it is, and the failure is counted and told.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.training.portfolio.risk.covariance import SHRINK, require_risk_model
from qlops_assets.training.portfolio.risk.returns import Floats, PastReturns
from qlops_assets.training.portfolio.strategy import (
    Holdings,
    Inputs,
    RebalanceError,
    require_followed,
    require_range,
    usual_topk,
)

if TYPE_CHECKING:
    import pandas as pd

Weights = dict[str, float]
_FEWEST: Final = 2
_SHOWN: Final = 3
_OF_ALL: Final = (
    *("rebalance_days", "look_back_days", "risk_model", "risk_factors", "most_failed_share"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What the weights of one day are chosen from; arrays are by ``codes``.

    Attributes:
        day: The signal's day.
        codes: The names: the candidates, and where the change is bounded those that are held.
        score: Their scores; the day's lowest for a held name without one.
        returns: Days × names, up to and with the day.
        held: Their present weights, which sum to 1; None where none is held.
        is_candidate: Whether it may be bought.
        traded: Whether it traded on the day.
    """

    day: np.datetime64
    codes: list[str]
    score: Floats
    returns: Floats
    held: Floats | None
    is_candidate: np.ndarray[Any, np.dtype[np.bool_]]
    traded: np.ndarray[Any, np.dtype[np.bool_]]


class Optimised(ABC):
    """A strategy by weights. A subclass says how one day's are chosen."""

    name: ClassVar[str]
    # Settings of this strategy beside those of all: any other must be left at its default.
    follows: ClassVar[tuple[str, ...]] = ()
    usual_risk_model: ClassVar[str] = SHRINK

    def __init__(self, inputs: Inputs) -> None:
        self.inputs, self.backtest = inputs, inputs.backtest
        self._rebalances = 0
        self._failures: list[str] = []
        self._past: PastReturns | None = None

    @abstractmethod
    def weigh(self, problem: Problem) -> Floats:
        """Return the weights of a problem's names: 0 or more, summing to 1.

        Raises:
            RebalanceError: there are none.
        """

    @classmethod
    def require(cls, backtest: BacktestSettings) -> None:
        """Refuse settings that it cannot follow, or that would do nothing.

        Raises:
            TrainingError: one is out of range, or has no effect on this strategy.
        """
        require_followed(cls.name, backtest, (*_OF_ALL, *cls.follows))
        require_risk_model(backtest)
        _require_ranges(backtest)

    @classmethod
    def identity(cls, backtest: BacktestSettings) -> dict[str, Any]:
        """Return what decides the weights."""
        found = {name: getattr(backtest, name) for name in (*_OF_ALL, *cls.follows)}
        return {**found, "risk_model": backtest.risk_model or cls.usual_risk_model}

    @classmethod
    def choose_holdings(
        cls, training: TrainingSettings, backtest: BacktestSettings, universe_size: int
    ) -> Holdings:
        """Return the number of candidates: ``most_names``, else ``topk``, else its default.

        Raises:
            TrainingError: the universe has fewer, or they cannot hold everything.
        """
        wanted = backtest.most_names or training.topk
        names = max(_FEWEST, usual_topk(universe_size)) if wanted is None else wanted
        if names > universe_size:
            raise TrainingError(
                f"backtest: {cls.name} chooses among {names} names, a test day has "
                f"{universe_size}; lower [backtest] most_names or [training] topk, or choose a "
                "larger [universe]"
            )
        if names * backtest.most_weight < 1 or names * backtest.least_weight > 1:
            raise TrainingError(
                f"[backtest] least_weight, most_weight: were {backtest.least_weight:g}, "
                f"{backtest.most_weight:g}; no weights of {names} names within them sum to 1"
            )
        return Holdings(names, 0)

    def build(self) -> Any:
        """Return Qlib's strategy, which asks :meth:`target` for every day's weights."""
        from qlops_assets.training.portfolio.weight_strategy import weight_strategy

        made = self.inputs
        self._past = PastReturns.read(
            made.codes, made.first, made.last, self.backtest.look_back_days
        )
        return weight_strategy(made.score, self, self.backtest.rebalance_days)

    def target(
        self, day: np.datetime64, score: "pd.Series[float]", held: Mapping[str, float]
    ) -> Weights | None:
        """Return the weights to trade to on the next day; None keeps what is held."""
        self._rebalances += 1
        try:
            problem = self.problem(day, score.dropna(), held)
            weights = self.weigh(problem)
        except RebalanceError as error:
            self._failures.append(f"{day}: {error}")
            return None
        return {c: float(w) for c, w in zip(problem.codes, weights, strict=True) if w > 0}

    def problem(
        self, day: np.datetime64, score: "pd.Series[float]", held: Mapping[str, float]
    ) -> Problem:
        """Return what a day's weights are chosen from.

        Raises:
            RebalanceError: too few names have a score and a past.
        """
        assert self._past is not None, "build() comes first"
        window = self._past.window(day)
        place = {code: at for at, code in enumerate(window.codes)}
        known = score[score.index.isin(place)].sort_values(ascending=False, kind="stable")
        candidates = self.candidates(known)
        if len(candidates) < _FEWEST:
            raise RebalanceError(
                f"{len(candidates)} instruments have a score and "
                f"{self.backtest.look_back_days} days of returns, needs {_FEWEST}"
            )
        beside = [c for c in sorted(held) if c in place and c not in candidates]
        codes = [*candidates, *(beside if self.bounds_change else [])]
        rows = np.array([place[code] for code in codes])
        return Problem(
            day=day,
            codes=codes,
            score=np.asarray(score.reindex(codes).fillna(score.min()), dtype=np.float64),
            returns=window.returns[:, rows],
            held=_shares(held, codes),
            is_candidate=np.arange(len(codes)) < len(candidates),
            traded=window.traded[rows],
        )

    @property
    def bounds_change(self) -> bool:
        """Whether weights depend on what is held."""
        return self.backtest.delta is not None

    def candidates(self, score: "pd.Series[float]") -> list[str]:
        """Return the names that may be bought: the best scores."""
        return [str(code) for code in score.index[: self.inputs.holdings.topk]]

    def facts(self) -> dict[str, Any]:
        """Return how often weights were chosen, how often that failed, and why.

        Raises:
            TrainingError: it failed more often than ``most_failed_share`` allows.
        """
        failed, shown = len(self._failures), "; ".join(self._failures[:_SHOWN])
        if failed > self.backtest.most_failed_share * self._rebalances:
            raise TrainingError(
                f"backtest: {self.name} could not choose weights on {failed} of "
                f"{self._rebalances} days, may on {self.backtest.most_failed_share:.0%} "
                f"([backtest] most_failed_share): {shown}"
            )
        return {
            "rebalances": self._rebalances,
            "failed_rebalances": failed,
            "failures": self._failures[:_SHOWN],
        }


def _shares(held: Mapping[str, float], codes: list[str]) -> Floats | None:
    """Return the present weights of names among each other; None where none is held."""
    values = np.array([held.get(code, 0.0) for code in codes], dtype=np.float64)
    return values / values.sum() if values.sum() > 0 else None


def _require_ranges(backtest: BacktestSettings) -> None:
    require_range("rebalance_days", backtest.rebalance_days, least=1)
    require_range("look_back_days", backtest.look_back_days, least=_FEWEST)
    require_range("risk_factors", backtest.risk_factors, least=1)
    require_range("lamb", backtest.lamb, least=0)
    require_range("least_weight", backtest.least_weight, least=0, most=1)
    require_range("most_weight", backtest.most_weight, least=backtest.least_weight, most=1)
    require_range("benchmark_deviation", backtest.benchmark_deviation, least=0, most=1)
    require_range("most_failed_share", backtest.most_failed_share, least=0, most=1)
    if backtest.most_names is not None:
        require_range("most_names", backtest.most_names, least=_FEWEST)
    if backtest.delta is not None and not 0 < backtest.delta <= 2:
        raise TrainingError(
            f"[backtest] delta: was {backtest.delta:g}, must be above 0, at which nothing could "
            "ever be exchanged, and at most 2, which exchanges everything; leave it out for any"
        )
