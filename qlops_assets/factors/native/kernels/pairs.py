"""Correlation and covariance of two series over windows."""

import numpy as np

from qlops_assets.factors.native.compilation import compiled
from qlops_assets.factors.native.kernels.moments import FLAT, five
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

CORR, CORR_ALWAYS, COV = range(3)


@compiled
def pairs(x, y, ages, bounds, stride, first, windows, requests, scores, work, out):
    """Corr and Cov over days where both series have a value; see the package.

    As Qlib does, Corr is left out where either series by itself hardly moves in the window.
    """
    most = longest(bounds)
    pad = padding(windows, most, stride, first)
    size = pad + most
    p, q, counts = work[:size], work[size : 2 * size], work[2 * size : 3 * size]
    a, b = work[3 * size : 4 * size], work[4 * size : 5 * size]
    sums = work[5 * size : 5 * size + 5 * TILE].reshape(5, TILE)
    for s in range(bounds.shape[0] - 1):
        begin, n = bounds[s], bounds[s + 1] - bounds[s]
        own = clipped(windows, n // stride)
        load(x[begin : begin + n], pad, p)
        load(y[begin : begin + n], pad, q)
        together = _keep_common(p[: pad + n], q[: pad + n])
        last_values(p, pad, stride, a[:n])
        last_values(q, pad, stride, b[:n])
        running_counts(p[: pad + n], stride, counts[: pad + n])
        for tile in range(first, n, TILE):
            m = min(TILE, n - tile)
            to = begin + tile - first
            _tile(
                p,
                q,
                a[tile : tile + m],
                b[tile : tile + m],
                counts,
                pad + tile,
                stride,
                own,
                requests,
                FLAT if together else 0.0,
                sums,
                out,
                to,
            )
        if not together:
            for series in (x[begin : begin + n], y[begin : begin + n]):
                load(series, pad, p)
                _leave_out_flat(p[: pad + n], pad, stride, first, own, requests, counts, out, begin)


@compiled
def _keep_common(p, q):
    """Make both NaN where one is; return whether they were NaN on the same days."""
    alone = 0
    for i in range(p.shape[0]):
        u, v = p[i], q[i]
        alone += 1 if (u == u) != (v == v) else 0
        p[i] = u if v == v else np.nan
        q[i] = v if u == u else np.nan
    return alone == 0


@compiled
def _tile(p, q, a, b, counts, at, stride, windows, requests, flat, sums, out, to):
    m = a.shape[0]
    sums[:] = 0.0
    n = np.empty(m)
    lag = 0
    for k in range(windows.shape[0]):
        while lag + 5 <= windows[k]:
            _add_five(p, q, at - lag * stride, stride, a, b, sums)
            lag += 5
        while lag < windows[k]:
            _add(p, q, at - lag * stride, stride, a, b, sums)
            lag += 1
        window_counts(counts, at, windows[k] * stride, n)
        for r in range(requests.shape[0]):
            if requests[r, 1] == k:
                _write(requests[r, 0], flat, n, sums, out[r, to : to + m])


@compiled
def _add(p, q, at, stride, a, b, sums):
    """Add one lag."""
    m = a.shape[0]
    p0, q0 = p[at : at + m], q[at : at + m]
    sx, sy, sxx = sums[0, :m], sums[1, :m], sums[2, :m]
    syy, sxy = sums[3, :m], sums[4, :m]
    for i in range(m):
        d, e = p0[i] - a[i], q0[i] - b[i]
        d, e = d if d == d else 0.0, e if e == e else 0.0
        sx[i] += d
        sy[i] += e
        sxx[i] += d * d
        syy[i] += e * e
        sxy[i] += d * e


@compiled
def _add_five(p, q, at, stride, a, b, sums):
    """Add five lags at once: the same additions in the same order, with fewer stores.

    In several loops: only with few arrays in a loop can the compiler check that they are apart.
    """
    m = a.shape[0]
    _add_powers(p, at, stride, a, sums[0, :m], sums[2, :m])
    _add_powers(q, at, stride, b, sums[1, :m], sums[3, :m])
    total = sums[4, :m]
    _add_products(p, q, at, stride, a, b, total)
    _add_products(p, q, at - 2 * stride, stride, a, b, total)
    last = at - 4 * stride
    p4, q4 = p[last : last + m], q[last : last + m]
    for i in range(m):
        v = (p4[i] - a[i]) * (q4[i] - b[i])
        total[i] += v if v == v else 0.0


@compiled
def _add_products(p, q, at, stride, a, b, total):
    m = a.shape[0]
    p0, p1 = p[at : at + m], p[at - stride : at - stride + m]
    q0, q1 = q[at : at + m], q[at - stride : at - stride + m]
    for i in range(m):
        v0, v1 = (p0[i] - a[i]) * (q0[i] - b[i]), (p1[i] - a[i]) * (q1[i] - b[i])
        v0, v1 = v0 if v0 == v0 else 0.0, v1 if v1 == v1 else 0.0
        total[i] = (total[i] + v0) + v1


@compiled
def _add_powers(p, at, stride, a, s1, s2):
    m = a.shape[0]
    p0, p1 = p[at : at + m], p[at - stride : at - stride + m]
    p2, p3 = p[at - 2 * stride : at - 2 * stride + m], p[at - 3 * stride : at - 3 * stride + m]
    p4 = p[at - 4 * stride : at - 4 * stride + m]
    for i in range(m):
        d0, d1, d2, d3, d4 = five(p0[i], p1[i], p2[i], p3[i], p4[i], a[i])
        s1[i] = ((((s1[i] + d0) + d1) + d2) + d3) + d4
        s2[i] = ((((s2[i] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3) + d4 * d4


@compiled
def _write(what, flat, n, sums, o):
    least = flat if what == CORR else 0.0
    m = o.shape[0]
    sx, sy, sxx = sums[0, :m], sums[1, :m], sums[2, :m]
    syy, sxy = sums[3, :m], sums[4, :m]
    for i in range(m):
        c = n[i]
        both = c * sxy[i] - sx[i] * sy[i]
        if what == COV:
            o[i] = both / (c * (c - 1.0)) if c > 1 else np.nan
        else:
            # n (n - 1) times the variances
            xx, yy = c * sxx[i] - sx[i] * sx[i], c * syy[i] - sy[i] * sy[i]
            small = max(least * least * c * (c - 1.0), 0.0)
            o[i] = both / np.sqrt(xx * yy) if xx > small and yy > small else np.nan


@compiled
def _leave_out_flat(p, pad, stride, first, windows, requests, steps, out, to):
    """Blank Corr where this series by itself, with the days that the other lacks, is flat.

    In a flat window of so many values no two neighbours are further apart than ``far``. Where more
    than one pair is (one may reach out of the window), there is nothing to look at.
    """
    n = p.shape[0] - pad - first
    far = FLAT * np.sqrt(2.0 * windows[-1])
    _count_steps(p, pad, stride, far, steps)
    for r in range(requests.shape[0]):
        if requests[r, 0] != CORR:
            continue
        window = windows[requests[r, 1]]
        at = pad + first
        head = steps[at : at + n]
        tail = steps[at - window * stride : at - window * stride + n]
        for i in range(n):
            if head[i] - tail[i] <= 1.0 and _is_flat(p, at + i, stride, window):
                out[r, to + i] = np.nan


@compiled
def _count_steps(p, pad, stride, far, steps):
    """Count up to each day the values that are far from the one before."""
    steps[:pad] = 0.0
    if stride == 1:
        last, count = np.nan, 0.0
        for i in range(pad, p.shape[0]):
            v = p[i]
            count += 1.0 if abs(v - last) > far else 0.0
            last = v if v == v else last
            steps[i] = count
        return
    latest = np.full(stride, np.nan)
    for begin in range(pad, p.shape[0], stride):
        values, counts = p[begin : begin + stride], steps[begin : begin + stride]
        before = steps[begin - stride : begin]
        for j in range(stride):
            u, v = latest[j], values[j]
            counts[j] = before[j] + (1.0 if abs(v - u) > far else 0.0)
            latest[j] = v if v == v else u


@compiled
def _is_flat(p, at, stride, window):
    """Whether the standard deviation of a window is at most ``FLAT``."""
    n, s1, s2, a = 0, 0.0, 0.0, np.nan
    for lag in range(window):
        v = p[at - lag * stride]
        if v == v:
            a = v if n == 0 else a
            n += 1
            s1 += v - a
            s2 += (v - a) * (v - a)
    return n > 1 and n * s2 - s1 * s1 <= FLAT * FLAT * n * (n - 1.0)
