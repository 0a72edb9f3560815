"""How factors and returns agree across the instruments of a day, as machine code.

Ranks are whole numbers here: twice the rank of which equal values get the mean. Sums of them are
exact, so a rank correlation is rounded once. A day's values are sorted once per factor and once per
horizon; where either misses instruments, walking both orders gives the ranks of those that are left.

A figure that a day does not have is NaN. No kernel calls one of another module: Numba's cache does
not see that a function elsewhere has changed.
"""

from typing import Any

import numpy as np

from qlops_assets.factors.native.compilation import compiled

_SIGN = np.uint64(1 << 63)
_TOP = np.uint64(63)
_BYTE = np.uint64(255)
_LEAST_SPREAD = 1e-3  # of the sum of squares; below it a one-pass variance loses too many digits


@compiled
def sort_day(numbers: Any, order: Any, ends: Any, keys: Any, buckets: Any) -> int:
    """Sort the values that are not NaN; return how many there are.

    A radix sort by bytes, which skips the bytes that all values share: 32-bit values cost half.

    Args:
        numbers: The day's values, 64-bit, without negative zero.
        order: Two rows; the first gets the places of the values, ascending.
        ends: Gets whether a place in the order is the last of equal values.
        keys: Two rows to work in.
        buckets: 8 × 256 to work in.
    """
    bits = numbers.view(np.uint64)
    count = 0
    buckets[:] = 0
    for place in range(numbers.size):
        if numbers[place] == numbers[place]:
            word = bits[place]
            key = ~word if word >> _TOP else word | _SIGN
            keys[0, count] = key
            order[0, count] = place
            for byte in range(8):
                buckets[byte, (key >> np.uint64(8 * byte)) & _BYTE] += 1
            count += 1
    if count:
        _sort_keys(count, order, keys, buckets)
    for k in range(count):
        ends[k] = k == count - 1 or numbers[order[0, k]] != numbers[order[0, k + 1]]
    return count


@compiled
def _sort_keys(count: int, order: Any, keys: Any, buckets: Any) -> None:
    side = 0
    for byte in range(8):
        shift = np.uint64(8 * byte)
        if buckets[byte, (keys[side, 0] >> shift) & _BYTE] == count:
            continue
        total = 0
        for value in range(256):
            size = buckets[byte, value]
            buckets[byte, value] = total
            total += size
        for k in range(count):
            key = keys[side, k]
            value = (key >> shift) & _BYTE
            at = buckets[byte, value]
            buckets[byte, value] = at + 1
            keys[1 - side, at] = key
            order[1 - side, at] = order[side, k]
        side = 1 - side
    if side:
        order[0, :count] = order[1, :count]


@compiled
def rank_among(order: Any, ends: Any, count: int, among: Any, ranks: Any) -> tuple[int, int]:
    """Give the values that are counted their doubled mean rank, those that are not 0.

    Args:
        order: Places of the values, ascending.
        ends: Whether a place in the order is the last of equal values.
        count: Length of the order.
        among: 1 for a place that is counted, 0 for one that is not.
        ranks: By place; places that are not in the order keep what they had.

    Returns:
        How many were counted, and the sum of t³ - t over groups of t equal values.
    """
    below = 0
    start = 0
    ties = 0
    for k in range(count):
        if not ends[k]:
            continue
        if start == k:
            place = order[k]
            counted = among[place]
            ranks[place] = (2 * below + 2) * counted
            below += counted
        else:
            size = 0
            for j in range(start, k + 1):
                size += among[order[j]]
            for j in range(start, k + 1):
                ranks[order[j]] = (2 * below + size + 1) * among[order[j]]
            ties += size * size * size - size
            below += size
        start = k + 1
    return below, ties


@compiled
def rank_correlation(ranks: Any, others: Any, count: int, ties: int, other_ties: int) -> float:
    """Return the Pearson correlation of doubled mean ranks of the same ``count`` places."""
    product = np.int64(0)
    for place in range(ranks.size):
        product += np.int64(ranks[place]) * np.int64(others[place])
    # Three times the sums of squares, and of products, around the mean, which is count + 1.
    whole = count * (count * count - 1)
    squares, other_squares = whole - ties, whole - other_ties
    if count < 2 or squares <= 0 or other_squares <= 0:
        return np.nan
    covered = 3.0 * (product - count * (count + 1) * (count + 1))
    correlation = covered / np.sqrt(np.float64(squares) * np.float64(other_squares))
    return min(1.0, max(-1.0, correlation))


