"""The time that is left, against SciPy's Student distribution and a loop."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qlops_assets.core.trainings.pace import Pace

DURATIONS = st.lists(st.floats(0.001, 100.0), min_size=3, max_size=60)


def paced(durations: list[float], *, first: int = 1, at: float = 1000.0) -> Pace:
    """Return the pace of steps that took so long, one after another."""
    pace = Pace()
    pace.reached(first, at)
    for step, moment in enumerate(itertools.accumulate(durations, initial=at), start=first):
        pace.reached(step, moment) if step > first else None
    return pace


@given(DURATIONS, st.integers(0, 2000))
def test_time_left_is_the_mean_of_recent_steps_with_their_prediction_interval(
    durations: list[float], ahead: int
) -> None:
    eta = paced(durations).left(1 + len(durations) + ahead)
    recent = durations[-30:]
    n, mean = len(recent), statistics.fmean(recent)
    width = stats.t.ppf(0.975, n - 1) * statistics.stdev(recent) * math.sqrt(ahead + ahead**2 / n)
    assert eta is not None
    assert eta.seconds == pytest.approx(mean * ahead, rel=1e-6, abs=1e-6)
    assert eta.high == pytest.approx(mean * ahead + width, rel=1e-3, abs=1e-6)
    assert eta.low == pytest.approx(max(0.0, mean * ahead - width), rel=1e-2, abs=1e-2 * eta.high)


@given(st.integers(1, 500), st.floats(0.001, 10.0), st.integers(3, 50))
def test_time_left_of_steps_that_take_the_same_is_certain(
    ahead: int, seconds: float, done: int
) -> None:
    eta = paced([seconds] * done, at=0.0).left(done + 1 + ahead)
    assert eta is not None
    assert eta.seconds == pytest.approx(ahead * seconds)
    assert eta.high - eta.low == pytest.approx(0.0, abs=1e-6 * ahead * (1 + done * seconds))


def test_time_left_is_unknown_without_a_total_or_before_three_steps_were_timed() -> None:
    assert Pace().left(10) is None
    assert paced([1.0, 1.0]).left(10) is None
    assert paced([1.0, 1.0, 1.0]).left(None) is None
    assert Pace().step_seconds is None


def test_steps_reported_in_leaps_are_timed_by_the_step() -> None:
    pace = Pace()
    for step, at in ((0, 0.0), (10, 5.0), (30, 15.0), (40, 20.0)):
        pace.reached(step, at)
    eta = pace.left(100)
    assert eta is not None
    assert (eta.seconds, eta.low, eta.high) == (30.0, 30.0, 30.0)


def test_step_that_is_not_after_the_last_begins_the_timing_anew() -> None:
    pace = paced([5.0] * 10)
    pace.reached(1, 2000.0)
    assert pace.left(100) is None
    for step in (2, 3, 4):
        pace.reached(step, 2000.0 + step - 1)
    eta = pace.left(104)
    assert eta is not None
    assert eta.seconds == pytest.approx(100.0)
