from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.segments import MIN_SEGMENT_DAYS, Segments
from qlops_assets.training.tuning.folds import walk_forward
from qlops_assets_tests.support.market import weekdays


def segments_of(days: list[date], train: int, valid: int, embargo: int) -> Segments:
    first_test = train + embargo + valid + embargo
    return Segments(
        (days[0], days[train - 1]),
        (days[train + embargo], days[train + embargo + valid - 1]),
        (days[first_test], days[-1]),
    )


@given(
    train=st.integers(120, 400),
    valid=st.integers(40, 200),
    folds=st.integers(1, 4),
    embargo=st.integers(2, 10),
)
def test_folds_walk_forward_with_an_embargo_and_never_reach_the_test(
    train: int, valid: int, folds: int, embargo: int
) -> None:
    days = weekdays(date(2015, 1, 1), train + valid + 2 * embargo + 30)
    segments = segments_of(days, train, valid, embargo)
    place = {day: number for number, day in enumerate(days)}
    found = walk_forward(days, segments, folds=folds, embargo_days=embargo)
    assert len(found) == folds
    lengths = set()
    for fold in found:
        first, last = (place[day] for day in fold.train)
        begin, end = (place[day] for day in fold.valid)
        assert first == 0
        assert begin - last == embargo + 1  # so many days lie between
        assert last - first + 1 >= MIN_SEGMENT_DAYS
        assert fold.valid[1] <= segments.valid[1] < segments.test[0]
        lengths.add(end - begin + 1)
    assert max(lengths) - min(lengths) <= 1
    assert found[-1].valid[1] == segments.valid[1]
    for before, after in pairwise(found):
        assert place[after.valid[0]] == place[before.valid[1]] + 1  # every day is judged once
        assert after.train[1] > before.train[1]


def test_three_folds_of_a_hundred_days_are_those_of_a_table() -> None:
    days = weekdays(date(2020, 1, 1), 140)
    segments = Segments((days[0], days[79]), (days[82], days[99]), (days[102], days[139]))
    found = walk_forward(days, segments, folds=3, embargo_days=2)
    places = [[days.index(day) for day in (*fold.train, *fold.valid)] for fold in found]
    assert places == [[0, 22, 25, 49], [0, 47, 50, 74], [0, 72, 75, 99]]


@pytest.mark.parametrize(("folds", "days"), [(0, 400), (9, 140)])
def test_folds_that_cannot_be_had_are_refused(folds: int, days: int) -> None:
    calendar = weekdays(date(2020, 1, 1), days)
    segments = Segments(
        (calendar[0], calendar[79]), (calendar[82], calendar[99]), (calendar[102], calendar[-1])
    )
    with pytest.raises(TrainingError, match=rf"\[tuning\] folds: was {folds}, "):
        walk_forward(calendar, segments, folds=folds, embargo_days=2)
