"""Windows over a calendar, as Qlib's ``RollingGen`` makes them.

Source: ``qlib.workflow.task.gen.RollingGen`` and ``TimeAdjuster.shift``: every segment moves by a
step of trading days; that is its ``ROLL_SD``. With ``ROLL_EX`` the first day of train stays.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from qlops_assets.core.errors import SettingsError, TrainingError, nearest
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.training.segments import MIN_SEGMENT_DAYS, Segments

SLIDING: Final = "sliding"
EXPANDING: Final = "expanding"
KINDS: Final = (SLIDING, EXPANDING)


@dataclass(frozen=True, slots=True)
class Window:
    """One window; the first has the number 1.

    Attributes:
        number: Its place in the series.
        train: First and last day.
        valid: First and last day.
        test: First and last day; None for those that are not in the calendar yet.
        test_days: How many days of the test are in the calendar.
        step_days: How many it has when it is whole.
    """

    number: int
    train: tuple[date, date]
    valid: tuple[date, date]
    test: tuple[date | None, date | None]
    test_days: int
    step_days: int

    @property
    def is_whole(self) -> bool:
        """Whether all days of the test are there, so that the model can be judged on them."""
        return self.test_days == self.step_days

    @property
    def segments(self) -> Segments:
        """The segments of a whole window.

        Raises:
            ValueError: days of its test are not there.
        """
        first, last = self.test
        if first is None or last is None:
            raise ValueError(f"window {self.number} has {self.test_days} days of its test")
        return Segments(self.train, self.valid, (first, last))


def require_rolling(rolling: RollingSettings) -> None:
    """Refuse settings that no window can be made with.

    Raises:
        SettingsError: the step is too short to judge a model on, or the kind is unknown.
    """
    if rolling.step_days < MIN_SEGMENT_DAYS:
        raise SettingsError(
            f"[rolling] step_days: was {rolling.step_days}, must be at least {MIN_SEGMENT_DAYS}: "
            "a window's model is judged on so many trading days"
        )
    if rolling.kind not in KINDS:
        raise SettingsError(
            f"[rolling] kind: was {rolling.kind!r}{nearest(rolling.kind, KINDS)} Known: "
            f"{', '.join(KINDS)}"
        )


def rolling_windows(
    calendar: Sequence[date], first: Segments, *, step_days: int, kind: str
) -> list[Window]:
    """Return every whole window, and the one after them, whose test is not.

    Days of ``first`` that are no trading days stand for the next one, or at the end of a segment
    for the one before, as in Qlib.

    Args:
        calendar: All trading days, in order.
        first: Of the first window; of its test only the first day counts.
        step_days: Trading days from one window to the next.
        kind: ``sliding`` or ``expanding``.

    Raises:
        TrainingError: the calendar ends before the first test begins.
    """
    if not calendar or calendar[-1] < first.test[0]:
        raise TrainingError(
            f"the test of the first window begins on {first.test[0]}, but the last trading day is "
            f"{calendar[-1] if calendar else 'missing'}"
        )
    train, valid = (_places(calendar, days) for days in (first.train, first.valid))
    test = bisect_left(calendar, first.test[0])
    whole = (len(calendar) - test) // step_days
    windows = []
    for number in range(1, whole + 2):
        shift = step_days * (number - 1)
        begin = 0 if kind == EXPANDING else shift
        days = calendar[test + shift : test + shift + step_days]
        windows.append(
            Window(
                number,
                (calendar[train[0] + begin], calendar[train[1] + shift]),
                (calendar[valid[0] + shift], calendar[valid[1] + shift]),
                (days[0] if days else None, days[-1] if len(days) == step_days else None),
                len(days),
                step_days,
            )
        )
    return windows


def _places(calendar: Sequence[date], days: tuple[date, date]) -> tuple[int, int]:
    return bisect_left(calendar, days[0]), bisect_right(calendar, days[1]) - 1
