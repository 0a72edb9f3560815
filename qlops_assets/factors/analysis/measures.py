"""The kernels over all blocks of a history, folded over its days.

Blocks are measured by as many threads as there are cores and folded in order of days, so a figure
does not depend on the threads, nor on how the history came in frames.
"""

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.progress import Progress
from qlops_assets.factors.analysis.blocks import Block, Members, Part, as_block
from qlops_assets.factors.analysis.returns import Closes
from qlops_assets.factors.analysis.rules import AnalysisRules

Matrix = NDArray[np.float64]
_STAGE: Final = "factor_analysis"


@dataclass(frozen=True, slots=True)
class _Measured:
    """A block's figures of ``kernels.measure``."""

    figures: Matrix
    ranks: NDArray[np.int32]
    earned: Matrix
    related: list[Matrix]


class DayMeans:
    """Means over days of figures that a day may not have."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._sums = np.zeros(shape)
        self.counts = np.zeros(shape, dtype=np.int64)

    def add(self, figures: Matrix) -> None:
        """Add one day's figures; NaN is none."""
        there = ~np.isnan(figures)
        self._sums += np.where(there, figures, 0.0)
        self.counts += there

    def means(self) -> Matrix:
        """Return the mean over the days that had one, NaN where none had."""
        return np.divide(
            self._sums, self.counts, out=np.full_like(self._sums, np.nan), where=self.counts > 0
        )

    def sums(self) -> Matrix:
        """Return the sums over days."""
        return self._sums


class Measures:
    """What was measured of every factor, up to the day folded last.

    Attributes:
        names: Of the factors.
        days: Calendar rows of the days with factor rows.
        rows: How many factor rows there were.
        covered: By factor, days on which enough names have a value.
    """

    def __init__(self, names: list[str], instruments: int, rules: AnalysisRules) -> None:
        self.names, self.rules = names, rules
        self.days: list[int] = []
        self.rows = 0
        self.covered = np.zeros(len(names), dtype=np.int64)
        self._daily: list[Matrix] = []
        self._agreement = DayMeans((len(names), 2 * len(rules.horizons) + 3))
        self._trading = DayMeans((len(names), 3 * rules.quantiles + 5))
        self._related = DayMeans((len(names), len(names)))
        self._labels = np.zeros((len(names), instruments), dtype=np.int8)
        self._ranks = np.zeros((len(names), instruments), dtype=np.int32)

    def fold(self, block: Block, measured: _Measured) -> None:
        """Add a block that follows the ones before."""
        from qlops_assets.factors.analysis.portfolios import trade

        horizons = len(self.rules.horizons)
        trading = np.full((block.days.size, *self._trading.counts.shape), np.nan)
        trade(
            block.starts,
            block.places,
            measured.ranks,
            measured.earned,
            self.rules.quantiles,
            self._labels,
            self._ranks,
            trading,
        )
        for day in range(block.days.size):
            self._agreement.add(measured.figures[day])
            self._trading.add(trading[day])
            self.covered += measured.figures[day, :, 2 * horizons] >= self.rules.least_names
        main = [self.rules.main, horizons + self.rules.main]
        self._daily.append(measured.figures[:, :, main])
        self.days += block.days.tolist()
        self.rows += block.places.size
        for related in measured.related:
            self._related.add(related)

    def daily(self) -> Matrix:
        """Return (day × factor × 2): IC and Rank IC of the main horizon."""
        return np.concatenate(self._daily)

    def decay(self) -> Matrix:
        """Return (factor × 2 × horizon): mean IC and mean Rank IC."""
        horizons = len(self.rules.horizons)
        return self._agreement.means()[:, : 2 * horizons].reshape(len(self.names), 2, horizons)

    def values(self) -> NDArray[np.int64]:
        """Return by factor how many rows have a value."""
        return self._agreement.sums()[:, -3].astype(np.int64)

    def varied_days(self) -> NDArray[np.int64]:
        """Return by factor on how many days two names differ."""
        return self._agreement.sums()[:, -2].astype(np.int64)

    def infinite_days(self) -> NDArray[np.int64]:
        """Return by factor on how many days a value is infinite."""
        return self._agreement.sums()[:, -1].astype(np.int64)

    def by_quantile(self) -> tuple[Matrix, NDArray[np.int64]]:
        """Return (factor × 2 × quantile) mean return and mean excess; (factor × quantile) names."""
        quantiles = self.rules.quantiles
        means = self._trading.means()[:, : 2 * quantiles]
        counts = self._trading.sums()[:, 2 * quantiles : 3 * quantiles]
        return means.reshape(len(self.names), 2, quantiles), counts.astype(np.int64)

    def trading(self) -> Matrix:
        """Return (factor × 5) means over days.

        Spread, turnover of the top and of the bottom quantile, rank autocorrelation, and the share
        of days on which so many values were equal that pandas.qcut refuses.
        """
        return self._trading.means()[:, 3 * self.rules.quantiles :]

    def correlation(self) -> Matrix:
        """Return (factor × factor): mean rank correlation over the sampled days."""
        return self._related.means()


def measure_parts(
    names: list[str],
    parts: Iterable[Part],
    closes: Closes,
    *,
    members: Members | None,
    sampled: frozenset[int],
    rules: AnalysisRules,
    progress: Progress,
    days: int,
) -> Measures:
    """Measure parts of factor frames that follow each other.

    Args:
        names: Of the factors.
        parts: Whole days each.
        closes: What the factors have to foretell.
        members: The rows that count; all where None.
        sampled: Calendar rows of the days on which factors are compared with each other.
        rules: What to measure.
        progress: Is told the days done.
        days: How many there may be.
    """
    measures = Measures(names, len(closes.instruments), rules)
    workers = len(os.sched_getaffinity(0))
    waiting: deque[tuple[Block, Future[_Measured]]] = deque()

    def fold_oldest() -> None:
        block, future = waiting.popleft()
        measures.fold(block, future.result())
        progress.report(_STAGE, len(measures.days), days)

    with ThreadPoolExecutor(workers) as pool:
        for part in parts:
            block = as_block(part, closes, members)
            if block.days.size:
                waiting.append((block, pool.submit(_measured, block, closes, sampled, rules)))
            if len(waiting) > workers:
                fold_oldest()
        while waiting:
            fold_oldest()
    return measures


def _measured(
    block: Block, closes: Closes, sampled: frozenset[int], rules: AnalysisRules
) -> _Measured:
    from qlops_assets.factors.analysis.kernels import measure
    from qlops_assets.factors.analysis.ranks import relate

    factors, rows = block.values.shape
    figures = np.empty((block.days.size, factors, 2 * len(rules.horizons) + 3))
    ranks = np.zeros((factors, rows), dtype=np.int32)
    earned = np.empty(rows)
    horizons = np.array(rules.horizons, dtype=np.int64)
    measure(
        closes.prices,
        block.days,
        block.starts,
        block.places,
        block.values,
        horizons,
        rules.main,
        figures,
        ranks,
        earned,
    )
    related = []
    for place, day in enumerate(block.days.tolist()):
        if day in sampled:
            pairs = np.empty((factors, factors))
            of_day = slice(block.starts[place], block.starts[place + 1])
            relate(np.ascontiguousarray(block.values[:, of_day]), pairs)
            related.append(pairs)
    return _Measured(figures, ranks, earned, related)
