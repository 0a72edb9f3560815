"""Quantiles and medians: each window kept in order while it moves, or put in order for one day."""

import numpy as np

from qlops_assets.factors.native.compilation import compiled
from qlops_assets.factors.native.kernels.segments import clipped, longest

QUANTILE, MEDIAN = range(2)

_VECTOR = 8  # values of a vector register: windows are kept in whole ones


@compiled
def quantiles(x, ages, bounds, stride, first, windows, requests, scores, work, out):
    """Quantile (linear between neighbours) and Med of one series; see the package.

    Values are put in order by comparisons of neighbours alone, without a search and without
    branches. Absent ones are infinite: they stay behind all others.
    """
    most = longest(bounds)
    room = (min(windows[-1], max(most // stride, 1)) // _VECTOR + 1) * _VECTOR + 2
    line = work[:most]
    counts = work[most : 2 * most + 1]
    for s in range(bounds.shape[0] - 1):
        begin, n = bounds[s], bounds[s + 1] - bounds[s]
        own = clipped(windows, n // stride)
        for i in range(n):
            v = x[begin + i]
            # One zero: which of two equal values comes first depends on how they were put in order.
            line[i] = v + 0.0 if abs(v) < np.inf else np.inf
        to = begin - s * first
        if stride == 1:
            # For each window the present order and the one before, with a place on either side.
            ordered = np.empty((windows.shape[0], 2, room))
            _slide(line[:n], counts, own, first, ordered, requests, scores, out, to)
        else:
            ordered = work[2 * most + 1 : 2 * most + 1 + own[-1] * stride].reshape(own[-1], stride)
            for day in range(first // stride, n // stride):
                here = to + day * stride - first
                _across(line, day, stride, own, ordered, requests, scores, out, here)


@compiled
def _slide(line, counts, windows, first, ordered, requests, scores, out, to):
    """Write one instrument's days: each day a value enters every window, and one leaves."""
    counts[0] = 0.0
    for t in range(line.shape[0]):
        counts[t + 1] = counts[t] + (1.0 if line[t] < np.inf else 0.0)
    ordered[:] = np.inf
    ordered[:, :, 0] = -np.inf
    now = 0
    for t in range(line.shape[0]):
        for k in range(windows.shape[0]):
            w = windows[k]
            leaving = line[t - w] if t >= w else np.inf
            _exchange(ordered[k, now], ordered[k, 1 - now], w, leaving, line[t])
        now = 1 - now
        if t < first:
            continue
        for r in range(requests.shape[0]):
            k = requests[r, 1]
            n = int(counts[t + 1] - counts[max(t + 1 - windows[k], 0)])
            out[r, to + t - first] = _value(ordered[k, now, 1:], n, requests[r, 0], scores[r])


@compiled
def _exchange(here, there, window, leaving, entering):
    """Write the order without one value (or one absent one) and with another."""
    m = (window + _VECTOR - 1) // _VECTOR * _VECTOR
    before, same, following = here[0:m], here[1 : m + 1], here[2 : m + 2]
    target = there[1 : m + 1]
    for i in range(m):
        low = before[i] if before[i] < leaving else same[i]
        kept = same[i] if same[i] < leaving else following[i]
        kept = kept if kept < entering else entering
        target[i] = kept if kept > low else low


@compiled
def _across(line, day, stride, windows, ordered, requests, scores, out, to):
    """Write one day of all instruments: the lags of each window are put in order together."""
    counts = np.zeros(stride)
    lag = 0
    for k in range(windows.shape[0]):
        while lag < windows[k]:
            row = ordered[lag]
            if lag <= day:
                row[:] = line[(day - lag) * stride : (day - lag + 1) * stride]
            else:
                row[:] = np.inf
            for j in range(stride):
                counts[j] += 1.0 if row[j] < np.inf else 0.0
            lag += 1
        _sort(ordered[:lag])
        for r in range(requests.shape[0]):
            if requests[r, 1] == k:
                for j in range(stride):
                    n = int(counts[j])
                    out[r, to + j] = _value(ordered[:lag, j], n, requests[r, 0], scores[r])


@compiled
def _sort(rows):
    """Put each column in order; by merge exchange (Knuth, TAOCP 5.2.2 M), whatever is in them."""
    n, top = rows.shape[0], 1
    while top < n:
        top *= 2
    p = top // 2
    while p > 0:
        q, r, d = top // 2, 0, p
        while d > 0:
            for i in range(n - d):
                if i & p == r:
                    _in_order(rows[i], rows[i + d])
            d, q, r = q - p, q // 2, p
        p //= 2


@compiled
def _in_order(low, high):
    for j in range(low.shape[0]):
        a, b = low[j], high[j]
        low[j] = a if a < b else b
        high[j] = b if a < b else a


@compiled
def _value(values, n, what, score):
    if n < 1:
        return np.nan
    if what == MEDIAN:
        half = n // 2
        return values[half] if n % 2 else (values[half - 1] + values[half]) / 2.0
    place = score * (n - 1.0)
    low = int(place)
    if place == low:
        return values[low]
    return values[low] + (values[low + 1] - values[low]) * (place - low)
