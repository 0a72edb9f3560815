"""How often the best of many trials on some days is below their middle on the others."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from math import comb
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import TrainingError

Matrix = NDArray[np.float64]
MOST_BLOCKS: Final = 20
_AT_ONCE: Final = 2048


@dataclass(frozen=True, slots=True)
class BacktestOverfitting:
    """What combinatorially symmetric cross-validation says of a choice.

    Attributes:
        probability: Share of the splits in which the trial that is best on one half of the days is
            not above the middle of all trials on the other half.
        probability_of_loss: Share in which its Sharpe ratio on the other half is below 0.
        degradation: Slope of its Sharpe ratio on the other half by that on the first; None where
            the first never changes. Below 0: the better it looked, the worse it became.
        splits: How many there were.
        trials: How many were chosen among.
        days: Days used: as many of the latest as the blocks divide.
    """

    probability: float
    probability_of_loss: float
    degradation: float | None
    splits: int
    trials: int
    days: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def backtest_overfitting(returns: Matrix, *, blocks: int) -> BacktestOverfitting:
    """Return the probability of backtest overfitting of choosing the best Sharpe ratio.

    1. Days are cut into ``blocks`` of equal length, in order.
    2. Each way of taking half of the blocks is a split: those are seen, the others are not.
    3. The trial with the best Sharpe ratio on the days seen has the relative rank
       ``ω = rank / (trials + 1)`` on the others, and the logit ``λ = ln(ω / (1 - ω))``.
    4. The probability is the share of splits with ``λ <= 0``, that is ``ω <= 1/2``.

    Source: Bailey, Borwein, López de Prado and Zhu (2017), The Probability of Backtest Overfitting.

    Args:
        returns: (day × trial) of daily returns.
        blocks: Even, from 2 to 20; 16 gives 12,870 splits.

    Raises:
        TrainingError: fewer than two trials, a number of blocks that is not meant, fewer than two
            days a block, or a return that is not a finite number.
    """
    _require(returns, blocks)
    length = len(returns) // blocks
    used = returns[len(returns) - blocks * length :]
    ratios = _Ratios(used, blocks)
    seen_best, later_best, below = [], [], 0
    for seen in _halves(blocks):
        first, second = ratios.of(seen), ratios.of(~seen)
        best = first.argmax(axis=1)
        rows = np.arange(len(best))
        own = second[rows, best]
        seen_best.append(first[rows, best])
        later_best.append(own)
        below += int(np.count_nonzero(_rank(second, own) <= (used.shape[1] + 1) / 2))
    earlier, later = np.concatenate(seen_best), np.concatenate(later_best)
    return BacktestOverfitting(
        probability=below / later.size,
        probability_of_loss=float(np.mean(later < 0)),
        degradation=_slope(earlier, later),
        splits=later.size,
        trials=used.shape[1],
        days=len(used),
    )


class _Ratios:
    """Sharpe ratios of any set of blocks, from the blocks' sums."""

    def __init__(self, used: Matrix, blocks: int) -> None:
        self._mean = used.mean(axis=0)
        away = used - self._mean  # so that squares do not drown what differs
        cut = away.reshape(blocks, -1, used.shape[1])
        self._sums, self._squares = cut.sum(axis=1), (cut**2).sum(axis=1)
        self._days = len(used) // 2
        self._least = 1e-12 * away.var(axis=0)

    def of(self, chosen: NDArray[np.bool_]) -> Matrix:
        """Return (split × trial); 0 where a trial's return is the same on all days of a half."""
        weights = chosen.astype(np.float64)
        away = weights @ self._sums / self._days
        variance = (weights @ self._squares - self._days * away**2) / (self._days - 1)
        moves = variance > self._least
        ratio: Matrix = np.zeros_like(away)
        spread = np.sqrt(np.maximum(variance, 0.0))
        np.divide(away + self._mean, spread, out=ratio, where=moves)
        return ratio


def _halves(blocks: int) -> Iterator[NDArray[np.bool_]]:
    """Yield every way of taking half of the blocks, many at once, as (split × block)."""
    ways = combinations(range(blocks), blocks // 2)
    while several := list(islice(ways, _AT_ONCE)):
        chosen = np.zeros((len(several), blocks), dtype=np.bool_)
        np.put_along_axis(chosen, np.array(several), values=True, axis=1)
        yield chosen


def _rank(all_ratios: Matrix, own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of one of each row, from 1; equal ones share their mean rank."""
    less = np.count_nonzero(all_ratios < own[:, None], axis=1)
    equal = np.count_nonzero(all_ratios == own[:, None], axis=1)
    ranks: NDArray[np.float64] = less + (equal + 1) / 2
    return ranks


def _slope(earlier: NDArray[np.float64], later: NDArray[np.float64]) -> float | None:
    away = earlier - earlier.mean()
    squares = float(away @ away)
    return float(away @ later) / squares if squares else None


def _require(returns: Matrix, blocks: int) -> None:
    if blocks % 2 or not 2 <= blocks <= MOST_BLOCKS:
        raise TrainingError(
            f"[overfitting] blocks_of_days: was {blocks}, must be even and from 2 to {MOST_BLOCKS}"
        )
    days, trials = returns.shape
    if trials < 2 or days < 2 * blocks:
        raise TrainingError(
            f"trials: found {trials} over {days} days; {comb(blocks, blocks // 2)} splits of "
            f"{blocks} blocks need 2 trials and {2 * blocks} days"
        )
    if not np.isfinite(returns).all():
        raise TrainingError("trials: a return is not a finite number; each day needs one")
