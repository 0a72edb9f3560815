"""What one fold says of a choice of parameters."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from qlops_assets.core.atomic import replacing
from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Progress
from qlops_assets.models.trainer import Trainer
from qlops_assets.training.metrics import qlib_series, signal_metrics
from qlops_assets.training.tuning.shared_data import JUDGED, FoldData


@dataclass(frozen=True, slots=True)
class FoldResult:
    """A trial on one fold.

    Attributes:
        rank_ic: Mean daily Rank IC on the fold's valid.
        ic: Likewise the IC.
        days: Days with a correlation.
        best_iteration: Of the fit.
        iterations: That were run.
        seconds: That it took.
        by_day: ``date, rank_ic, ic, long_short``: by day of valid.
    """

    rank_ic: float
    ic: float
    days: int
    best_iteration: int
    iterations: int
    seconds: float
    by_day: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Return the numbers by name."""
        names = ("rank_ic", "ic", "days", "best_iteration", "iterations", "seconds")
        return {name: getattr(self, name) for name in names}


def judge_fold(trainer: Trainer, data: FoldData, progress: Progress) -> FoldResult:
    """Fit on a fold's train, stop early on its stop, and judge the scores of its valid.

    Metrics are Qlib's own. ``long_short`` is the day's return of the best fifth less that of the
    worst, halved, as ``qlib.contrib.eva.alpha.calc_long_short_return`` defines it.

    Raises:
        TrainingError: it cannot be trained, or its scores cannot be judged.
    """
    from qlib.contrib.eva.alpha import calc_long_short_return

    started = time.monotonic()
    fitted = trainer.fit(data.dataset, progress)
    scores = trainer.predict(fitted, data.dataset, JUDGED)
    predictions = _with_labels(scores, data.labels)
    metrics, daily = signal_metrics(predictions, JUDGED)
    if not math.isfinite(metrics.rank_ic):
        raise TrainingError(
            f"its scores rank nothing: they are the same for all instruments on each of the "
            f"{len(daily.ic)} days of the fold's valid"
        )
    long_short, _ = calc_long_short_return(*qlib_series(predictions))
    days = daily.ic.index
    by_day = pl.DataFrame(
        {
            DATE: days.to_numpy().astype("datetime64[D]"),
            "rank_ic": daily.rank_ic.to_numpy(),
            "ic": daily.ic.to_numpy(),
            "long_short": long_short.reindex(days).to_numpy(),
        }
    )
    return FoldResult(
        rank_ic=metrics.rank_ic,
        ic=metrics.ic,
        days=metrics.days,
        best_iteration=fitted.best_iteration,
        iterations=fitted.iterations,
        seconds=round(time.monotonic() - started, 3),
        by_day=by_day,
    )


def _with_labels(scores: Any, labels: pl.DataFrame) -> pl.DataFrame:
    days = scores.index.get_level_values("datetime").to_numpy().astype("datetime64[D]")
    codes = scores.index.get_level_values("instrument").to_list()
    found = pl.DataFrame({INSTRUMENT: codes, DATE: days, "score": scores.to_numpy()})
    return (
        found.cast({"score": pl.Float64})
        .join(labels, on=KEY, how="left")
        .with_columns(segment=pl.lit(JUDGED))
    )


def result_file(folder: Path, trial: int, fold: int) -> Path:
    """Return where a trial's days of a fold are, in the folder of a study."""
    return folder / "trials" / f"{trial:04d}-{fold}.parquet"


def write_result(folder: Path, trial: int, fold: int, result: FoldResult) -> None:
    """Write a trial's days of a fold."""
    file = result_file(folder, trial, fold)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        result.by_day.write_parquet(temporary)
