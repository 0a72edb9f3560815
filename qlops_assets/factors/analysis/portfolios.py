"""What the quantiles of a factor earn and how fast their names change, as machine code.

Works on the doubled mean ranks of ``ranks``: whole numbers, 0 where a name is not in the
day's sample, which are those with a value of the factor and a return. That is alphalens' sample.
"""

# ruff: noqa: PLR0917 -- machine code takes no keywords

from typing import Any

import numpy as np

from qlops_assets.factors.native.compilation import compiled


@compiled
def label_quantiles(ranks: Any, quantiles: int, tally: Any, labels: Any) -> tuple[int, int]:
    """Give every name its quantile, 1 to ``quantiles``, and 0 where it is not in the sample.

    The rule of ``pandas.qcut``: the edges are the sample's quantiles by linear interpolation, and a
    value on an edge is below it; here in whole numbers, where pandas may round an edge. Where so
    many values are equal that two edges fall together, qcut refuses; then equal values go together
    into the quantile of their mean place.

    Args:
        ranks: Doubled mean ranks, 0 where a name is not in the sample.
        quantiles: How many.
        tally: To work in, longer than the highest rank.
        labels: Gets the quantiles.

    Returns:
        The size of the sample; and 1 by qcut's rule, 2 by mean places, 0 where all values are equal
        and there are no quantiles.
    """
    tally[:] = 0
    labels[:] = 0
    for k in range(ranks.size):
        tally[ranks[k]] += 1
    count = ranks.size - tally[0]
    rule = _quantile_rule(ranks, count, quantiles, tally)
    if rule:
        for k in range(ranks.size):
            if ranks[k]:
                # Twice the place, from 0, of the first of equal values, or of their middle.
                doubled = ranks[k] - 2 if rule == 2 else ranks[k] - tally[ranks[k]] - 1
                label = 1
                for edge in range(1, quantiles):
                    label += doubled * quantiles > 2 * (count - 1) * edge
                labels[k] = label
    return count, rule


@compiled
def _quantile_rule(ranks: Any, count: int, quantiles: int, tally: Any) -> int:
    rule = 1
    for k in range(ranks.size):
        equal = tally[ranks[k]]
        if ranks[k] and equal == count:
            return 0
        if ranks[k] and equal > 1:
            first = (ranks[k] - equal - 1) // 2
            last = first + equal - 1
            if last * quantiles // (count - 1) > -(-first * quantiles // (count - 1)):
                rule = 2  # two edges are this value
    return rule if count else 0


@compiled
def _earn(labels: Any, returns: Any, quantiles: int, row: Any) -> None:
    """Write means, means in excess of the sample's, and sizes by quantile; then the spread."""
    sums, sizes = np.zeros(quantiles + 1), np.zeros(quantiles + 1)
    for k in range(labels.size):
        if labels[k]:
            sums[labels[k]] += returns[k]
            sizes[labels[k]] += 1.0
    mean = sums.sum() / sizes.sum()
    for q in range(quantiles):
        size = sizes[q + 1]
        row[q] = sums[q + 1] / size if size else np.nan
        row[quantiles + q] = row[q] - mean
        row[2 * quantiles + q] = size
    row[3 * quantiles] = row[quantiles - 1] - row[0]


@compiled
def _turnover(labels: Any, places: Any, before: Any, quantile: int) -> float:
    """Return the share of a quantile's names that were not in it the day before."""
    size, stayed, size_before = 0, 0, 0
    for k in range(labels.size):
        inside = labels[k] == quantile
        size += inside
        stayed += inside & (before[places[k]] == quantile)
    for place in range(before.size):
        size_before += before[place] == quantile
    return (size - stayed) / size if size and size_before else np.nan


@compiled
def _autocorrelation(ranks: Any, count: int, places: Any, before: Any) -> Any:
    """Return the correlation of today's ranks with the day before's, of names that have both."""
    both, s_x, s_y, s_xx, s_yy, s_xy = 0, 0, 0, 0, 0, 0
    for k in range(ranks.size):
        if ranks[k] and before[places[k]]:
            # Around today's mean, so that the squares of many names stay whole 64-bit numbers.
            x = int(ranks[k]) - (count + 1)
            y = int(before[places[k]]) - (count + 1)
            both += 1
            s_x += x
            s_y += y
            s_xx += x * x
            s_yy += y * y
            s_xy += x * y
    squares, other_squares = both * s_xx - s_x * s_x, both * s_yy - s_y * s_y
    if squares == 0 or other_squares == 0:
        return np.nan
    return (both * s_xy - s_x * s_y) / (np.sqrt(squares) * np.sqrt(other_squares))


@compiled
def trade(
    starts: Any,
    places: Any,
    ranks: Any,
    returns: Any,
    quantiles: int,
    labels_before: Any,
    ranks_before: Any,
    figures: Any,
) -> None:
    """Measure the quantiles of a block of whole days, which follows the one before.

    Args:
        starts: Where each day's rows start, and where the last one's end.
        places: Of each row's instrument; -1 where it has no bars, and so is in no sample.
        ranks: (factor × row).
        returns: Of each row.
        quantiles: How many.
        labels_before: (factor × instrument) of the day before; gets those of the last day.
        ranks_before: Likewise.
        figures: (day × factor × figure) of NaN gets by quantile mean returns, means in excess of
            the sample's, sizes; spread, turnover of the top and of the bottom quantile, rank
            autocorrelation, and whether names went by mean places.
    """
    rest = 3 * quantiles
    for d in range(starts.size - 1):
        a, b = starts[d], starts[d + 1]
        tally, labels = np.empty(2 * (b - a) + 1, np.int32), np.empty(b - a, np.int8)
        here = places[a:b]
        for f in range(ranks.shape[0]):
            mine, row = ranks[f, a:b], figures[d, f]
            count, rule = label_quantiles(mine, quantiles, tally, labels)
            if rule:
                _earn(labels, returns[a:b], quantiles, row)
                row[rest + 1] = _turnover(labels, here, labels_before[f], quantiles)
                row[rest + 2] = _turnover(labels, here, labels_before[f], 1)
                row[rest + 4] = rule == 2
            row[rest + 3] = _autocorrelation(mine, count, here, ranks_before[f])
            labels_before[f] = 0
            ranks_before[f] = 0
            for k in range(b - a):
                if mine[k]:
                    labels_before[f, here[k]] = labels[k]
                    ranks_before[f, here[k]] = mine[k]
