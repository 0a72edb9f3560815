"""Where training ends, validation begins and testing begins: by date, with an embargo between."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final

from qlops_assets.core.errors import HistoryTooShortError, TrainingError, nearest
from qlops_assets.core.sections.training import TrainingSettings

# Fewest trading days of a segment on which a daily rank correlation says anything.
MIN_SEGMENT_DAYS = 20
_NAMES: Final = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Segments:
    """First and last trading day of each segment, both included."""

    train: tuple[date, date]
    valid: tuple[date, date]
    test: tuple[date, date]

    def to_json(self) -> dict[str, list[str]]:
        """Return the segments as ISO dates by name."""
        return {
            name: [day.isoformat() for day in getattr(self, name)]
            for name in ("train", "valid", "test")
        }


def split_calendar(calendar: Sequence[date], training: TrainingSettings) -> Segments:
    """Cut a calendar into train, valid and test.

    Labels look ahead, so the last ``embargo_days`` trading days before the next segment are left
    out of the earlier one: none of its labels sees a price of the next.

    Args:
        calendar: All trading days, in order.
        training: The dates ``train_end`` and ``valid_end``, or the shares, and the embargo.

    Raises:
        TrainingError: dates or shares contradict each other, or the embargo is shorter than the
            label's horizon.
        HistoryTooShortError: a segment would have fewer than 20 trading days.
    """
    if training.embargo_days < training.label_horizon_days:
        raise TrainingError(
            f"[training] embargo_days: was {training.embargo_days}, must be at least the label's "
            f"horizon of {training.label_horizon_days} trading days"
        )
    if len(calendar) < training.min_days:
        raise HistoryTooShortError(len(calendar), training.min_days, "the source")
    if training.segments:
        return _given(calendar, training)
    first_valid, first_test = _starts(calendar, training)
    embargo = training.embargo_days
    lengths = {
        "train": first_valid - embargo,
        "valid": first_test - embargo - first_valid,
        "test": len(calendar) - first_test,
    }
    for name, length in lengths.items():
        if length < MIN_SEGMENT_DAYS:
            raise HistoryTooShortError(max(0, length), MIN_SEGMENT_DAYS, f"segment {name!r}")
    return Segments(
        (calendar[0], calendar[first_valid - embargo - 1]),
        (calendar[first_valid], calendar[first_test - embargo - 1]),
        (calendar[first_test], calendar[-1]),
    )


def _given(calendar: Sequence[date], training: TrainingSettings) -> Segments:
    """Return the segments that the settings name, as trading days."""
    _require_names(training)
    places = {name: _places(calendar, name, training.segments[name]) for name in _NAMES}
    for name, following in pairwise(_NAMES):
        first, last = places[name]
        begin = places[following][0]
        if begin <= last:
            raise TrainingError(
                f"[training.segments] {following}: begins on {calendar[begin]}, must be after the "
                f"last day of {name}, {calendar[last]}"
            )
        latest = begin - training.embargo_days - 1
        if latest < last and not training.purge:
            raise TrainingError(
                f"[training.segments] {name}: ends on {calendar[last]}, must end on "
                f"{calendar[max(latest, 0)]} or before to leave {training.embargo_days} trading "
                f"days before {following}; purge = true cuts it there"
            )
        places[name] = (first, min(last, latest))
    for name, (first, last) in places.items():
        if last - first + 1 < MIN_SEGMENT_DAYS:
            found = max(0, last - first + 1)
            raise HistoryTooShortError(found, MIN_SEGMENT_DAYS, f"segment {name!r}")
    return Segments(
        **{name: (calendar[first], calendar[last]) for name, (first, last) in places.items()}
    )


def _require_names(training: TrainingSettings) -> None:
    others = ("train_end", "valid_end")
    if any(getattr(training, name) is not None for name in others):
        raise TrainingError(
            "[training] segments and train_end, valid_end were both set; set one or the other"
        )
    for name, days in training.segments.items():
        if name not in _NAMES:
            raise TrainingError(
                f"[training.segments] {name}: unknown{nearest(name, _NAMES)} "
                f"Known: {', '.join(_NAMES)}"
            )
        if len(days) != 2 or days[0] > days[1]:
            found = [day.isoformat() for day in days]
            raise TrainingError(
                f"[training.segments] {name}: was {found}, must be a first and a last day"
            )
    if missing := [name for name in _NAMES if name not in training.segments]:
        raise TrainingError(f"[training.segments] {missing[0]}: is missing; all three are needed")


def _places(calendar: Sequence[date], name: str, days: Sequence[date]) -> tuple[int, int]:
    """Return the places of the first and the last trading day between two days."""
    first, last = bisect_left(calendar, days[0]), bisect_right(calendar, days[1]) - 1
    if last < first:
        raise TrainingError(
            f"[training.segments] {name}: no trading day is between {days[0]} and {days[1]}; the "
            f"source has {calendar[0]} to {calendar[-1]}"
        )
    return first, last


def _starts(calendar: Sequence[date], training: TrainingSettings) -> tuple[int, int]:
    """Return the positions of the first day of valid and of test."""
    if training.train_end is None and training.valid_end is None:
        _require_shares(training)
        count = len(calendar)
        boundary = training.train_share + training.valid_share
        return round(count * training.train_share), round(count * boundary)
    if training.train_end is None or training.valid_end is None:
        raise TrainingError("[training] train_end and valid_end go together; set both or neither")
    if training.train_end >= training.valid_end:
        raise TrainingError(
            f"[training] valid_end: was {training.valid_end}, must be after train_end "
            f"{training.train_end}"
        )
    first_valid = sum(day <= training.train_end for day in calendar)
    return first_valid, sum(day <= training.valid_end for day in calendar)


def _require_shares(training: TrainingSettings) -> None:
    total = training.train_share + training.valid_share
    if min(training.train_share, training.valid_share) <= 0 or total >= 1:
        raise TrainingError(
            f"[training] train_share + valid_share: was {training.train_share} + "
            f"{training.valid_share}, must be positive and leave a share for the test"
        )
