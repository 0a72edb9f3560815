"""The order and the ranks of a day's values, and how factors' ranks agree, as machine code.

Ranks are whole numbers here: twice the rank of which equal values get the mean. Sums of them are
exact, so a rank correlation is rounded once.
"""

from typing import Any

import numpy as np

from qlops_assets.factors.native.compilation import compiled

_SIGN = np.uint64(1 << 63)
_TOP = np.uint64(63)
_BYTE = np.uint64(255)


@compiled
def load_day(source: Any, numbers: Any, valid: Any) -> float:
    """Copy a factor's values of a day, mark those that are there, return their mean."""
    total, count = 0.0, 0
    for place in range(source.size):
        number = np.float64(source[place]) + 0.0  # no negative zero
        numbers[place] = number
        valid[place] = 0
        if not np.isnan(number):
            valid[place] = 1
            total += number
            count += 1
    return total / max(count, 1)


@compiled
def sort_day(numbers: Any, order: Any, ends: Any, keys: Any, buckets: Any) -> int:
    """Sort the values that are not NaN; return how many there are.

    Args:
        numbers: The day's values, 64-bit, without negative zero.
        order: Two rows; the first gets the places of the values, ascending.
        ends: Gets whether a place in the order is the last of equal values.
        keys: To work in, one per place.
        buckets: 256 to work in.
    """
    bits = numbers.view(np.uint64)
    count = 0
    varying = np.uint64(0)
    for place in range(numbers.size):
        if not np.isnan(numbers[place]):
            word = bits[place]
            keys[place] = ~word if word >> _TOP else word | _SIGN
            order[0, count] = place
            varying |= keys[place] ^ keys[order[0, 0]]
            count += 1
    _sort_keys(count, varying, order, keys, buckets)
    for k in range(count):
        ends[k] = k == count - 1 or numbers[order[0, k]] != numbers[order[0, k + 1]]
    return count


@compiled
def _sort_keys(count: int, varying: Any, order: Any, keys: Any, buckets: Any) -> None:
    """Sort by the bytes that vary, the lowest first; 32-bit values have few that do."""
    side = 0
    for byte in range(8):
        shift = np.uint64(8 * byte)
        if (varying >> shift) & _BYTE:
            _sort_byte(count, shift, (order[side], order[1 - side]), keys, buckets)
            side = 1 - side
    if side:
        for k in range(count):
            order[0, k] = order[1, k]


@compiled
def _sort_byte(count: int, shift: Any, orders: Any, keys: Any, buckets: Any) -> None:
    source, target = orders
    for value in range(256):
        buckets[value] = 0
    for k in range(count):
        buckets[(keys[source[k]] >> shift) & _BYTE] += 1
    total = 0
    for value in range(256):
        size = buckets[value]
        buckets[value] = total
        total += size
    for k in range(count):
        value = (keys[source[k]] >> shift) & _BYTE
        target[buckets[value]] = source[k]
        buckets[value] += 1


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
def rank_correlation(product: int, count: int, ties: int, other_ties: int) -> Any:
    """Return the Pearson correlation of doubled mean ranks from the sum of their products."""
    # Three times the sums of squares, and of products, around the mean, which is count + 1.
    whole = count * (count * count - 1)
    squares, other_squares = whole - ties, whole - other_ties
    if count < 2 or squares <= 0 or other_squares <= 0:
        return np.nan
    covered = 3.0 * (product - count * (count + 1) * (count + 1))
    correlation = covered / np.sqrt(np.float64(squares) * np.float64(other_squares))
    return min(1.0, max(-1.0, correlation))


@compiled
def _group_by_names(valid: Any, groups: Any) -> int:
    """Number factors by the names that have a value; return how many sets of names there are."""
    firsts = np.empty(groups.size, np.int64)
    count = 0
    for f in range(groups.size):
        groups[f] = count
        for group in range(count):
            differ = 0
            for k in range(valid.shape[1]):
                differ |= valid[f, k] ^ valid[firsts[group], k]
            if not differ:
                groups[f] = group
                break
        if groups[f] == count:
            firsts[count] = f
            count += 1
    return count


@compiled
def _rank_group(group: int, among: Any, groups: Any, orders: Any, ranked: Any) -> None:
    """Rank the factors of a group among the names that are counted."""
    order, ends, sizes = orders
    ranks, counts, ties = ranked
    for f in range(groups.size):
        if groups[f] == group:
            ranks[f] = 0
            counts[f], ties[f] = rank_among(order[f], ends[f], sizes[f], among, ranks[f])


@compiled
def _relate_groups(a: int, b: int, groups: Any, ranked: Any, related: Any) -> None:
    ranks, counts, ties = ranked
    for f in range(groups.size):
        for g in range(groups.size):
            if groups[f] == a and groups[g] == b and (a != b or g <= f):
                product = 0
                for k in range(ranks.shape[2]):
                    product += int(ranks[0, f, k]) * int(ranks[1, g, k])
                related[f, g] = rank_correlation(product, counts[f], ties[0, f], ties[1, g])
                related[g, f] = related[f, g]


@compiled
def relate(values: Any, related: Any) -> None:
    """Write the rank correlation of every pair of factors over the names that both have.

    Factors often miss the same names, so each is ranked once per set of names, not once per pair.

    Args:
        values: (factor × instrument) of one day.
        related: (factor × factor), gets the correlations.
    """
    factors, size = values.shape
    order, keys = np.empty((2, size), np.int32), np.empty(size, np.uint64)
    buckets, numbers = np.empty(256, np.int64), np.empty(size)
    orders, ends = np.empty((factors, size), np.int32), np.empty((factors, size), np.bool_)
    sizes = np.empty(factors, np.int64)
    valid = np.empty((factors, size), np.int32)
    for f in range(factors):
        load_day(values[f], numbers, valid[f])
        sizes[f] = sort_day(numbers, order, ends[f], keys, buckets)
        orders[f] = order[0]
    groups = np.empty(factors, np.int64)
    names = np.zeros((_group_by_names(valid, groups), size), np.int32)
    for f in range(factors):
        names[groups[f]] = valid[f]
    ranks, ties = np.empty((2, factors, size), np.int32), np.empty((2, factors), np.int64)
    counts = np.empty(factors, np.int64)
    for a in range(names.shape[0]):
        for b in range(a + 1):
            _rank_group(b, names[a], groups, (orders, ends, sizes), (ranks[1], counts, ties[1]))
            _rank_group(a, names[b], groups, (orders, ends, sizes), (ranks[0], counts, ties[0]))
            _relate_groups(a, b, groups, (ranks, counts, ties), related)