@compiled
def _add_moments(numbers: Any, valid: Any, mean: float, centred: Any, has: Any, sums: Any) -> None:
    """Sum what correlations with the returns of every horizon need, one horizon a lane."""
    sums[:] = 0.0
    count, s_x, s_y, s_xx, s_yy, s_xy = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    for place in range(numbers.size):
        if valid[place]:
            x = numbers[place] - mean
            xx = x * x
            for h in range(centred.shape[1]):
                y = centred[place, h]
                there = has[place, h]
                count[h] += there
                s_x[h] += there * x
                s_xx[h] += there * xx
                s_y[h] += y
                s_yy[h] += y * y
                s_xy[h] += x * y


@compiled
def _correlation(sums: Any, h: int) -> tuple[float, bool]:
    """Return the correlation from one-pass sums, and whether they were precise enough."""
    count = sums[0, h]
    if count < 2:
        return np.nan, True
    squares = sums[3, h] - sums[1, h] * sums[1, h] / count
    other_squares = sums[4, h] - sums[2, h] * sums[2, h] / count
    precise = (
        squares > _LEAST_SPREAD * sums[3, h]
        and other_squares > _LEAST_SPREAD * sums[4, h]
        and squares < np.inf
    )
    covered = sums[5, h] - sums[1, h] * sums[2, h] / count
    correlation = covered / (np.sqrt(squares) * np.sqrt(other_squares))
    return min(1.0, max(-1.0, correlation)), precise


@compiled
def correlation_in_two_passes(x: Any, y: Any) -> float:
    """Return the Pearson correlation over the places where neither is NaN; NaN where constant."""
    count, mean_x, mean_y = 0, 0.0, 0.0
    least_x, most_x, least_y, most_y = np.inf, -np.inf, np.inf, -np.inf
    for place in range(x.size):
        if x[place] == x[place] and y[place] == y[place]:
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
        if x[place] == x[place] and y[place] == y[place]:
            s_xx += (x[place] - mean_x) ** 2
            s_yy += (y[place] - mean_y) ** 2
            s_xy += (x[place] - mean_x) * (y[place] - mean_y)
    correlation = s_xy / (np.sqrt(s_xx) * np.sqrt(s_yy))
    return correlation if correlation != correlation else min(1.0, max(-1.0, correlation))


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
    """Return forward returns (horizon × name); and (name × horizon) centred, and 1 where known."""
    returns = np.empty((horizons.size, places.size))
    centred = np.zeros((places.size, horizons.size))
    has = np.zeros((places.size, horizons.size))
    for h in range(horizons.size):
        total, count = 0.0, 0
        for k in range(places.size):
            value = forward_return(closes, day, places[k], horizons[h])
            returns[h, k] = value
            if value == value:
                total += value
                count += 1
                has[k, h] = 1.0
        mean = total / max(count, 1)
        for k in range(places.size):
            if has[k, h]:
                centred[k, h] = returns[h, k] - mean
    return returns, centred, has


@compiled
def _ranked_returns(returns: Any, work: Any) -> Any:
    """Return of each horizon order, ends, count, presence, ranks, ties, and room for ranks."""
    order, keys, buckets = work
    orders = np.empty(returns.shape, np.int32)
    ends = np.empty(returns.shape, np.bool_)
    counts = np.empty(returns.shape[0], np.int64)
    ties = np.empty(returns.shape[0], np.int64)
    present = np.zeros(returns.shape, np.int32)
    ranks = np.zeros(returns.shape, np.int32)
    room = np.zeros(returns.shape, np.int32)
    for h in range(returns.shape[0]):
        counts[h] = sort_day(returns[h], order, ends[h], keys, buckets)
        for k in range(counts[h]):
            orders[h, k] = order[0, k]
            present[h, order[0, k]] = 1
        ties[h] = rank_among(orders[h], ends[h], counts[h], present[h], ranks[h])[1]
    return orders, ends, counts, present, ranks, ties, room


