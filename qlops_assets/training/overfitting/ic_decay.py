"""How much of the Rank IC on valid is gone on test, and how certain that is."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlops_assets.factors.analysis.inference import LEAST_DAYS
from qlops_assets.training.overfitting.mean_error import mean_error

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class IcDecay:
    """Mean daily Rank IC on valid less that on test.

    Attributes:
        valid: Mean on valid.
        test: Mean on test.
        decay: Valid less test; above 0 where it fell.
        low: Lower end of the interval of the decay.
        high: Upper end.
        confidence: Of the interval, two-sided.
        share: Decay as a share of valid; None where valid is not above 0: nothing to lose.
    """

    valid: float
    test: float
    decay: float
    low: float
    high: float
    confidence: float
    share: float | None

    @property
    def is_certain(self) -> bool:
        """Whether the whole interval is above 0: more than the chance of the days."""
        return self.low > 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, and whether the decay is certain."""
        return {**asdict(self), "is_certain": self.is_certain}


def ic_decay(
    valid: Vector, test: Vector, *, horizon_days: int, confidence: float
) -> IcDecay | None:
    """Return the decay with its interval; None where a segment has fewer than three days.

    The errors of both means are Newey and West's (Bartlett weights, small-sample correction), since
    the IC of neighbouring days is alike and labels overlap. Valid and test are apart by the
    embargo, so the errors add up in squares; Student's t with Welch and Satterthwaite's degrees of
    freedom.

    Args:
        valid: Rank IC by day; NaN where there is none.
        test: Likewise.
        horizon_days: Days that the label looks ahead.
        confidence: Of the interval, such as 0.95.
    """
    from scipy.stats import t

    known = [days[~np.isnan(days)] for days in (valid, test)]
    if min(days.size for days in known) < LEAST_DAYS:
        return None
    before, after = (float(days.mean()) for days in known)
    parts = [mean_error(days, horizon_days) ** 2 for days in known]
    width = 0.0
    if total := sum(parts):
        freedom = total**2 / sum(p**2 / (d.size - 1) for p, d in zip(parts, known, strict=True))
        width = float(t.ppf(0.5 + confidence / 2, freedom)) * total**0.5
    decay = before - after
    share = decay / before if before > 0 else None
    return IcDecay(before, after, decay, decay - width, decay + width, confidence, share)
