from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qlops_assets.core.errors import HistoryTooShortError, TrainingError
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.training.segments import MIN_SEGMENT_DAYS, Segments, split_calendar
from qlops_assets_tests.support.market import weekdays

CALENDAR = weekdays(date(2015, 1, 1), 1000)
DEFAULT = TrainingSettings()


def indices(segments: Segments, calendar: list[date]) -> list[tuple[int, int]]:
    return [
        (calendar.index(first), calendar.index(last))
        for first, last in (segments.train, segments.valid, segments.test)
    ]


def roles(calendar: list[date], first_valid: int, first_test: int, embargo: int) -> list[str]:
    """Return what each day is used for, day by day: the oracle."""
    return [
        "test"
        if place >= first_test
        else ("embargo" if place + embargo >= first_test else "valid")
        if place >= first_valid
        else ("embargo" if place + embargo >= first_valid else "train")
        for place in range(len(calendar))
    ]


def used(segments: Segments, calendar: list[date]) -> list[str]:
    """Return what the segments use each day for."""
    names = []
    for day in calendar:
        inside = [
            name
            for name in ("train", "valid", "test")
            if getattr(segments, name)[0] <= day <= getattr(segments, name)[1]
        ]
        assert len(inside) <= 1
        names.append(inside[0] if inside else "embargo")
    return names


@given(
    days=st.integers(100, 600),
    train=st.floats(0.05, 0.9),
    valid=st.floats(0.05, 0.9),
    embargo=st.integers(1, 30),
    horizon=st.integers(1, 30),
)
def test_segments_by_share_have_an_embargo_and_nothing_else_between_them(
    days: int, train: float, valid: float, embargo: int, horizon: int
) -> None:
    assume(train + valid < 1 and horizon <= embargo)
    calendar = CALENDAR[:days]
    training = replace(
        DEFAULT,
        train_share=train,
        valid_share=valid,
        embargo_days=embargo,
        label_horizon_days=horizon,
        min_days=100,
    )
    first_valid, first_test = round(days * train), round(days * (train + valid))
    expected = roles(calendar, first_valid, first_test, embargo)
    too_short = min(expected.count(n) for n in ("train", "valid", "test")) < MIN_SEGMENT_DAYS
    if too_short:
        with pytest.raises(HistoryTooShortError, match=r"segment '(train|valid|test)'"):
            split_calendar(calendar, training)
        return
    segments = split_calendar(calendar, training)
    assert used(segments, calendar) == expected
    (_, train_end), (valid_start, valid_end), (test_start, test_end) = indices(segments, calendar)
    # The label of a day sees prices up to ``horizon`` days later: none of the next segment.
    assert train_end + horizon < valid_start
    assert valid_end + horizon < test_start
    assert test_end == days - 1


@given(
    train_end=st.dates(date(2014, 6, 1), date(2019, 6, 1)),
    later=st.integers(1, 1500),
    embargo=st.integers(2, 10),
)
def test_segments_by_date_put_the_named_days_in_the_earlier_segment(
    train_end: date, later: int, embargo: int
) -> None:
    valid_end = train_end + timedelta(days=later)
    training = replace(DEFAULT, train_end=train_end, valid_end=valid_end, embargo_days=embargo)
    first_valid = next((i for i, d in enumerate(CALENDAR) if d > train_end), len(CALENDAR))
    first_test = next((i for i, d in enumerate(CALENDAR) if d > valid_end), len(CALENDAR))
    expected = roles(CALENDAR, first_valid, first_test, embargo)
    if min(expected.count(n) for n in ("train", "valid", "test")) < MIN_SEGMENT_DAYS:
        with pytest.raises(HistoryTooShortError):
            split_calendar(CALENDAR, training)
        return
    segments = split_calendar(CALENDAR, training)
    assert used(segments, CALENDAR) == expected
    assert segments.train[1] <= train_end < segments.valid[0]
    assert segments.valid[1] <= valid_end < segments.test[0]


