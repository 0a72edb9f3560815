"""What an analysis measures and by which conventions."""

from dataclasses import dataclass
from typing import Final

from qlops_assets.core.errors import FactorError

BENJAMINI_HOCHBERG: Final = "fdr_bh"
BENJAMINI_YEKUTIELI: Final = "fdr_by"
LONGEST_HORIZON: Final = 250
FALSE_DISCOVERY: Final = (BENJAMINI_HOCHBERG, BENJAMINI_YEKUTIELI)


@dataclass(frozen=True, slots=True)
class AnalysisRules:
    """How a set of factors is analysed.

    Attributes:
        horizon_days: The main horizon: days between buying, on the close of the day after the
            signal, and selling. All figures but the decay are of this horizon.
        horizons: Those of the decay; the main one has to be among them.
        quantiles: Into how many a day's names are sorted.
        least_names: So many names have to have a value for a day to count as covered.
        least_days: So many days have to have a Rank IC for the factor to be judged at all, and of
            a year to be counted as one.
        correlation_days: On so many days, evenly spaced, factors are compared with each other.
        cluster_correlation: Factors whose |rank correlation| reaches it, by average linkage, are
            one cluster.
        false_discovery: ``fdr_bh`` (Benjamini–Hochberg) or ``fdr_by`` (Benjamini–Yekutieli, right
            under any dependence of the factors and stricter).
    """

    horizon_days: int = 1
    horizons: tuple[int, ...] = tuple(range(1, 21))
    quantiles: int = 5
    least_names: int = 10
    least_days: int = 20
    correlation_days: int = 120
    cluster_correlation: float = 0.7
    false_discovery: str = BENJAMINI_HOCHBERG

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            FactorError: a rule is out of range.
        """
        horizons = self.horizons
        inside = all(1 <= horizon <= LONGEST_HORIZON for horizon in horizons)
        if not horizons or not inside or list(horizons) != sorted(set(horizons)):
            _refuse("horizons", horizons, f"days from 1 to {LONGEST_HORIZON}, ascending, each once")
        if self.horizon_days not in horizons:
            _refuse("horizon_days", self.horizon_days, f"one of {', '.join(map(str, horizons))}")
        if not 2 <= self.quantiles <= 100:
            _refuse("quantiles", self.quantiles, "from 2 to 100")
        for name in ("least_names", "least_days", "correlation_days"):
            if getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "at least 1")
        if not 0 < self.cluster_correlation <= 1:
            _refuse("cluster_correlation", self.cluster_correlation, "in (0, 1]")
        if self.false_discovery not in FALSE_DISCOVERY:
            _refuse("false_discovery", self.false_discovery, " or ".join(FALSE_DISCOVERY))

    @property
    def main(self) -> int:
        """Place of the main horizon among the horizons."""
        return self.horizons.index(self.horizon_days)


def _refuse(name: str, found: object, accepted: str) -> None:
    raise FactorError(f"factor analysis: {name}: was {found!r}, must be {accepted}")


DEFAULT_RULES: Final = AnalysisRules()
