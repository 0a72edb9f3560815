"""Factor rows by month, recomputed only for months whose bars or definitions changed."""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from itertools import accumulate
from typing import Final

import polars as pl

from qlops_assets.core.digests import combined_digest
from qlops_assets.core.errors import DatasetMissingError
from qlops_assets.core.months import (
    contiguous_spans,
    first_day,
    month_of,
    months_between,
    next_month,
    shifted,
)
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.factors.engine import ENGINES
from qlops_assets.factors.missing import FactorReport, missing_counts, require_values
from qlops_assets.factors.sets import ALPHA158, CUSTOM, ROWS, FactorSet, look_back_months
from qlops_assets.lake.calendar import trading_days
from qlops_assets.lake.datasets import MonthlyDataset, bars_dataset, by_month
from qlops_assets.lake.gaps import gap_digests

# Values of four bytes that are held at once; twice that is needed while they are computed.
_VALUES_AT_ONCE: Final = 50_000_000


def factor_dataset(settings: Settings, name: str) -> MonthlyDataset:
    """Return the dataset of the rows of a factor set of this source."""
    return MonthlyDataset(settings.lake / name, ROWS[name])


def alpha158_dataset(settings: Settings) -> MonthlyDataset:
    """Return the dataset of Alpha158 rows of this source."""
    return factor_dataset(settings, ALPHA158)


def factor_inputs(settings: Settings, factors: FactorSet, months: Sequence[str]) -> dict[str, str]:
    """Return for each month that has bars the digest of what its factors are computed from.

    Those are the bars of the month and of the months it looks back to; and where a source leaves
    days of an instrument out, whether it has a later bar: that decides which rows there are.
    """
    bars = bars_dataset(settings)
    digests = {month: info.digest for month, info in bars.infos().items()}
    wanted = [month for month in months if month in digests]
    if not wanted:
        return {}
    gaps = gap_digests(bars)
    made = {}
    for month, first in _first_months(settings, factors.look_back, min(digests), wanted).items():
        window = months_between(first, month)
        made[month] = combined_digest(
            d for m in window for d in (digests.get(m, ""), gaps.get(m, ""))
        )
    return made


def _first_months(
    settings: Settings, days: int | None, earliest: str, months: Sequence[str]
) -> dict[str, str]:
    """Return for each month the first of those that its factors look back to.

    As many months as a daily calendar needs, and more where this source's calendar is sparser.
    """
    if days is None:
        return dict.fromkeys(months, earliest)
    calendar = trading_days(settings)
    firsts = {}
    for month in months:
        before = bisect_left(calendar, first_day(month)) - days
        reached = month_of(calendar[max(0, before)])
        firsts[month] = max(earliest, min(reached, shifted(month, -look_back_months(days))))
    return firsts


def stale_months(settings: Settings, factors: FactorSet, months: Sequence[str]) -> list[str]:
    """Return those of the months whose factors are missing or out of date."""
    wanted = factor_inputs(settings, factors, months)
    return factor_dataset(settings, factors.name).stale(wanted, factors.code_version(settings))


def build_factors(
    settings: Settings,
    factors: FactorSet,
    months: Sequence[str],
    *,
    progress: Progress | None = None,
) -> dict[str, FactorReport]:
    """Compute and store the factors of the given months; return a report by month.

    Months without bars are removed, and all where the set is empty. A span of neighbouring months
    is one computation.

    Raises:
        DatasetMissingError: there are no bars at all.
        FactorError: a factor came out empty.
    """
    dataset = factor_dataset(settings, factors.name)
    inputs: dict[str, str] = {}
    if factors.expressions:
        if not bars_dataset(settings).months():
            raise DatasetMissingError("bars", months, "materialize raw_bars and bars first")
        inputs = factor_inputs(settings, factors, months)
    for month in set(months) - set(inputs):
        dataset.remove(month)
    build = _Build(settings, factors, inputs)
    reports: dict[str, FactorReport] = {}
    for first, last in contiguous_spans(inputs):
        reports |= build.span(first, last, progress or Unreported())
    return reports


