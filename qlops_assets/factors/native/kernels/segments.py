"""What every kernel does before its scan: pad a segment with absent days and count its values."""

import numpy as np

from qlops_assets.factors.native.compilation import compiled

TILE = 512  # days whose accumulators stay in the nearest cache


@compiled
def longest(bounds):
    """Return the length of the longest segment."""
    most = 0
    for s in range(bounds.shape[0] - 1):
        most = max(most, bounds[s + 1] - bounds[s])
    return most


@compiled
def clipped(windows, days):
    """Return the windows, none longer than the days there are."""
    out = np.empty_like(windows)
    for k in range(windows.shape[0]):
        out[k] = min(windows[k], max(days, 1))
    return out


@compiled
def padding(windows, most, stride, first):
    """Return how many absent values go before a segment, for the first output's longest window."""
    return max((min(windows[-1], most // stride) + 1) * stride - first, stride)


@compiled
def load(x, pad, p):
    """Copy values behind ``pad`` absent ones; infinite becomes NaN; return whether one was."""
    infinite = 0
    p[:pad] = np.nan
    q = p[pad : pad + x.shape[0]]
    for i in range(x.shape[0]):
        v = x[i]
        infinite += 1 if abs(v) == np.inf else 0
        q[i] = np.nan if abs(v) == np.inf else v
    return infinite > 0


@compiled
def load_filled(x, sign, ages, missing, absent, pad, p):
    """Copy values times a sign, with one number for NaN or infinite and one for days before all."""
    p[:pad] = absent
    q = p[pad : pad + x.shape[0]]
    for i in range(x.shape[0]):
        v = sign * x[i] if abs(x[i]) < np.inf else missing
        q[i] = v if ages[i] > 0 else absent


@compiled
def last_values(p, pad, stride, a):
    """Write for every day the last value up to it: what its window's values are measured from.

    Squares of differences from a member of the window lose at most as many digits as the window has
    members, whatever the level of the values.
    """
    n = a.shape[0]
    if stride == 1:
        last = np.nan
        for i in range(n):
            last = p[pad + i] if p[pad + i] == p[pad + i] else last
            a[i] = last
        return
    a[:stride] = p[pad : pad + stride]
    for begin in range(stride, n, stride):
        v, before = p[pad + begin : pad + begin + stride], a[begin - stride : begin]
        o = a[begin : begin + stride]
        for j in range(stride):
            o[j] = v[j] if v[j] == v[j] else before[j]


@compiled
def running_counts(p, stride, c):
    """Write the number of values up to each place of a padded segment, by column of the stride."""
    n = c.shape[0]
    if stride == 1:
        count = 0.0
        for i in range(n):
            count += 1.0 if p[i] == p[i] else 0.0
            c[i] = count
        return
    for j in range(stride):
        c[j] = 1.0 if p[j] == p[j] else 0.0
    for begin in range(stride, n, stride):
        v, before = p[begin : begin + stride], c[begin - stride : begin]
        o = c[begin : begin + stride]
        for j in range(stride):
            o[j] = before[j] + (1.0 if v[j] == v[j] else 0.0)


@compiled
def window_counts(c, at, back, n):
    """Write the number of values in the window that ends at each of the places from ``at``."""
    head, tail = c[at : at + n.shape[0]], c[at - back : at - back + n.shape[0]]
    for i in range(n.shape[0]):
        n[i] = head[i] - tail[i]


@compiled
def work_size(most, stride):
    """Return how much memory the neediest kernel works with, for segments of that length."""
    return 7 * (2 * most + 2 * stride) + 5 * TILE + 1
