"""A Sharpe ratio together with what its error follows from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LEAST_DAYS: Final = 3


@dataclass(frozen=True, slots=True)
class SharpeRatio:
    """Of daily returns; not annualised.

    Attributes:
        value: Mean over standard deviation (of a sample, ``n - 1``).
        skewness: Third standardised moment of the returns; 0 for a normal distribution.
        kurtosis: Fourth standardised moment; 3 for a normal distribution.
        days: Days with a return.
    """

    value: float
    skewness: float
    kurtosis: float
    days: int

    @classmethod
    def of(cls, returns: Sequence[float] | NDArray[np.float64]) -> "SharpeRatio | None":
        """Return the ratio of daily returns; days without one (NaN) are left out.

        None where fewer than three days have a return, or all returns are the same.
        """
        values = np.asarray(returns, dtype=np.float64)
        known = values[~np.isnan(values)]
        if known.size < LEAST_DAYS or known.min() == known.max():
            return None
        away = known - known.mean()
        spread = sqrt(np.mean(away**2))
        if not spread:  # differences so small that their squares are 0
            return None
        return cls(
            value=float(known.mean() / known.std(ddof=1)),
            skewness=float(np.mean((away / spread) ** 3)),
            kurtosis=float(np.mean((away / spread) ** 4)),
            days=int(known.size),
        )

    @property
    def standard_error(self) -> float:
        """Its standard error, whatever the distribution of the returns.

        ``sqrt((1 - skewness SR + (kurtosis - 1)/4 SR²) / (days - 1))``.
        Source: Mertens (2002); Bailey and López de Prado (2012), The Sharpe Ratio Efficient
        Frontier, equation 9.
        """
        squared = 1 - self.skewness * self.value + (self.kurtosis - 1) / 4 * self.value**2
        return sqrt(max(squared, 0.0) / (self.days - 1))

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)
