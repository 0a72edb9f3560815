"""How factors and returns agree across the instruments of a day, as machine code.

A day's values are sorted once per factor and once per horizon; where one of them misses names,
walking its order gives the ranks of those that are left. A figure that a day does not have is NaN.
"""

# ruff: noqa: PLR0917 -- machine code takes no keywords

from typing import Any

import numpy as np

from qlops_assets.factors.analysis.ranks import load_day, rank_among, rank_correlation, sort_day
from qlops_assets.factors.native.compilation import compiled

_LEAST_SPREAD = 1e-3  # of the sum of squares; below it a one-pass variance loses too many digits


@compiled
def _add_moments(numbers: Any, valid: Any, mean: float, returns: Any, sums: Any) -> float:
    """Sum over pairs what correlations with the returns of every horizon need.

    What a pair lacks is taken off the sums over all, because few lack one: only the products are
    summed anew for every factor.

    Args:
        numbers: The factor's values.
        valid: 1 where it has one.
        mean: Around which to sum.
        returns: Of ``_returns_of_day``.
        sums: Gets by horizon the count, Σx, Σy, Σx², Σy² and Σxy.

    Returns:
        Σx² over all values of the factor.
    """
    _, centred, lacking, whole = returns
    s_y, s_yy, s_xy = sums[2], sums[4], sums[5]
    for h in range(s_xy.size):
        s_y[h], s_yy[h], s_xy[h] = whole[2, h], whole[4, h], 0.0
    count, s_x, s_xx = 0, 0.0, 0.0
    for place in range(numbers.size):
        if valid[place]:
            x = numbers[place] - mean
            count += 1
            s_x += x
            s_xx += x * x
            for h in range(s_xy.size):
                s_xy[h] += x * centred[place, h]
        else:
            for h in range(s_xy.size):
                s_y[h] -= centred[place, h]
                s_yy[h] -= centred[place, h] * centred[place, h]
    for h in range(s_xy.size):
        sums[0, h], sums[1, h], sums[3, h] = count, s_x, s_xx
    _take_off(numbers, valid, mean, lacking, sums)
    return s_xx


@compiled
def _take_off(numbers: Any, valid: Any, mean: float, lacking: Any, sums: Any) -> None:
    """Take the names that lack a return off the factor's sums."""
    for k in range(lacking.shape[0]):
        place, h = lacking[k, 0], lacking[k, 1]
        if valid[place]:
            x = numbers[place] - mean
            sums[0, h] -= 1
            sums[1, h] -= x
            sums[3, h] -= x * x


@compiled
def _correlation(sums: Any, most: float, most_y: Any, h: int) -> tuple[float, bool]:
    """Return the correlation from one-pass sums, and whether they were precise enough.

    Args:
        sums: Of ``_add_moments``.
        most: Σx² over all values of the factor.
        most_y: Σy² over all returns, by horizon.
        h: Place of the horizon.
    """
    count = sums[0, h]
    if count < 2:
        return np.nan, True
    squares = sums[3, h] - sums[1, h] * sums[1, h] / count
    other_squares = sums[4, h] - sums[2, h] * sums[2, h] / count
    precise = squares > _LEAST_SPREAD * most and other_squares > _LEAST_SPREAD * most_y[h]
    if not (precise and squares < np.inf):
        return np.nan, False
    covered = sums[5, h] - sums[1, h] * sums[2, h] / count
    correlation = covered / (np.sqrt(squares) * np.sqrt(other_squares))
    return min(1.0, max(-1.0, correlation)), True


@compiled
def correlation_in_two_passes(x: Any, y: Any) -> Any:
    """Return the Pearson correlation over the places where neither is NaN; NaN where constant."""
    count, mean_x, mean_y = 0, 0.0, 0.0
    least_x, most_x, least_y, most_y = np.inf, -np.inf, np.inf, -np.inf
    for place in range(x.size):
        if not (np.isnan(x[place]) or np.isnan(y[place])):
            count += 1
            mean_x += x[place]
            mean_y += y[place]
            least_x, most_x = min(least_x, x[place]), max(most_x, x[place])
            least_y, most_y = min(least_y, y[place]), max(most_y, y[place])
    if count < 2 or least_x == most_x or least_y == most_y:
        return np.nan
    mean_x, mean_y = mean_x / count, mean_y / count
    s_xx, s_yy, s_xy = 0.0, 0.0, 0.0
    for place in range(x.size):
        if not (np.isnan(x[place]) or np.isnan(y[place])):
            s_xx += (x[place] - mean_x) ** 2
            s_yy += (y[place] - mean_y) ** 2
            s_xy += (x[place] - mean_x) * (y[place] - mean_y)
    correlation = s_xy / (np.sqrt(s_xx) * np.sqrt(s_yy))
    return correlation if np.isnan(correlation) else min(1.0, max(-1.0, correlation))


