"""Quantiles and medians: each window kept in order while it moves."""

import numpy as np

from qlops_assets.factors.native.compilation import compiled
from qlops_assets.factors.native.kernels.segments import clipped, longest

QUANTILE, MEDIAN = range(2)

_VECTOR = 8  # values of a vector register: windows are kept in whole ones


@compiled
def quantiles(x, ages, bounds, stride, first, windows, requests, scores, out):
    """Quantile (linear between neighbours) and Med of one series; see the package.

    A value leaves and one enters an ordered window by comparisons of neighbours alone, without a
    search and without branches. Absent values are infinite: they stay behind all others.
    """
    most = longest(bounds) // stride
    room = (min(windows[-1], max(most, 1)) // _VECTOR + 1) * _VECTOR
    # For each window the present order and the one before, with a place on either side.
    ordered = np.empty((windows.shape[0], 2, room + 2))
    line, counts = np.empty(most), np.empty(most + 1, np.int64)
    for s in range(bounds.shape[0] - 1):
        days = (bounds[s + 1] - bounds[s]) // stride
        own = clipped(windows, days)
        for column in range(stride):
            begin = bounds[s] + column
            _load(x, begin, stride, line[:days], counts)
            o = out[:, begin - s * first :]
            _slide(line[:days], counts, own, first // stride, stride, ordered, requests, scores, o)


@compiled
def _load(x, begin, stride, line, counts):
    counts[0] = 0
    for t in range(line.shape[0]):
        v = x[begin + t * stride]
        there = abs(v) < np.inf
        line[t] = v if there else np.inf
        counts[t + 1] = counts[t] + (1 if there else 0)


@compiled
def _slide(line, counts, windows, skip, stride, ordered, requests, scores, out):
    """Write the wanted days of one instrument."""
    if line.shape[0] <= skip:
        return
    ordered[:] = np.inf
    ordered[:, :, 0] = -np.inf
    now = _grow(line, windows, skip, ordered)
    for t in range(skip, line.shape[0]):
        if t > skip:
            for k in range(windows.shape[0]):
                w = windows[k]
                leaving = line[t - w] if t >= w else np.inf
                _exchange(ordered[k, now], ordered[k, 1 - now], w, leaving, line[t])
            now = 1 - now
        for r in range(requests.shape[0]):
            k = requests[r, 1]
            n = counts[t + 1] - counts[max(t + 1 - windows[k], 0)]
            values = ordered[k, now, 1:]
            out[r, (t - skip) * stride] = _value(values, n, requests[r, 0], scores[r])


@compiled
def _grow(line, windows, day, ordered):
    """Put the windows that end on a day in order: each begins as the next shorter one."""
    lag, now = 0, 0
    for k in range(windows.shape[0]):
        if k > 0:
            ordered[k, now] = ordered[k - 1, now]
        while lag < windows[k]:
            value = line[day - lag] if lag <= day else np.inf
            _exchange(ordered[k, now], ordered[k, 1 - now], windows[k], np.inf, value)
            now = 1 - now
            lag += 1
    for k in range(windows.shape[0]):
        last = _parity(windows[k])
        if last != now:
            ordered[k, now] = ordered[k, last]
    return now


@compiled
def _parity(steps):
    return steps % 2


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
