"""Largest and smallest values of windows, and how long ago they were."""

import numpy as np

from qlops_assets.factors.native.compilation import compiled
from qlops_assets.factors.native.kernels.segments import (
    TILE,
    clipped,
    load,
    load_filled,
    longest,
    padding,
    running_counts,
    window_counts,
)

MAX, MIN, IDX_MAX, IDX_MIN = range(4)


@compiled
def extremes(x, ages, bounds, stride, first, windows, requests, scores, work, out):
    """Max and Min; IdxMax and IdxMin as days from the window's first to the first such value.

    A window with NaN has its first NaN as extreme place: that is what numpy's argmax finds.
    """
    most = longest(bounds)
    pad = padding(windows, most, stride, first)
    size = pad + most
    p, counts = work[:size], work[size : 2 * size]
    best, lags = work[2 * size : 2 * size + TILE], work[2 * size + TILE : 2 * size + 2 * TILE]
    for s in range(bounds.shape[0] - 1):
        begin, n = bounds[s], bounds[s + 1] - bounds[s]
        own = clipped(windows, n // stride)
        load(x[begin : begin + n], pad, p)
        running_counts(p[: pad + n], stride, counts[: pad + n])
        for what in range(4):
            if not np.any(requests[:, 0] == what):
                continue
            # The smallest of the values is the largest of their opposites.
            sign = -1.0 if what in (MIN, IDX_MIN) else 1.0
            missing = -np.inf if what in (MAX, MIN) else np.inf
            own_ages = ages[begin : begin + n]
            load_filled(x[begin : begin + n], sign, own_ages, missing, -np.inf, pad, p)
            for tile in range(first, n, TILE):
                m = min(TILE, n - tile)
                at = begin + tile
                b, g = best[:m], lags[:m]
                old = ages[at : at + m]
                _tile(
                    what,
                    sign,
                    p,
                    counts,
                    pad + tile,
                    stride,
                    own,
                    old,
                    requests,
                    b,
                    g,
                    out,
                    at - first,
                )


@compiled
def _tile(what, sign, p, counts, at, stride, windows, ages, requests, best, lags, out, to):
    m = best.shape[0]
    best[:], lags[:] = -np.inf, 0.0
    n = np.empty(m)
    lag = 0
    for k in range(windows.shape[0]):
        while lag < windows[k]:
            q = p[at - lag * stride : at - lag * stride + m]
            if what in (MAX, MIN):
                _keep_larger(q, best)
            else:
                _keep_first_largest(q, float(lag), best, lags)
            lag += 1
        window_counts(counts, at, windows[k] * stride, n)
        for r in range(requests.shape[0]):
            if requests[r, 0] == what and requests[r, 1] == k:
                o = out[r, to : to + m]
                if what in (MAX, MIN):
                    for i in range(m):
                        o[i] = sign * best[i] if n[i] > 0 else np.nan
                else:
                    _write_places(ages, windows[k], lags, n, o)


@compiled
def _keep_larger(q, best):
    for i in range(best.shape[0]):
        best[i] = q[i] if q[i] > best[i] else best[i]


@compiled
def _keep_first_largest(q, lag, best, lags):
    """Keep the largest value; of equal ones the one that is longest ago."""
    for i in range(best.shape[0]):
        more = q[i] >= best[i]
        best[i] = q[i] if more else best[i]
        lags[i] = lag if more else lags[i]


@compiled
def _write_places(ages, window, lags, n, o):
    for i in range(o.shape[0]):
        days = float(min(ages[i], window))
        o[i] = days - lags[i] if n[i] > 0 else np.nan