@compiled
def forward_return(closes: Any, day: int, place: int, horizon: int) -> float:
    """Return what buying on the next day and selling ``horizon`` days later gives, NaN if unknown.

    Args:
        closes: (day × instrument).
        day: Row of the day of the signal.
        place: Column of the instrument, negative where it has no bars.
        horizon: Days between buying and selling.
    """
    if place < 0 or day + 1 + horizon >= closes.shape[0]:
        return np.nan
    gain = closes[day + 1 + horizon, place] / closes[day + 1, place] - 1.0
    return gain + 0.0 if np.isfinite(gain) else np.nan


@compiled
def _returns_of_day(closes: Any, day: int, places: Any, horizons: Any) -> Any:
    """Return what correlations need to know about a day's returns.

    Returns:
        The returns (horizon × name); the same centred, 0 where unknown (name × horizon); the pairs
        of name and horizon that lack one; and the sums of ``_add_moments`` as far as known.
    """
    returns = np.empty((horizons.size, places.size))
    centred = np.zeros((places.size, horizons.size))
    lacking = np.empty((returns.size, 2), np.int64)
    whole = np.zeros((6, horizons.size))
    lacks = 0
    for h in range(horizons.size):
        total, count = 0.0, 0
        for k in range(places.size):
            returns[h, k] = forward_return(closes, day, places[k], horizons[h])
            if np.isnan(returns[h, k]):
                lacking[lacks, 0], lacking[lacks, 1] = k, h
                lacks += 1
            else:
                total += returns[h, k]
                count += 1
        for k in range(places.size):
            if not np.isnan(returns[h, k]):
                centred[k, h] = returns[h, k] - total / count
                whole[2, h] += centred[k, h]
                whole[4, h] += centred[k, h] * centred[k, h]
    return returns, centred, lacking[:lacks], whole


@compiled
def _sorted_returns(returns: Any, work: Any) -> Any:
    """Return each horizon's order, ends and count, and by name and horizon 1 where it has one."""
    order, keys, buckets = work
    orders = np.empty(returns.shape, np.int32)
    ends = np.empty(returns.shape, np.bool_)
    counts = np.empty(returns.shape[0], np.int64)
    present = np.zeros((returns.shape[1], returns.shape[0]))
    for h in range(returns.shape[0]):
        counts[h] = sort_day(returns[h], order, ends[h], keys, buckets)
        for k in range(counts[h]):
            orders[h, k] = order[0, k]
            present[order[0, k], h] = 1
    return orders, ends, counts, present


@compiled
def _rank_returns(others: Any, valid: Any, ranked: Any) -> None:
    """Rank the returns among the names with a value of the factor.

    Factors often miss the same names; then the ranks are there already.

    Args:
        others: Of ``_sorted_returns``.
        valid: 1 where the factor has a value.
        ranked: The names ranked last (as ``valid``), their ranks (name × horizon; 0 where there is
            none), and ties by horizon.
    """
    orders, ends, counts, _ = others
    names, ranks, ties = ranked
    differ = 0
    for k in range(valid.size):
        differ |= names[k] ^ valid[k]
    if differ:
        for k in range(valid.size):
            names[k] = valid[k]
        for h in range(counts.size):
            ties[h] = rank_among(orders[h], ends[h], counts[h], valid, ranks[:, h])[1]


