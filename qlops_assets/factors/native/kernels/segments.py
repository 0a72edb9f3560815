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
def load(x, pad, p):
    """Copy values behind ``pad`` absent ones; infinite becomes NaN; return whether one was."""
    infinite = False
    p[:pad] = np.nan
    q = p[pad : pad + x.shape[0]]
    for i in range(x.shape[0]):
        v = x[i]
        bad = abs(v) == np.inf
        infinite |= bad
        q[i] = np.nan if bad else v
    return infinite


@compiled
def load_filled(x, ages, missing, absent, pad, p):
    """Copy values, with one number for NaN or infinite ones and one for days before the first."""
    p[:pad] = absent
    q = p[pad : pad + x.shape[0]]
    for i in range(x.shape[0]):
        v = x[i]
        q[i] = v if abs(v) < np.inf else missing
        if ages[i] < 1:
            q[i] = absent


@compiled
def last_values(p, pad, stride, a):
    """Write for every day the last value up to it: what its window's values are measured from.

    Squares of differences from a member of the window lose at most as many digits as the window has
    members, whatever the level of the values.
    """
    n = a.shape[0]
    for i in range(min(stride, n)):
        a[i] = p[pad + i]
    for i in range(stride, n):
        v = p[pad + i]
        a[i] = v if v == v else a[i - stride]


@compiled
def running_counts(p, stride, c):
    """Write the number of values up to each place of a padded segment, by column of the stride."""
    n = c.shape[0]
    for i in range(min(stride, n)):
        c[i] = 1.0 if p[i] == p[i] else 0.0
    for i in range(stride, n):
        c[i] = c[i - stride] + (1.0 if p[i] == p[i] else 0.0)


@compiled
def window_counts(c, at, back, n):
    """Write the number of values in the window that ends at each of the places from ``at``."""
    head, tail = c[at : at + n.shape[0]], c[at - back : at - back + n.shape[0]]
    for i in range(n.shape[0]):
        n[i] = head[i] - tail[i]


@compiled
def padding(windows, most, stride):
    """Return how many absent values go before a segment: a longest window and one day."""
    return (min(windows[-1], most // stride) + 1) * stride
