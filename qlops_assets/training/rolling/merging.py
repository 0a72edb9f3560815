"""The windows as one: their predictions on test, each day by the window that it belongs to.

Source: ``qlib.model.ens.ensemble.RollingEnsemble``: windows in the order of their first day, of a
row that several have the last one's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, cast

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY, LABEL
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.fit import predictions_path
from qlops_assets.training.frame import compute_labels
from qlops_assets.training.metrics import SignalMetrics, signal_metrics

_TEST: Final = "test"


@dataclass(frozen=True, slots=True)
class Merged:
    """Windows judged as one.

    Attributes:
        metrics: Over all days of their tests.
        windows: How many they are.
        first: First day.
        last: Last day.
        missing: Versions whose predictions are gone.
    """

    metrics: SignalMetrics
    windows: int
    first: date
    last: date
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document that the command line prints."""
        return {
            **self.metrics.to_json(),
            "windows": self.windows,
            "first": str(self.first),
            "last": str(self.last),
            "missing": list(self.missing),
        }


def merge_predictions(settings: Settings, versions: Sequence[str]) -> pl.DataFrame:
    """Return the predictions of versions on their tests as one table, by day and instrument.

    Args:
        settings: Of the home.
        versions: Whose predictions are there.
    """
    parts = [
        pl.read_parquet(predictions_path(settings, version)).filter(pl.col("segment") == _TEST)
        for version in versions
    ]
    parts.sort(key=lambda part: _span(part)[0])
    merged = pl.concat(parts).unique(KEY, keep="last", maintain_order=True)
    return merged.sort(DATE, INSTRUMENT)


def judge_together(
    settings: Settings, versions: Sequence[str], progress: Progress
) -> Merged | None:
    """Return the metrics of versions over all days of their tests; None where none is left.

    Labels are those of the lake of now: a window that was trained as soon as it could be did not
    have those of its last days, which look ahead.

    Args:
        settings: Of the home, with the recipe of the windows.
        versions: In any order.
        progress: Told of the labels.

    Raises:
        TrainingError: the predictions cannot be judged.
    """
    missing = tuple(v for v in versions if not predictions_path(settings, v).is_file())
    kept = [version for version in versions if version not in missing]
    if not kept:
        return None
    merged = merge_predictions(settings, kept).drop(LABEL)
    labels = compute_labels(settings, settings.training.label, progress)
    labelled = merged.join(labels, on=KEY, how="left", maintain_order="left")
    with qlib_session(build_provider(settings), region=settings.training.region):
        metrics, _ = signal_metrics(labelled, _TEST)
    return Merged(metrics, len(kept), *_span(merged), missing)


def _span(rows: pl.DataFrame) -> tuple[date, date]:
    days = rows.get_column(DATE)
    return cast(date, days.min()), cast(date, days.max())