@compiled
def _add_products(own: Any, present: Any, ranks: Any, products: Any) -> None:
    """Sum products of the factor's ranks and the returns', one horizon a lane.

    Whole numbers in floating point, for the sake of the lanes: exact up to 100,000 names.

    Args:
        own: Order, ends and count of the factor.
        present: By name and horizon, 1 where there is a return.
        ranks: Those of the returns; 0 where either is missing.
        products: Gets the sums, and the factor's ties, by horizon.
    """
    order, ends, count = own
    sums, ties = products[0], products[1]
    for h in range(sums.size):
        sums[h], ties[h] = 0.0, 0.0
    below = np.zeros(sums.size)
    start = 0
    for k in range(count):
        if not ends[k]:
            continue
        if start == k:
            place = order[k]
            for h in range(sums.size):
                sums[h] += (2.0 * below[h] + 2.0) * ranks[place, h]
                below[h] += present[place, h]
        else:
            _add_tied(order[start : k + 1], present, ranks, products, below)
        start = k + 1


@compiled
def _add_tied(places: Any, present: Any, ranks: Any, products: Any, below: Any) -> None:
    """Add the products of equal values of the factor."""
    for h in range(below.size):
        size = 0.0
        for k in range(places.size):
            size += present[places[k], h]
        for k in range(places.size):
            products[0, h] += (2.0 * below[h] + size + 1.0) * ranks[places[k], h]
        products[1, h] += size * size * size - size
        below[h] += size


@compiled
def _measure_day(values: Any, returns: Any, main: int, rows: Any, ranks: Any) -> None:
    factors, size = values.shape
    earned, most_y = returns[0], returns[3][4]
    horizons = earned.shape[0]
    order, keys = np.empty((2, size), np.int32), np.empty(size, np.uint64)
    buckets, ends = np.empty(256, np.int64), np.empty(size, np.bool_)
    others = _sorted_returns(earned, (order, keys, buckets))
    present = others[3]
    traded = np.empty(size, np.int32)
    for k in range(size):
        traded[k] = present[k, main]
    names, their_ties = np.full(size, -1, np.int32), np.zeros(horizons, np.int64)
    their_ranks = np.zeros((size, horizons))
    numbers, valid = np.empty(size), np.empty(size, np.int32)
    sums, products = np.empty((6, horizons)), np.empty((2, horizons))
    for f in range(factors):
        mean = load_day(values[f], numbers, valid)
        count = sort_day(numbers, order, ends, keys, buckets)
        _rank_returns(others, valid, (names, their_ranks, their_ties))
        squares = _add_moments(numbers, valid, mean, returns, sums)
        _add_products((order[0], ends, count), present, their_ranks, products)
        for h in range(horizons):
            correlation, precise = _correlation(sums, squares, most_y, h)
            if not precise:
                correlation = correlation_in_two_passes(numbers, earned[h])
            rows[f, h] = correlation
            rows[f, horizons + h] = rank_correlation(
                int(products[0, h]), int(sums[0, h]), int(products[1, h]), their_ties[h]
            )
        rank_among(order[0], ends, count, traded, ranks[f])
        least = numbers[order[0, 0]] if count else 0.0
        most = numbers[order[0, count - 1]] if count else 0.0
        rows[f, 2 * horizons] = count
        rows[f, 2 * horizons + 1] = least != most
        rows[f, 2 * horizons + 2] = np.isinf(least) or np.isinf(most)


@compiled
def measure(
    closes: Any,
    days: Any,
    starts: Any,
    places: Any,
    values: Any,
    horizons: Any,
    main: int,
    figures: Any,
    ranks: Any,
    earned: Any,
) -> None:
    """Measure a block of whole days.

    Args:
        closes: (day × instrument), NaN where there is none.
        days: Row of each day of the block in ``closes``.
        starts: Where each day's rows start, and where the last one's end.
        places: Column of each row's instrument in ``closes``; -1 where it has no bars.
        values: (factor × row), NaN where there is none.
        horizons: In days.
        main: Place of the main one among the horizons.
        figures: (day × factor × figure) gets the IC of every horizon, the Rank IC of every horizon,
            how many values there are, whether they differ, whether one is infinite.
        ranks: (factor × row) of zeros, gets doubled ranks among rows with a return of the main one.
        earned: Gets each row's return of the main horizon.
    """
    for d in range(days.size):
        a, b = starts[d], starts[d + 1]
        returns = _returns_of_day(closes, days[d], places[a:b], horizons)
        for k in range(b - a):
            earned[a + k] = returns[0][main, k]
        _measure_day(values[:, a:b], returns, main, figures[d], ranks[:, a:b])
