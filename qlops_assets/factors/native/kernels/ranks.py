"""The rank of today's value in its window."""

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


@compiled
def ranks(x, ages, bounds, stride, first, windows, requests, scores, work, out):
    """Rank as a share of the window's values, ties by their mean rank; see the package."""
    most = longest(bounds)
    pad = padding(windows, most, stride, first)
    size = pad + most
    p, counts, below = work[:size], work[size : 2 * size], work[2 * size : 2 * size + TILE]
    for s in range(bounds.shape[0] - 1):
        begin, n = bounds[s], bounds[s + 1] - bounds[s]
        own = clipped(windows, n // stride)
        load(x[begin : begin + n], pad, p)
        running_counts(p[: pad + n], stride, counts[: pad + n])
        for tile in range(first, n, TILE):
            m = min(TILE, n - tile)
            to = begin + tile - first
            _tile(p, counts, pad + tile, stride, own, requests, below[:m], out, to)


@compiled
def _tile(p, counts, at, stride, windows, requests, below, out, to):
    m = below.shape[0]
    today, n = p[at : at + m], np.empty(m)
    below[:] = 0.0
    lag = 0
    for k in range(windows.shape[0]):
        while lag < windows[k]:
            _compare(p[at - lag * stride : at - lag * stride + m], today, below)
            lag += 1
        window_counts(counts, at, windows[k] * stride, n)
        for r in range(requests.shape[0]):
            if requests[r, 1] == k:
                o = out[r, to : to + m]
                for i in range(m):
                    v = today[i]
                    o[i] = (below[i] + 1.0) / 2.0 / n[i] if v == v else np.nan


@compiled
def _compare(q, today, below):
    """Count a smaller value twice and an equal one once: half of that and a half is the rank."""
    for i in range(below.shape[0]):
        below[i] += (2.0 if q[i] < today[i] else 0.0) + (1.0 if q[i] == today[i] else 0.0)
