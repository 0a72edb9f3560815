"""Sum, mean, variance and the line through a window: sums of values, squares, lag times value."""

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

SUM, MEAN, EXACT_MEAN, VAR, STD, SLOPE, RSQUARE, RSQUARE_ALWAYS, RESI = range(9)

FLAT = 2e-05  # Qlib gives no Rsquare and no Corr where the standard deviation is at most this


@compiled
def moments(x, ages, bounds, stride, first, windows, requests, scores, work, out):
    """Sum, Mean, Var, Std, Slope, Rsquare and Resi of one series; see the package."""
    most = longest(bounds)
    pad = padding(windows, most, stride, first)
    size = pad + most
    p, a, days = work[:size], work[size : 2 * size], work[2 * size : 3 * size]
    counts = work[3 * size : 7 * size].reshape(4, size)
    sums = work[7 * size : 7 * size + 3 * TILE].reshape(3, TILE)
    level = _level(requests)
    if level == 3:
        _write_days(stride, days)
    for s in range(bounds.shape[0] - 1):
        begin, n = bounds[s], bounds[s + 1] - bounds[s]
        own = clipped(windows, n // stride)
        infinite = load(x[begin : begin + n], pad, p)
        if level == 0:
            a[:n] = 0.0
        else:
            last_values(p, pad, stride, a[:n])
        _count(p[: pad + n], days, stride, level, counts)
        if infinite and level == 3:
            _count_infinite(x[begin : begin + n], pad, stride, counts)
        for tile in range(first, n, TILE):
            m = min(TILE, n - tile)
            to = begin + tile - first
            _tile(
                p,
                a[tile : tile + m],
                days,
                counts,
                pad + tile,
                stride,
                own,
                requests,
                level,
                sums,
                out,
                to,
            )
            if infinite and level == 3:
                _blank(counts[3], pad + tile, m, stride, own, requests, out, to)


@compiled
def _level(requests):
    """Return which sums are needed: 0 plain, 1 differences, 2 and squares, 3 and lags."""
    level = 0
    for r in range(requests.shape[0]):
        what = requests[r, 0]
        if what in (MEAN, EXACT_MEAN):
            level = max(level, 1)
        elif what in (VAR, STD):
            level = max(level, 2)
        elif what != SUM:
            level = 3
    return level


@compiled
def _write_days(stride, days):
    """Write the day of each place; the numbers only serve as positions on a line."""
    if stride == 1:
        for i in range(days.shape[0]):
            days[i] = float(i)
        return
    for begin in range(0, days.shape[0], stride):
        days[begin : begin + stride] = float(begin // stride)


@compiled
def _count(p, days, stride, level, counts):
    """Count values; for the line also add up their days and the squares of their days."""
    n = p.shape[0]
    running_counts(p, stride, counts[0, :n])
    if level == 3:
        firsts, squares = counts[1, :n], counts[2, :n]
        firsts[:stride], squares[:stride] = 0.0, 0.0
        for begin in range(stride, n, stride):
            for i in range(begin, begin + stride):
                there = days[i] if p[i] == p[i] else 0.0
                firsts[i] = firsts[i - stride] + there
                squares[i] = squares[i - stride] + there * there


@compiled
def _count_infinite(x, pad, stride, counts):
    p = np.full(pad + x.shape[0], np.nan)
    for i in range(x.shape[0]):
        if abs(x[i]) == np.inf:
            p[pad + i] = 1.0
    running_counts(p, stride, counts[3, : p.shape[0]])


@compiled
def _tile(p, a, days, counts, at, stride, windows, requests, level, sums, out, to):
    """Scan the lags for the days of one tile; write each window's statistics when it is full."""
    m = a.shape[0]
    s1, s2, sx = sums[0, :m], sums[1, :m], sums[2, :m]
    s1[:], s2[:], sx[:] = 0.0, 0.0, 0.0
    lag = 0
    for k in range(windows.shape[0]):
        while lag + 5 <= windows[k]:
            _add_five(p, at - lag * stride, stride, a, float(lag), level, s1, s2, sx)
            lag += 5
        while lag < windows[k]:
            _add(p[at - lag * stride : at - lag * stride + m], a, float(lag), s1, s2, sx)
            lag += 1
        for r in range(requests.shape[0]):
            if requests[r, 1] == k:
                o = out[r, to : to + m]
                _write(requests[r, 0], p, a, days, counts, at, stride, windows[k], s1, s2, sx, o)


@compiled
def _add(q, a, lag, s1, s2, sx):
    for i in range(a.shape[0]):
        d = q[i] - a[i]
        d = d if d == d else 0.0
        s1[i] += d
        s2[i] += d * d
        sx[i] += lag * d


@compiled
def _add_five(p, at, stride, a, lag, level, s1, s2, sx):
    """Add five lags at once: the same additions in the same order, a fifth of the stores."""
    m = a.shape[0]
    q0, q1 = p[at : at + m], p[at - stride : at - stride + m]
    q2, q3 = p[at - 2 * stride : at - 2 * stride + m], p[at - 3 * stride : at - 3 * stride + m]
    q4 = p[at - 4 * stride : at - 4 * stride + m]
    if level <= 1:
        for i in range(m):
            d0, d1, d2, d3, d4 = five(q0[i], q1[i], q2[i], q3[i], q4[i], a[i])
            s1[i] = ((((s1[i] + d0) + d1) + d2) + d3) + d4
    elif level == 2:
        for i in range(m):
            d0, d1, d2, d3, d4 = five(q0[i], q1[i], q2[i], q3[i], q4[i], a[i])
            s1[i] = ((((s1[i] + d0) + d1) + d2) + d3) + d4
            s2[i] = ((((s2[i] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3) + d4 * d4
    else:
        f1, f2, f3, f4 = lag + 1.0, lag + 2.0, lag + 3.0, lag + 4.0
        for i in range(m):
            d0, d1, d2, d3, d4 = five(q0[i], q1[i], q2[i], q3[i], q4[i], a[i])
            s1[i] = ((((s1[i] + d0) + d1) + d2) + d3) + d4
            s2[i] = ((((s2[i] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3) + d4 * d4
            sx[i] = ((((sx[i] + lag * d0) + f1 * d1) + f2 * d2) + f3 * d3) + f4 * d4


@compiled
def five(v0, v1, v2, v3, v4, a):
    """Return differences from ``a``, 0 for NaN."""
    d0, d1, d2, d3, d4 = v0 - a, v1 - a, v2 - a, v3 - a, v4 - a
    return (
        d0 if d0 == d0 else 0.0,
        d1 if d1 == d1 else 0.0,
        d2 if d2 == d2 else 0.0,
        d3 if d3 == d3 else 0.0,
        d4 if d4 == d4 else 0.0,
    )


@compiled
def _write(what, p, a, days, counts, at, stride, window, s1, s2, sx, o):
    """Write one statistic of one window."""
    m, back = a.shape[0], window * stride
    n = np.empty(m)
    window_counts(counts[0], at, back, n)
    if what == SUM:
        for i in range(m):
            o[i] = s1[i] if n[i] > 0 else np.nan
    elif what == MEAN:
        for i in range(m):
            o[i] = a[i] + s1[i] / n[i] if n[i] > 0 else np.nan
    elif what == EXACT_MEAN:
        for i in range(m):
            o[i] = (n[i] * a[i] + s1[i]) / n[i] if n[i] > 0 else np.nan
    elif what in (VAR, STD):
        for i in range(m):
            v = (n[i] * s2[i] - s1[i] * s1[i]) / (n[i] * (n[i] - 1.0))
            v = v if v > 0.0 else 0.0
            o[i] = v if n[i] > 1 else np.nan
        if what == STD:
            for i in range(m):
                o[i] = np.sqrt(o[i])
    else:
        _write_line(
            what, p[at : at + m], days[at : at + m], counts, at, stride, back, n, s1, s2, sx, o
        )


@compiled
def _write_line(what, value, today, counts, at, stride, back, n, s1, s2, sx, o):
    """Write Slope, Rsquare or Resi of the line through values over days, as Qlib's Cython does."""
    m = n.shape[0]
    firsts, squares, lags, spread, both = np.empty((5, m))
    window_counts(counts[1], at, back, firsts)
    window_counts(counts[2], at, back, squares)
    for i in range(m):
        t, c = today[i], n[i]
        lags[i] = t * c - firsts[i]
        spread[i] = c * (squares[i] + t * t * c - 2.0 * t * firsts[i]) - lags[i] * lags[i]
        both[i] = c * sx[i] - lags[i] * s1[i]
    # The lag runs against the calendar: the slope over days is minus the slope over lags. Zero
    # minus it, since -0.0 would make 1/Slope of a flat series negative.
    if what == SLOPE:
        for i in range(m):
            o[i] = (0.0 - both[i]) / spread[i] if spread[i] > 0 else np.nan
    elif what == RESI:
        for i in range(m):
            line = (s1[i] * spread[i] - both[i] * lags[i]) / (spread[i] * n[i])
            o[i] = 0.0 - line if spread[i] > 0 and value[i] == value[i] else np.nan
    else:
        least = FLAT * FLAT if what == RSQUARE else 0.0
        for i in range(m):
            scatter = n[i] * s2[i] - s1[i] * s1[i]
            # n (n - 1) times the variance
            moves = scatter > max(least * n[i] * (n[i] - 1.0), 0.0)
            o[i] = both[i] * both[i] / (spread[i] * scatter) if spread[i] > 0 and moves else np.nan


@compiled
def _blank(infinite, at, m, stride, windows, requests, out, to):
    """Give no line through a window with an infinite value: sums of it have no value."""
    n = np.empty(m)
    for r in range(requests.shape[0]):
        if requests[r, 0] >= SLOPE:
            window_counts(infinite, at, windows[requests[r, 1]] * stride, n)
            for i in range(m):
                if n[i] > 0:
                    out[r, to + i] = np.nan
