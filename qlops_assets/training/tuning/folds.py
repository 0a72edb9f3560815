"""The folds that a trial is judged by: they walk forward, with an embargo in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.segments import MIN_SEGMENT_DAYS, Segments


@dataclass(frozen=True, slots=True)
class Fold:
    """First and last day of a fold's train and valid, both included."""

    train: tuple[date, date]
    valid: tuple[date, date]

    def to_json(self) -> dict[str, list[str]]:
        """Return the days as ISO dates."""
        return {
            name: [day.isoformat() for day in getattr(self, name)] for name in ("train", "valid")
        }


def walk_forward(
    calendar: Sequence[date], segments: Segments, *, folds: int, embargo_days: int
) -> tuple[Fold, ...]:
    """Return folds on the days from the first of train to the last of valid.

    The days are cut into ``folds + 1`` blocks of equal length. Fold ``k`` is validated on block
    ``k + 1`` and trained on everything before it but the last ``embargo_days``, whose labels would
    see it. No day of test is in a fold.

    Source: ``sklearn.model_selection.TimeSeriesSplit`` with its ``gap``.

    Raises:
        TrainingError: fewer than one fold, or a part of one with fewer than 20 days.
    """
    if folds < 1:
        raise TrainingError(f"[tuning] folds: was {folds}, must be at least 1")
    days = [day for day in calendar if segments.train[0] <= day <= segments.valid[1]]
    length = len(days) // (folds + 1)
    first_train = len(days) - folds * length - embargo_days
    if min(length, first_train) < MIN_SEGMENT_DAYS:
        needed = (MIN_SEGMENT_DAYS + embargo_days) * (folds + 1)
        raise TrainingError(
            f"[tuning] folds: was {folds}, but train and valid have {len(days)} trading days; "
            f"{folds} folds need about {needed}, {MIN_SEGMENT_DAYS} for each part of one"
        )
    return tuple(
        Fold(_ends(days, train), _ends(days, valid))
        for train, valid in _splits(len(days), folds, embargo_days)
    )


def _splits(days: int, folds: int, gap: int) -> Any:
    import numpy as np
    from sklearn.model_selection import TimeSeriesSplit

    if folds == 1:  # which TimeSeriesSplit does not take
        half = days // 2
        first = days - half
        return [(np.arange(first - gap), np.arange(first, days))]
    return TimeSeriesSplit(folds, gap=gap).split(np.empty((days, 0)))


def _ends(days: Sequence[date], places: Any) -> tuple[date, date]:
    return days[int(places[0])], days[int(places[-1])]
