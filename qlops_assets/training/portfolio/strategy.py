"""What every strategy of the backtest is, and what it is made from."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Protocol

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.training import TrainingSettings

if TYPE_CHECKING:
    import pandas as pd


OPTIMISER_SETTINGS: Final = (
    *("most_names", "rebalance_days", "look_back_days", "risk_model", "risk_factors", "lamb"),
    *("delta", "least_weight", "most_weight", "benchmark_deviation", "benchmark_weights"),
    "most_failed_share",
)


class RebalanceError(TrainingError):
    """Weights of one day cannot be chosen; what is held stays as it is."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """How many instruments the strategy holds, and exchanges a day at most."""

    topk: int
    n_drop: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a strategy is made from.

    Attributes:
        score: Of every test day and instrument, indexed by (datetime, instrument).
        holdings: What :meth:`Strategy.choose_holdings` returned.
        backtest: Its settings.
        codes: The instruments with a score, sorted.
        first: First day of the test.
        last: Last day of the test.
    """

    score: "pd.Series[float]"
    holdings: Holdings
    backtest: BacktestSettings
    codes: tuple[str, ...]
    first: date
    last: date


class Strategy(Protocol):
    """A way from scores to orders."""

    @classmethod
    def require(cls, backtest: BacktestSettings) -> None:
        """Refuse settings that it cannot follow, whatever the data.

        Raises:
            TrainingError: one is out of range, or has no effect on this strategy.
        """

    @classmethod
    def identity(cls, backtest: BacktestSettings) -> dict[str, Any]:
        """Return the settings that decide what it holds, resolved, as a document."""

    @classmethod
    def choose_holdings(
        cls, training: TrainingSettings, backtest: BacktestSettings, universe_size: int
    ) -> Holdings:
        """Return the number of instruments that it holds, or chooses among.

        Raises:
            TrainingError: the universe is too small for them.
        """

    def __init__(self, inputs: Inputs) -> None: ...

    def build(self) -> Any:
        """Return Qlib's strategy; a session must be open."""

    def facts(self) -> dict[str, Any]:
        """Return what happened during the test that its returns do not show.

        Raises:
            TrainingError: too much of it failed for the returns to mean anything.
        """


def usual_topk(universe_size: int) -> int:
    """Return 50 for 200 instruments or more, and a fourth of fewer."""
    return min(50, max(1, universe_size // 4))


def require_followed(strategy: str, backtest: BacktestSettings, followed: Collection[str]) -> None:
    """Refuse a setting that would do nothing.

    Raises:
        TrainingError: one of the optimisers' settings that the strategy does not follow is set.
    """
    usual = BacktestSettings()
    for name in OPTIMISER_SETTINGS:
        value = getattr(backtest, name)
        if name not in followed and value != getattr(usual, name):
            raise TrainingError(
                f"[backtest] {name}: was {value}, but {strategy} does not follow it; leave it out"
            )


def require_range(name: str, value: float, *, least: float, most: float | None = None) -> None:
    """Refuse a number of ``[backtest]`` that is out of range.

    Raises:
        TrainingError: it is.
    """
    if value < least or (most is not None and value > most) or value != value:  # noqa: PLR0124
        upper = "" if most is None else f" and at most {most:g}"
        raise TrainingError(f"[backtest] {name}: was {value:g}, must be at least {least:g}{upper}")
