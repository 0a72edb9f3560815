"""How good predictions are, in Qlib's own terms and to the last bit as its functions say it.

Qlib asks pandas about every day's frame; here a day is a slice of arrays, in a tenth of the time.
"""

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, LABEL
from qlops_assets.core.errors import TrainingError
from qlops_assets.training.frame import qlib_index

if TYPE_CHECKING:
    import pandas as pd

TRADING_DAYS_A_YEAR = 252  # what Qlib's SigAnaRecord annualises by
_FIFTH = 0.2
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SignalMetrics:
    """Daily cross-sectional agreement of scores and returns, over one segment.

    Attributes:
        ic: Mean daily Pearson correlation of score and label.
        icir: Mean of the daily IC over its standard deviation, not annualised.
        rank_ic: Mean daily Spearman correlation.
        rank_icir: Likewise over its standard deviation.
        long_short: Annualised return of (best fifth − worst fifth) / 2, as Qlib defines it.
        days: Days with a correlation.
    """

    ic: float
    icir: float
    rank_ic: float
    rank_icir: float
    long_short: float
    days: int

    def to_json(self) -> dict[str, float]:
        """Return the metrics by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DailyMetrics:
    """IC and Rank IC of each day, as pandas series by date."""

    ic: "pd.Series[float]"
    rank_ic: "pd.Series[float]"


def signal_metrics(predictions: pl.DataFrame, segment: str) -> tuple[SignalMetrics, DailyMetrics]:
    """Return the metrics of one segment's predictions.

    Source: ``qlib.contrib.eva.alpha.calc_ic`` and ``calc_long_short_return``, as
    ``qlib.workflow.record_temp.SigAnaRecord`` calls them.

    Args:
        predictions: Columns instrument, date, score, segment and the raw label ``LABEL0``.
        segment: ``valid`` or ``test``.

    Raises:
        TrainingError: fewer than two days of the segment have a correlation, or no day has the
            five instruments that a fifth is taken of.
    """
    days = _Days.of(predictions.filter(pl.col("segment") == segment))
    ic, rank_ic = days.correlations()
    if (known := int(ic.notna().sum())) < 2:
        raise TrainingError(
            f"segment {segment!r}: found {known} days with a correlation of score and label, needs "
            "2; the scores are constant or fewer than two instruments have both"
        )
    long_short = days.long_short()
    if not long_short.notna().any():
        raise TrainingError(
            f"segment {segment!r}: no day has five instruments, to go long and short of a fifth; "
            "choose a larger [universe]"
        )
    metrics = SignalMetrics(
        ic=float(ic.mean()),
        icir=float(ic.mean() / ic.std()),
        rank_ic=float(rank_ic.mean()),
        rank_icir=float(rank_ic.mean() / rank_ic.std()),
        long_short=float(long_short.mean() * TRADING_DAYS_A_YEAR),
        days=known,
    )
    return metrics, DailyMetrics(ic, rank_ic)


@dataclass(frozen=True, slots=True)
class _Days:
    """Scores and labels of a segment by date and instrument, and where each day begins."""

    dates: "pd.DatetimeIndex"
    begins: list[int]
    score: Floats
    label: Floats

    @classmethod
    def of(cls, predictions: pl.DataFrame) -> "_Days":
        import pandas as pd

        ordered = predictions.sort("date", "instrument")
        days = ordered.get_column(DATE).to_numpy().astype("datetime64[ns]")
        dates, begins = np.unique(days, return_index=True)
        index = pd.DatetimeIndex(dates, name="datetime")
        return cls(index, [*begins.tolist(), len(days)], *_numbers(ordered))

    def _each(self, *columns: Floats) -> Iterator[tuple[Floats, ...]]:
        for begin, end in pairwise(self.begins):
            yield tuple(column[begin:end] for column in columns)

    def correlations(self) -> "tuple[pd.Series[float], pd.Series[float]]":
        """Return what ``qlib.contrib.eva.alpha.calc_ic`` does: IC and Rank IC by date."""
        import pandas as pd

        known = ~(np.isnan(self.score) | np.isnan(self.label))
        ranks = [self._ranked(column, known) for column in (self.score, self.label)]
        days = self._each(self.score, self.label, *ranks)
        found = [
            # scipy, by whom pandas correlates ranks, takes the other corner of numpy's matrix.
            (
                _correlation(score[both], label[both]),
                _correlation(label_rank[both], score_rank[both]),
            )
            for score, label, score_rank, label_rank in days
            for both in [~np.isnan(score_rank)]
        ]
        ic, rank_ic = np.array(found, dtype=np.float64).reshape(-1, 2).T
        return pd.Series(ic, index=self.dates), pd.Series(rank_ic, index=self.dates)

    def _ranked(self, values: Floats, known: NDArray[np.bool_]) -> Floats:
        """Return the ranks of a day's known values; equal ones share the mean of theirs."""
        lengths = np.diff(self.begins)
        day = np.repeat(np.arange(len(lengths)), lengths)
        frame = pl.DataFrame({"day": day[known], "value": values[known]})
        ranks = np.full(len(values), np.nan)
        ranks[known] = frame.select(pl.col("value").rank("average").over("day")).to_series()
        return ranks

    def long_short(self) -> "pd.Series[float]":
        """Return what ``calc_long_short_return`` does first.

        That is half of what the best fifth of a day by score had more than the worst.
        """
        import pandas as pd

        found = []
        for score, label in self._each(self.score, self.label):
            count = int(len(score) * _FIFTH)
            best = np.argsort(-score, kind="stable")[:count]  # of equal scores the first
            worst = np.argsort(score, kind="stable")[:count]
            found.append((pd.Series(label[best]).mean() - pd.Series(label[worst]).mean()) / 2)
        return pd.Series(found, index=self.dates, dtype=np.float64)


def _correlation(one: Floats, other: Floats) -> float:
    """Return the correlation as numpy has it; NaN where there is none."""
    if one.size == 0:
        return float("nan")
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a single value
        return float(np.corrcoef(one, other)[0, 1])


def qlib_series(predictions: pl.DataFrame) -> "tuple[pd.Series[float], pd.Series[float]]":
    """Return scores and labels as Qlib takes them: indexed by (datetime, instrument)."""
    import pandas as pd

    ordered = predictions.sort("date", "instrument")
    index = qlib_index(ordered)
    score, label = _numbers(ordered)
    return pd.Series(score, index=index), pd.Series(label, index=index)


def _numbers(ordered: pl.DataFrame) -> tuple[Floats, Floats]:
    label = ordered.get_column(LABEL).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return ordered.get_column("score").to_numpy().astype(np.float64), label
