"""How good predictions are, in Qlib's own terms and by Qlib's own functions."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from qlops_assets.core.columns import LABEL
from qlops_assets.core.errors import TrainingError
from qlops_assets.training.frame import qlib_index

if TYPE_CHECKING:
    import pandas as pd

TRADING_DAYS_A_YEAR = 252  # what Qlib's SigAnaRecord annualises by


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
    from qlib.contrib.eva.alpha import calc_ic, calc_long_short_return

    score, label = qlib_series(predictions.filter(pl.col("segment") == segment))
    ic, rank_ic = calc_ic(score, label)
    if (days := int(ic.notna().sum())) < 2:
        raise TrainingError(
            f"segment {segment!r}: found {days} days with a correlation of score and label, needs "
            "2; the scores are constant or fewer than two instruments have both"
        )
    long_short, _ = calc_long_short_return(score, label)
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
        days=days,
    )
    return metrics, DailyMetrics(ic, rank_ic)


def qlib_series(predictions: pl.DataFrame) -> "tuple[pd.Series[float], pd.Series[float]]":
    """Return scores and labels as Qlib takes them: indexed by (datetime, instrument)."""
    import pandas as pd

    ordered = predictions.sort("date", "instrument")
    index = qlib_index(ordered)
    label = ordered.get_column(LABEL).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    score = ordered.get_column("score").to_numpy().astype(np.float64)
    return pd.Series(score, index=index), pd.Series(label, index=index)
