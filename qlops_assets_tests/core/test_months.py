from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.months import (
    contiguous_spans,
    first_day,
    month_of,
    months_between,
    next_month,
    shifted,
)

days = st.dates(min_value=date(1990, 1, 1), max_value=date(2100, 12, 31))
months = days.map(month_of)


@given(day=days)
def test_first_day_of_a_days_month_is_the_day_itself_or_earlier_in_it(day: date) -> None:
    assert first_day(month_of(day)) == day.replace(day=1)
    assert month_of(day) == day.strftime("%Y-%m")


@given(day=days)
def test_next_month_is_that_of_the_day_32_days_after_the_first(day: date) -> None:
    assert next_month(month_of(day)) == month_of(day.replace(day=1) + timedelta(days=32))


@given(month=months, count=st.integers(-600, 600))
def test_shifted_there_and_back_is_the_same_month(month: str, count: int) -> None:
    assert shifted(shifted(month, count), -count) == month


@given(month=months, count=st.integers(0, 60))
def test_shifted_counts_months_one_by_one(month: str, count: int) -> None:
    expected = month
    for _ in range(count):
        expected = next_month(expected)
    assert shifted(month, count) == expected


@given(one=days, other=days)
def test_months_between_are_the_months_of_all_days_between(one: date, other: date) -> None:
    first, last = min(one, other), min(max(one, other), min(one, other) + timedelta(days=1500))
    every = {month_of(first + timedelta(days=n)) for n in range((last - first).days + 1)}
    assert months_between(month_of(first), month_of(last)) == sorted(every)


def test_months_between_backwards_are_none() -> None:
    assert months_between("2020-02", "2020-01") == []


@given(chosen=st.sets(months))
def test_spans_hold_exactly_the_months_and_no_two_touch(chosen: set[str]) -> None:
    spans = contiguous_spans(chosen)
    held = [month for first, last in spans for month in months_between(first, last)]
    assert held == sorted(chosen)
    for (_, last), (first, _) in pairwise(spans):
        assert next_month(last) < first