class _Build:
    """One computation of months whose inputs are known."""

    def __init__(self, settings: Settings, factors: FactorSet, inputs: Mapping[str, str]) -> None:
        self._settings, self._factors, self._inputs = settings, factors, inputs
        self._dataset = factor_dataset(settings, factors.name)
        self._bars = bars_dataset(settings)
        self._threads = settings.features.workers

    def span(self, first: str, last: str, progress: Progress) -> dict[str, FactorReport]:
        """Compute and store neighbouring months, as many at once as the memory should hold."""
        reports: dict[str, FactorReport] = {}
        pieces = self._pieces(months_between(first, last))
        with ThreadPoolExecutor(self._threads) as threads:
            storing: dict[str, Future[FactorReport]] = {}
            for done, piece in enumerate(pieces):
                computed = self._computed(*piece, _Share(progress, done, len(pieces)))
                # One piece is stored while the next is computed; more would not fit in memory.
                reports |= {month: stored.result() for month, stored in storing.items()}
                missing = {month: missing_counts(rows) for month, rows in computed.items()}
                if piece[1] == last:
                    self._require_values(computed, missing, reports)
                storing = {
                    month: threads.submit(self._stored, month, rows, missing[month])
                    for month, rows in computed.items()
                }
                del computed
            reports |= {month: stored.result() for month, stored in storing.items()}
        return reports

    def _pieces(self, months: Sequence[str]) -> list[tuple[str, str]]:
        """Return spans of months of about equally many and not too many values."""
        infos = self._bars.infos()
        rows = [infos[month].rows for month in months]
        count = math.ceil(sum(rows) * len(self._factors.expressions) / _VALUES_AT_ONCE)
        ends = accumulate(rows)
        pieces: dict[int, list[str]] = defaultdict(list)
        for month, end in zip(months, ends, strict=True):
            pieces[math.ceil(count * end / max(1, sum(rows)))].append(month)
        return [(piece[0], piece[-1]) for piece in pieces.values()]

    def _computed(self, first: str, last: str, progress: Progress) -> dict[str, pl.DataFrame]:
        """Return the rows of every month; each block is cut into months once, as it comes."""
        engine = ENGINES.load(self._settings.features.engine)()
        blocks = engine.from_lake(
            self._settings,
            self._factors.expressions,
            first=first_day(first),
            last=first_day(next_month(last)) - timedelta(days=1),
            progress=progress,
        )
        parts: dict[str, list[pl.DataFrame]] = defaultdict(list)
        for block in blocks:
            for month, rows in by_month(block).items():
                parts[month].append(rows)
        return {month: pl.concat(parts.pop(month)) for month in sorted(parts)}

    def _require_values(
        self,
        months: Mapping[str, pl.DataFrame],
        missing: Mapping[str, Mapping[str, int]],
        before: Mapping[str, FactorReport],
    ) -> None:
        empty = [
            name
            for name in self._factors.expressions
            if all(missing[month][name] == rows.height for month, rows in months.items())
            and all(report.missing[name] == report.partition.rows for report in before.values())
        ]
        if not empty:
            return
        others = [month for month in self._dataset.months() if month not in months]
        stale = stale_months(self._settings, self._factors, others)
        require_values(
            self._settings,
            self._factors,
            empty,
            last=max(months),
            stored=self._dataset,
            months=[month for month in others if month not in stale],
        )

    def _stored(self, month: str, rows: pl.DataFrame, missing: Mapping[str, int]) -> FactorReport:
        info = self._dataset.write(
            month,
            rows,
            inputs=self._inputs[month],
            code=self._factors.code_version(self._settings),
            expressions=self._factors.expressions if self._factors.name == CUSTOM else None,
        )
        return FactorReport(info, missing)


class _Share:
    """Progress of one of several equal parts, as that of the whole."""

    def __init__(self, whole: Progress, done: int, parts: int) -> None:
        self._whole, self._done, self._parts = whole, done, parts

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        if total is not None:
            step, total = self._done * total + step, self._parts * total
        self._whole.report(stage, step, total, metrics)