def test_segments_of_the_defaults_are_60_20_20() -> None:
    segments = split_calendar(CALENDAR, DEFAULT)
    assert indices(segments, CALENDAR) == [(0, 597), (600, 797), (800, 999)]
    assert segments.to_json()["test"] == [CALENDAR[800].isoformat(), CALENDAR[999].isoformat()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embargo_days": 1}, r"embargo_days: was 1, .* horizon of 2"),
        ({"label_horizon_days": 5}, r"embargo_days: was 2, .* horizon of 5"),
        ({"train_share": 0.9}, r"was 0.9 \+ 0.2, must be positive and leave a share"),
        ({"train_share": 0.8}, r"was 0.8 \+ 0.2, must be positive and leave a share"),
        ({"train_share": 0.0}, r"was 0.0 \+ 0.2, must be positive"),
        ({"valid_share": -0.1}, r"was 0.6 \+ -0.1, must be positive"),
        ({"train_end": date(2016, 1, 1)}, "go together; set both or neither"),
        ({"valid_end": date(2016, 1, 1)}, "go together; set both or neither"),
        (
            {"train_end": date(2016, 1, 1), "valid_end": date(2016, 1, 1)},
            "valid_end: was 2016-01-01, must be after train_end 2016-01-01",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        split_calendar(CALENDAR, replace(DEFAULT, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("days", [0, 1, 249])
def test_calendar_shorter_than_min_days_is_refused(days: int) -> None:
    with pytest.raises(
        HistoryTooShortError, match=f"the source: found {days} trading days, need at least 250"
    ):
        split_calendar(CALENDAR[:days], DEFAULT)


@pytest.mark.parametrize(
    ("train_end", "valid_end", "segment", "days"),
    [
        (date(2010, 1, 1), date(2017, 1, 1), "train", 0),
        (date(2016, 1, 4), date(2016, 1, 20), "valid", 10),
        (date(2016, 1, 4), date(2030, 1, 1), "test", 0),
    ],
)
def test_segment_that_is_too_short_is_named_with_its_days(
    train_end: date, valid_end: date, segment: str, days: int
) -> None:
    training = replace(DEFAULT, train_end=train_end, valid_end=valid_end)
    with pytest.raises(HistoryTooShortError, match=f"segment '{segment}': found {days} trading"):
        split_calendar(CALENDAR, training)


def given_segments(**changes: Any) -> TrainingSettings:
    days = {
        "train": (CALENDAR[0], CALENDAR[149]),
        "valid": (CALENDAR[152], CALENDAR[199]),
        "test": (CALENDAR[202], CALENDAR[299]),
    }
    purge = changes.pop("purge", False)
    return replace(TrainingSettings(), min_days=250, segments=days | changes, purge=purge)


def test_segments_that_are_given_are_taken() -> None:
    found = split_calendar(CALENDAR[:300], given_segments())
    assert found.train == (CALENDAR[0], CALENDAR[149])
    assert (found.valid, found.test) == (
        (CALENDAR[152], CALENDAR[199]),
        (CALENDAR[202], CALENDAR[299]),
    )


def test_given_segments_end_on_trading_days() -> None:
    saturdays = (CALENDAR[0] - timedelta(days=2), CALENDAR[149])
    assert split_calendar(CALENDAR[:300], given_segments(train=saturdays)).train[0] == CALENDAR[0]


@pytest.mark.parametrize("last", [149, 150, 151])
def test_purge_cuts_given_segments_so_that_the_embargo_is_left(last: int) -> None:
    training = given_segments(train=(CALENDAR[0], CALENDAR[last]), purge=True)
    assert split_calendar(CALENDAR[:300], training).train == (CALENDAR[0], CALENDAR[149])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": (CALENDAR[0], CALENDAR[150])}, f"must end on {CALENDAR[149]} or before"),
        ({"valid": (CALENDAR[149], CALENDAR[199])}, "must be after the last day of train"),
        ({"test": (CALENDAR[100], CALENDAR[299])}, "must be after the last day of valid"),
        ({"valid": (CALENDAR[199], CALENDAR[152])}, "a first and a last day"),
        ({"valid": (CALENDAR[152],)}, "a first and a last day"),
        ({"tests": (CALENDAR[202], CALENDAR[299])}, "did you mean 'test'"),
        (
            {"test": (CALENDAR[0].replace(year=2050), CALENDAR[0].replace(year=2051))},
            "no trading day",
        ),
        ({"valid": (CALENDAR[152], CALENDAR[152])}, "segment 'valid'"),
    ],
)
def test_given_segments_that_no_training_can_have_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        split_calendar(CALENDAR[:300], given_segments(**changes))


def test_segments_beside_other_dates_are_refused() -> None:
    both = replace(given_segments(), train_end=CALENDAR[100], valid_end=CALENDAR[200])
    with pytest.raises(TrainingError, match="set one or the other"):
        split_calendar(CALENDAR[:300], both)
