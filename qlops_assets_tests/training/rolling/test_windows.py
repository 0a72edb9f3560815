"""Windows against Qlib's own ``RollingGen``, on arbitrary calendars."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import SettingsError, TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.rolling.series import series_of
from qlops_assets.training.rolling.windows import Window, require_rolling, rolling_windows
from qlops_assets.training.segments import Segments
from qlops_assets_tests.support.market import weekdays

NAMES = ("train", "valid", "test")
KINDS = st.sampled_from(["sliding", "expanding"])


@pytest.fixture(scope="module", autouse=True)
def qlib(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Qlib with a calendar of one day, far ahead: it cuts off no end of a test."""
    provider = tmp_path_factory.mktemp("provider")
    for folder in ("calendars", "instruments", "features"):
        (provider / folder).mkdir()
    for name in ("day.txt", "day_future.txt"):
        (provider / "calendars" / name).write_text("2100-01-01\n")
    with qlib_session(provider):
        yield


@dataclass(frozen=True)
class Case:
    """A calendar, the days that follow it, and the segments of a first window."""

    calendar: list[date]
    ahead: list[date]
    first: Segments
    step: int


@st.composite
def cases(draw: st.DrawFn, *, length: int = 1, gap: int = 1, after: int = 1) -> Case:
    """A calendar with gaps of 1 to 9 days, and segments that begin and end on any of its days.

    Args:
        draw: Hypothesis'.
        length: Least days of train and valid.
        gap: Least distance of the segments, in days of the calendar.
        after: Least days from the first of the test on.
    """
    step = draw(st.integers(20, 45))
    lengths = [draw(st.integers(length, length + 60)) for _ in range(2)]
    gaps = [draw(st.integers(gap, gap + 8)) for _ in range(2)]
    before, rest = draw(st.integers(1, 8)), draw(st.integers(after, 4 * step))
    count = before + sum(lengths) + sum(gaps) + rest
    chance = random.Random(draw(st.integers(0, 10_000)))  # a list is slow to draw
    apart = [chance.randint(1, 9) for _ in range(count + 2 * step)]
    days = [date(2001, 1, 1) + timedelta(days=n) for n in accumulate(apart)]
    calendar, ahead = days[:count], days[count:]
    valid = before + lengths[0] + gaps[0]
    test = valid + lengths[1] + gaps[1]
    first = Segments(
        (calendar[before], calendar[before + lengths[0] - 1]),
        (calendar[valid], calendar[valid + lengths[1] - 1]),
        (calendar[test], calendar[-1]),
    )
    return Case(calendar, ahead, first, step)


def of_qlib(case: Case, kind: str, segments: Segments, **options: Any) -> list[dict[str, Any]]:
    """Return the segments of the tasks that Qlib makes, as days."""
    import pandas as pd
    from qlib.workflow.task.gen import RollingGen, task_generator

    generator = RollingGen(
        step=case.step,
        rtype={"sliding": RollingGen.ROLL_SD, "expanding": RollingGen.ROLL_EX}[kind],
        **options,
    )
    generator.ta.cals = [pd.Timestamp(day) for day in (*case.calendar, *case.ahead)]
    given = {name: tuple(map(pd.Timestamp, getattr(segments, name))) for name in NAMES}
    tasks = task_generator({"dataset": {"kwargs": {"segments": given}}}, generator)
    return [
        {
            name: tuple(day and day.date() for day in days)
            for name, days in task["dataset"]["kwargs"]["segments"].items()
        }
        for task in tasks
    ]


def check_as_qlib(found: list[Window], tasks: list[dict[str, Any]], case: Case) -> None:
    last = case.calendar[-1]
    whole = [task for task in tasks if task["test"][1] is not None and task["test"][1] <= last]
    assert [{name: getattr(w.segments, name) for name in NAMES} for w in found[:-1]] == whole
    assert [window.number for window in found] == list(range(1, len(found) + 1))
    # Qlib goes on to the task whose test has begun; ours is also there where it has not.
    upcoming, begun = found[-1], tasks[len(whole) :]
    assert not upcoming.is_whole
    assert len(begun) == (1 if upcoming.test_days else 0)
    for task in begun:
        assert (upcoming.train, upcoming.valid) == (task["train"], task["valid"])
        assert upcoming.test == (task["test"][0], None)
        first = case.calendar.index(task["test"][0])
        assert upcoming.test_days == len(case.calendar) - first


@given(case=cases(), kind=KINDS)
def test_windows_are_the_tasks_of_qlibs_rolling_generator(case: Case, kind: str) -> None:
    found = rolling_windows(case.calendar, case.first, step_days=case.step, kind=kind)
    check_as_qlib(found, of_qlib(case, kind, case.first), case)


