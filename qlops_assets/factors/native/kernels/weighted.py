"""Weighted means: linear weights over a window, exponential ones over all history."""

import numpy as np

from qlops_assets.factors.native.compilation import compiled
from qlops_assets.factors.native.kernels.segments import (
    TILE,
    clipped,
    load,
    longest,
    padding,
    running_counts,
    window_counts,
)

WMA, EMA, EMA_EXPANDING = range(3)


@compiled
def weighted(x, ages, bounds, stride, first, windows, requests, scores, work, out):
    """WMA with Qlib's division by the number of values; EMA as pandas' adjusted ewm.

    The score of an EMA is its smoothing factor; without a window Qlib takes one that falls as the
    history grows.
    """
    most = longest(bounds)
    pad = padding(windows, most, stride, first)
    size = pad + most
    p, counts, total = work[:size], work[size : 2 * size], work[2 * size : 2 * size + TILE]
    for s in range(bounds.shape[0] - 1):
        begin, n = bounds[s], bounds[s + 1] - bounds[s]
        own = clipped(windows, n // stride)
        load(x[begin : begin + n], pad, p)
        running_counts(p[: pad + n], stride, counts[: pad + n])
        for r in range(requests.shape[0]):
            o = out[r, begin - s * first : begin - s * first + n - first]
            if requests[r, 0] == EMA:
                _exponential(p[pad : pad + n], stride, first, scores[r], o)
                continue
            if requests[r, 0] == EMA_EXPANDING:
                _expanding(p[pad : pad + n], ages[begin : begin + n], stride, first, o)
                continue
            for tile in range(first, n, TILE):
                m = min(TILE, n - tile)
                old = ages[begin + tile : begin + tile + m]
                here = o[tile - first : tile - first + m]
                _linear(p, old, counts, pad + tile, stride, own[requests[r, 1]], total[:m], here)


@compiled
def _linear(p, ages, counts, at, stride, window, total, o):
    m = o.shape[0]
    n = np.empty(m)
    total[:] = 0.0
    window_counts(counts, at, window * stride, n)
    for lag in range(window):
        q = p[at - lag * stride : at - lag * stride + m]
        for i in range(m):
            days = float(min(ages[i], window))
            v = (days - lag) / (days * (days + 1.0) / 2.0) * q[i]
            total[i] += v if v == v else 0.0
    for i in range(m):
        o[i] = total[i] / n[i] if n[i] > 0 else np.nan


@compiled
def _exponential(p, stride, first, alpha, o):
    """Write the exponentially weighted mean; a missing day ages what came before it."""
    for column in range(stride):
        mean, weight = np.nan, 1.0
        for i in range(column, p.shape[0], stride):
            v = p[i]
            if mean == mean:
                weight *= 1.0 - alpha
                if v == v:
                    if mean != v:
                        mean = (weight * mean + v) / (weight + 1.0)
                    weight += 1.0
            elif v == v:
                mean = v
            if i >= first:
                o[i - first] = mean


@compiled
def _expanding(p, ages, stride, first, o):
    for i in range(first, p.shape[0]):
        days = ages[i]
        decay = 1.0 - 2.0 / (1.0 + days)
        weight, weights, total, found = 1.0, 0.0, 0.0, False
        for lag in range(days):
            v = p[i - lag * stride]
            weights += weight
            if v == v:
                total += weight * v
                found = True
            weight *= decay
        o[i - first] = total / weights if found else np.nan
