"""Skewness, kurtosis and mean absolute deviation: powers of distances from the window's mean."""

import numpy as np

from qlops_assets.factors.native.compilation import compiled
from qlops_assets.factors.native.kernels.segments import (
    TILE,
    clipped,
    last_values,
    load,
    longest,
    padding,
    running_counts,
    window_counts,
)

SKEW, KURT, MAD = range(3)

_SMALLEST_SPREAD = 1e-14  # of a variance; below it pandas gives neither skewness nor kurtosis


@compiled
def deviations(x, ages, bounds, stride, first, windows, requests, scores, work, out):
    """Skew, Kurt and Mad of one series; see the package. Two scans for each window."""
    most = longest(bounds)
    pad = padding(windows, most, stride, first)
    size = pad + most
    p, a, counts = work[:size], work[size : 2 * size], work[2 * size : 3 * size]
    sums = work[3 * size : 3 * size + 5 * TILE].reshape(5, TILE)
    for s in range(bounds.shape[0] - 1):
        begin, n = bounds[s], bounds[s + 1] - bounds[s]
        own = clipped(windows, n // stride)
        load(x[begin : begin + n], pad, p)
        last_values(p, pad, stride, a[:n])
        running_counts(p[: pad + n], stride, counts[: pad + n])
        for tile in range(first, n, TILE):
            m = min(TILE, n - tile)
            to = begin + tile - first
            here = a[tile : tile + m]
            for r in range(requests.shape[0]):
                window = own[requests[r, 1]]
                _write(
                    requests[r, 0],
                    p,
                    here,
                    counts,
                    pad + tile,
                    stride,
                    window,
                    sums,
                    out[r, to : to + m],
                )


@compiled
def _write(what, p, a, counts, at, stride, window, sums, o):
    m = o.shape[0]
    mean, s1, s2, s3, s4 = sums[0, :m], sums[1, :m], sums[2, :m], sums[3, :m], sums[4, :m]
    n = np.empty(m)
    window_counts(counts, at, window * stride, n)
    sums[:] = 0.0
    for lag in range(window):
        _add_first(p[at - lag * stride : at - lag * stride + m], a, mean)
    for i in range(m):
        mean[i] = mean[i] / n[i] if n[i] > 0 else np.nan
    for lag in range(window):
        _add_powers(p[at - lag * stride : at - lag * stride + m], a, mean, s1, s2, s3, s4)
    for i in range(m):
        if what == MAD:
            o[i] = s1[i] / n[i] if n[i] > 0 else np.nan
        elif what == SKEW:
            o[i] = _skewness(n[i], s2[i], s3[i])
        else:
            o[i] = _kurtosis(n[i], s2[i], s4[i])


@compiled
def _add_first(q, a, total):
    for i in range(a.shape[0]):
        d = q[i] - a[i]
        total[i] += d if d == d else 0.0


@compiled
def _add_powers(q, a, mean, s1, s2, s3, s4):
    for i in range(a.shape[0]):
        d = (q[i] - a[i]) - mean[i]
        d = d if d == d else 0.0
        s1[i] += abs(d)
        s2[i] += d * d
        s3[i] += d * d * d
        s4[i] += (d * d) * (d * d)


@compiled
def _skewness(n, s2, s3):
    if n < 3:
        return np.nan
    if s2 == 0.0:
        return 0.0
    spread = s2 / n
    if spread <= _SMALLEST_SPREAD:
        return np.nan
    root = np.sqrt(spread)
    return np.sqrt(n * (n - 1.0)) * (s3 / n) / ((n - 2.0) * root * root * root)


@compiled
def _kurtosis(n, s2, s4):
    if n < 4:
        return np.nan
    if s2 == 0.0:
        return -3.0
    spread = s2 / n
    if spread <= _SMALLEST_SPREAD:
        return np.nan
    k = (n * n - 1.0) * (s4 / n) / (spread * spread) - 3.0 * (n - 1.0) * (n - 1.0)
    return k / ((n - 2.0) * (n - 3.0))