@given(case=cases(), kind=KINDS, data=st.data())
def test_days_without_trading_stand_for_those_that_qlib_takes(
    case: Case, kind: str, data: st.DataObject
) -> None:
    """A first day moves back into the gap before it, a last day into the gap after it."""
    days = case.calendar

    def moved(day: date, other: date | None) -> date:
        room = 0 if other is None else abs((day - other).days) - 1
        step = data.draw(st.integers(0, room))
        return day - timedelta(days=step) if other and other < day else day + timedelta(days=step)

    def around(segment: tuple[date, date]) -> tuple[date, date]:
        first, last = (days.index(day) for day in segment)
        after = days[last + 1] if last + 1 < len(days) else None
        return moved(segment[0], days[first - 1]), moved(segment[1], after)

    odd = Segments(*(around(getattr(case.first, name)) for name in NAMES))
    exact = rolling_windows(days, case.first, step_days=case.step, kind=kind)
    assert rolling_windows(days, odd, step_days=case.step, kind=kind) == exact
    check_as_qlib(exact, of_qlib(case, kind, odd), case)


@given(case=cases(length=40, gap=12, after=20), kind=KINDS, embargo=st.integers(0, 12))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_purged_windows_are_those_of_qlibs_trunc_days_and_keep_the_embargo(
    tmp_path: Path, case: Case, kind: str, embargo: int
) -> None:
    """Qlib truncates by the first day of test; with ``trunc_days = 1`` the day before it stays."""
    before_test = case.calendar[case.calendar.index(case.first.test[0]) - 1]
    touching = replace(case.first, valid=(case.first.valid[0], before_test))
    training = TrainingSettings(
        segments={name: getattr(touching, name) for name in NAMES},
        purge=True,
        embargo_days=embargo,
        label_horizon_days=0,
        min_days=1,
    )
    rolling = RollingSettings(step_days=case.step, kind=kind)
    home = Settings(home=tmp_path, training=training, rolling=rolling)
    journal = Journal(home.journal_url)
    found = series_of(home, journal, case.calendar).windows(case.calendar)
    journal.close()
    check_as_qlib(found, of_qlib(case, kind, touching, trunc_days=embargo + 1), case)
    for window in found[:-1]:
        segments = window.segments
        for one, following in ((segments.train, segments.valid), (segments.valid, segments.test)):
            between = case.calendar.index(following[0]) - case.calendar.index(one[1]) - 1
            assert between >= embargo


@given(case=cases(), kind=KINDS, more=st.integers(1, 40))
def test_more_days_leave_the_whole_windows_as_they_are(case: Case, kind: str, more: int) -> None:
    before = rolling_windows(case.calendar, case.first, step_days=case.step, kind=kind)
    longer = [*case.calendar, *case.ahead[:more]]
    after = rolling_windows(longer, case.first, step_days=case.step, kind=kind)
    assert after[: len(before) - 1] == before[:-1]
    assert len(after) >= len(before)


def test_test_that_begins_after_the_calendar_is_refused() -> None:
    days = weekdays(date(2020, 1, 1), 100)
    first = Segments((days[0], days[30]), (days[33], days[60]), (date(2030, 1, 1),) * 2)
    with pytest.raises(TrainingError, match=r"begins on 2030-01-01, but the last trading day is"):
        rolling_windows(days, first, step_days=20, kind="sliding")
    with pytest.raises(TrainingError, match="last trading day is missing"):
        rolling_windows([], first, step_days=20, kind="sliding")


@pytest.mark.parametrize(
    ("rolling", "message"),
    [
        (RollingSettings(step_days=0), r"step_days: was 0, must be at least 20"),
        (RollingSettings(step_days=-3), r"step_days: was -3"),
        (RollingSettings(step_days=19), r"step_days: was 19, must be at least 20"),
        (RollingSettings(kind="slidng"), r"kind: was 'slidng'; did you mean 'sliding'"),
        (RollingSettings(kind=""), r"kind: was '' Known: sliding, expanding"),
    ],
)
def test_settings_that_make_no_window_are_refused(rolling: RollingSettings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        require_rolling(rolling)


def test_days_of_a_window_that_is_not_whole_are_no_segments() -> None:
    days = weekdays(date(2020, 1, 1), 100)
    first = Segments((days[0], days[30]), (days[33], days[60]), (days[63], days[99]))
    *whole, upcoming = rolling_windows(days, first, step_days=25, kind="sliding")
    assert [window.test_days for window in whole] == [25]
    assert (upcoming.test_days, upcoming.test) == (12, (days[88], None))
    with pytest.raises(ValueError, match="window 2 has 12 days"):
        upcoming.segments  # noqa: B018
