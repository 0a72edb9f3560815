"""Which kernel computes which window operator: the one table to extend for a new one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

# A window over the whole history, Qlib's 0: no segment is longer.
WHOLE: Final = 2**31


@dataclass(frozen=True, slots=True)
class Request:
    """One statistic of one window.

    Attributes:
        family: Requests of one family over the same operands are served by one scan.
        statistic: Its number in the kernel's module.
        window: Days; :data:`WHOLE` for all history.
        score: A further number: the quantile, or the smoothing factor.
    """

    family: str
    statistic: int
    window: int
    score: float = 0.0


# family -> "module:function" below ``kernels``
KERNELS: Final = {
    "totals": "moments:moments",
    "moments": "moments:moments",
    "extremes": "extremes:extremes",
    "ranks": "ranks:ranks",
    "quantiles": "quantiles:quantiles",
    "deviations": "deviations:deviations",
    "weighted": "weighted:weighted",
    "pairs": "pairs:pairs",
}

# operator -> (family, statistic); the numbers are those of the kernels' modules, said here again
# because to import these is to import the compiler.
_STATISTICS: Final = {
    "Sum": ("totals", 0),
    "Count": ("totals", 0),
    "Mean": ("moments", 1),
    "Var": ("moments", 3),
    "Std": ("moments", 4),
    "Slope": ("moments", 5),
    "Rsquare": ("moments", 6),
    "Resi": ("moments", 8),
    "Max": ("extremes", 0),
    "Min": ("extremes", 1),
    "IdxMax": ("extremes", 2),
    "IdxMin": ("extremes", 3),
    "Rank": ("ranks", 0),
    "Quantile": ("quantiles", 0),
    "Med": ("quantiles", 1),
    "Skew": ("deviations", 0),
    "Kurt": ("deviations", 1),
    "Mad": ("deviations", 2),
    "WMA": ("weighted", 0),
    "EMA": ("weighted", 1),
    "Corr": ("pairs", 0),
    "Cov": ("pairs", 2),
}

_EXACT_MEAN: Final = 2
# Without a window Qlib does not look whether a series is flat.
_WHOLE_STATISTICS: Final = {"Rsquare": 7, "Corr": 1, "EMA": 2}


def request(operator: str, parameters: Sequence[Any], dtype: np.dtype[Any]) -> Request:
    """Return what a window operator asks for.

    Args:
        operator: A window operator of the grammar.
        parameters: Its window, and the quantile of Quantile.
        dtype: Of its first operand.
    """
    family, statistic = _STATISTICS[operator]
    window = parameters[0]
    if window == 0:
        statistic = _WHOLE_STATISTICS.get(operator, statistic)
    if operator == "EMA":  # has no window: all history counts, ever less
        alpha = window if 0 < window < 1 else 2.0 / (window + 1.0)
        return Request(family, statistic, 1, float(alpha))
    if operator == "Mean" and dtype != np.float64:
        statistic = _EXACT_MEAN  # sums of such values have no rounding error to begin with
    score = float(parameters[1]) if operator == "Quantile" else 0.0
    return Request(family, statistic, int(window) or WHOLE, score)
