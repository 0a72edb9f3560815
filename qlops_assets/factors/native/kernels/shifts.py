"""Values of earlier days."""

import numpy as np

from qlops_assets.factors.native.compilation import compiled


@compiled
def shift(x, bounds, stride, first, days, out):
    """Ref: the value ``days`` before, NaN where there is none; 0 days means the very first."""
    by = days * stride
    for s in range(bounds.shape[0] - 1):
        begin, n = bounds[s], bounds[s + 1] - bounds[s]
        own = x[begin : begin + n]
        o = out[begin - s * first : begin - s * first + n - first]
        if days == 0:
            for i in range(first, n):
                o[i - first] = own[i % stride]
            continue
        low = min(max(first, by), n)
        high = max(min(n, n + by), low)
        o[: low - first] = np.nan
        o[low - first : high - first] = own[low - by : high - by]
        o[high - first :] = np.nan
