"""The folds that a trial is judged by: they walk forward, with embargoes in each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.segments import MIN_SEGMENT_DAYS, Segments

_MAX_STOP_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Fold:
    """First and last day of each part of a fold, both included.

    Attributes:
        train: What the model is fitted on.
        stop: What tells it when to stop.
        valid: What it is judged by.
    """

    train: tuple[date, date]
    stop: tuple[date, date]
    valid: tuple[date, date]

    def to_json(self) -> dict[str, list[str]]:
        """Return the days as ISO dates."""
        return {
            part: [day.isoformat() for day in getattr(self, part)]
            for part in ("train", "stop", "valid")
        }

    @classmethod
    def of_json(cls, found: Mapping[str, Sequence[str]]) -> "Fold":
        """Return the fold of a document that :meth:`to_json` made."""
        parts = {
            part: (date.fromisoformat(first), date.fromisoformat(last))
            for part, (first, last) in found.items()
        }
        return cls(**parts)


def walk_forward(
    calendar: Sequence[date],
    segments: Segments,
    *,
    folds: int,
    embargo_days: int,
    stop_share: float,
) -> tuple[Fold, ...]:
    """Return folds on the days from the first of train to the last of valid.

    The days are cut into ``folds + 1`` blocks of equal length. Fold ``k`` is judged on block
    ``k + 1`` and made of everything before it but the last ``embargo_days``, whose labels would
    see it. Of what it is made of, the last ``stop_share`` says when to stop, and the days before
    it but for another embargo are trained on: days that choose the number of iterations would
    flatter a choice of parameters that they judge. No day of test is in a fold.

    Source: ``sklearn.model_selection.TimeSeriesSplit`` with its ``gap``.

    Raises:
        TrainingError: fewer than one fold, a share that is none, or a part of a fold with fewer
            than 20 days.
    """
    if folds < 1:
        raise TrainingError(f"[tuning] folds: was {folds}, must be at least 1")
    if not 0.0 < stop_share <= _MAX_STOP_SHARE:
        raise TrainingError(
            f"[tuning] stop_share: was {stop_share}, must be above 0, at most {_MAX_STOP_SHARE}"
        )
    days = [day for day in calendar if segments.train[0] <= day <= segments.valid[1]]
    length = len(days) // (folds + 1)
    first = len(days) - folds * length - embargo_days
    if min(length, first - _stop_days(first, stop_share) - embargo_days) < MIN_SEGMENT_DAYS:
        least = 2 * (MIN_SEGMENT_DAYS + embargo_days)
        needed = (folds + 1) * max(least, math.ceil(least / 2 / (1 - stop_share)) + embargo_days)
        raise TrainingError(
            f"[tuning] folds: was {folds}, but train and valid have {len(days)} trading days; "
            f"{folds} folds need about {needed}, {MIN_SEGMENT_DAYS} for each part of one"
        )
    found = []
    for seen, valid in _splits(len(days), folds, embargo_days):
        stop = _stop_days(len(seen), stop_share)
        parts = (seen[: -stop - embargo_days], seen[-stop:], valid)
        found.append(Fold(*(_ends(days, part) for part in parts)))
    return tuple(found)


def days_of(folds: Sequence[Fold]) -> tuple[date, date]:
    """Return the first and the last day that folds need; nothing of the test is among them."""
    return min(fold.train[0] for fold in folds), max(fold.valid[1] for fold in folds)


def _stop_days(seen: int, share: float) -> int:
    return max(MIN_SEGMENT_DAYS, round(seen * share))


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
