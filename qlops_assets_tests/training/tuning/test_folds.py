import re
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.segments import MIN_SEGMENT_DAYS, Segments
from qlops_assets.training.tuning.folds import Fold, walk_forward
from qlops_assets_tests.support.market import weekdays


def segments_of(days: list[date], train: int, valid: int, embargo: int) -> Segments:
    first_test = train + embargo + valid + embargo
    return Segments(
        (days[0], days[train - 1]),
        (days[train + embargo], days[train + embargo + valid - 1]),
        (days[first_test], days[-1]),
    )


@given(
    train=st.integers(300, 500),
    valid=st.integers(40, 200),
    folds=st.integers(1, 4),
    embargo=st.integers(2, 10),
    share=st.floats(0.05, 0.4),
)
def test_folds_walk_forward_with_embargoes_and_never_reach_the_test(
    train: int, valid: int, folds: int, embargo: int, share: float
) -> None:
    days = weekdays(date(2015, 1, 1), train + valid + 2 * embargo + 30)
    segments = segments_of(days, train, valid, embargo)
    place = {day: number for number, day in enumerate(days)}
    found = walk_forward(days, segments, folds=folds, embargo_days=embargo, stop_share=share)
    assert len(found) == folds
    lengths = set()
    for fold in found:
        first, last = (place[day] for day in fold.train)
        stop, stopped = (place[day] for day in fold.stop)
        begin, end = (place[day] for day in fold.valid)
        assert first == 0
        assert stop - last == begin - stopped == embargo + 1  # so many days lie between
        assert last - first + 1 >= MIN_SEGMENT_DAYS
        assert stopped - stop + 1 == max(MIN_SEGMENT_DAYS, round((stopped + 1) * share))
        assert fold.valid[1] <= segments.valid[1] < segments.test[0]
        lengths.add(end - begin + 1)
    assert max(lengths) - min(lengths) <= 1
    assert found[-1].valid[1] == segments.valid[1]
    for before, after in pairwise(found):
        assert place[after.valid[0]] == place[before.valid[1]] + 1  # every day is judged once
        assert after.train[1] > before.train[1]


def test_three_folds_of_two_hundred_days_are_those_of_a_table() -> None:
    days = weekdays(date(2020, 1, 1), 240)
    segments = Segments((days[0], days[179]), (days[182], days[199]), (days[202], days[239]))
    found = walk_forward(days, segments, folds=3, embargo_days=2, stop_share=0.25)
    assert [
        [days.index(day) for day in (*fold.train, *fold.stop, *fold.valid)] for fold in found
    ] == [
        [0, 25, 28, 47, 50, 99],  # 48 days: a quarter is fewer than 20
        [0, 71, 74, 97, 100, 149],
        [0, 108, 111, 147, 150, 199],
    ]


@pytest.mark.parametrize(("folds", "days"), [(0, 400), (9, 140)])
def test_folds_that_cannot_be_had_are_refused(folds: int, days: int) -> None:
    calendar = weekdays(date(2020, 1, 1), days)
    segments = Segments(
        (calendar[0], calendar[79]), (calendar[82], calendar[99]), (calendar[102], calendar[-1])
    )
    with pytest.raises(TrainingError, match=rf"\[tuning\] folds: was {folds}, "):
        walk_forward(calendar, segments, folds=folds, embargo_days=2, stop_share=0.2)


@given(
    days=st.integers(60, 900),
    folds=st.integers(1, 6),
    embargo=st.integers(1, 10),
    share=st.floats(0.01, 0.5),
)
def test_as_many_days_as_a_refusal_asks_for_are_enough(
    days: int, folds: int, embargo: int, share: float
) -> None:
    calendar = weekdays(date(2010, 1, 1), 3000)

    def walk(count: int) -> tuple[Fold, ...]:
        end = calendar[count - 1]
        segments = Segments((calendar[0], calendar[30]), (calendar[40], end), (end, end))
        return walk_forward(calendar, segments, folds=folds, embargo_days=embargo, stop_share=share)

    try:
        walk(days)
    except TrainingError as error:
        asked = re.search(r"need about (\d+),", str(error))
        assert asked is not None
        assert int(asked[1]) > days
        assert len(walk(int(asked[1]))) == folds


@pytest.mark.parametrize("share", [0.0, -0.1, 0.51, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    days = weekdays(date(2020, 1, 1), 400)
    segments = segments_of(days, 300, 60, 2)
    with pytest.raises(TrainingError, match=r"\[tuning\] stop_share: was .*, must be above 0"):
        walk_forward(days, segments, folds=2, embargo_days=2, stop_share=share)