@compiled
def _load(source: Any, numbers: Any, valid: Any) -> float:
    """Copy a factor's values of a day, mark those that are there, return their mean."""
    total, count = 0.0, 0
    for place in range(source.size):
        number = np.float64(source[place]) + 0.0  # no negative zero
        numbers[place] = number
        valid[place] = 0
        if number == number:
            valid[place] = 1
            total += number
            count += 1
    return total / max(count, 1)


@compiled
def _correlate(own: Any, returns: Any, others: Any, sums: Any, row: Any) -> None:
    """Write the IC, then the Rank IC, of every horizon."""
    numbers, valid, order, ends, count, own_ranks, own_room = own
    orders, other_ends, counts, present, ranks, ties, room = others
    own_ranks[:] = 0
    own_room[:] = 0
    own_ties = rank_among(order, ends, count, valid, own_ranks)[1]
    for h in range(counts.size):
        correlation, precise = _correlation(sums, h)
        row[h] = correlation if precise else correlation_in_two_passes(numbers, returns[h])
        pairs = np.int64(sums[0, h])
        mine, mine_ties = own_ranks, own_ties
        if pairs < count:
            mine = own_room
            mine_ties = rank_among(order, ends, count, present[h], own_room)[1]
        theirs, their_ties = ranks[h], ties[h]
        if pairs < counts[h]:
            theirs = room[h]
            their_ties = rank_among(orders[h], other_ends[h], counts[h], valid, theirs)[1]
        row[counts.size + h] = rank_correlation(mine, theirs, pairs, mine_ties, their_ties)


@compiled
def _measure_day(
    values: Any, returns: Any, centred: Any, has: Any, main: int, rows: Any, ranks: Any
) -> None:
    size = values.shape[1]
    order, keys = np.empty((2, size), np.int32), np.empty((2, size), np.uint64)
    buckets, ends = np.empty((8, 256), np.int64), np.empty(size, np.bool_)
    others = _ranked_returns(returns, (order, keys, buckets))
    numbers, valid = np.empty(size), np.empty(size, np.int32)
    own_ranks, own_room = np.empty(size, np.int32), np.empty(size, np.int32)
    horizons = returns.shape[0]
    sums = np.empty((6, horizons))
    for f in range(values.shape[0]):
        mean = _load(values[f], numbers, valid)
        count = sort_day(numbers, order, ends, keys, buckets)
        _add_moments(numbers, valid, mean, centred, has, sums)
        own = (numbers, valid, order[0], ends, count, own_ranks, own_room)
        _correlate(own, returns, others, sums, rows[f])
        rank_among(order[0], ends, count, others[3][main], ranks[f])
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
    """
    for d in range(days.size):
        a, b = starts[d], starts[d + 1]
        returns, centred, has = _returns_of_day(closes, days[d], places[a:b], horizons)
        day_ranks = ranks[:, a:b]
        _measure_day(values[:, a:b], returns, centred, has, main, figures[d], day_ranks)


@compiled
def relate(values: Any, related: Any) -> None:
    """Write the rank correlation of every pair of factors over a day's instruments.

    Args:
        values: (factor × instrument) of one day.
        related: (factor × factor), gets the correlations.
    """
    factors, size = values.shape
    order, keys = np.empty((2, size), np.int32), np.empty((2, size), np.uint64)
    buckets, numbers = np.empty((8, 256), np.int64), np.empty(size)
    orders, ends = np.empty((factors, size), np.int32), np.empty((factors, size), np.bool_)
    counts = np.empty(factors, np.int64)
    valid = np.zeros((factors, size), np.int32)
    ranks = np.zeros((2, size), np.int32)
    for f in range(factors):
        _load(values[f], numbers, valid[f])
        counts[f] = sort_day(numbers, order, ends[f], keys, buckets)
        orders[f] = order[0]
        for g in range(f + 1):
            ranks[:] = 0
            count, ties = rank_among(orders[f], ends[f], counts[f], valid[g], ranks[0])
            other_ties = rank_among(orders[g], ends[g], counts[g], valid[f], ranks[1])[1]
            related[f, g] = rank_correlation(ranks[0], ranks[1], count, ties, other_ties)
            related[g, f] = related[f, g]
