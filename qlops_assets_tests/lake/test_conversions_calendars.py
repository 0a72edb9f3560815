from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.calendars import (
    calendar_text,
    day_of,
    days_of_text,
    normalised_days,
    read_calendar,
    require_days,
)

DAY = date(2020, 1, 2)


@pytest.mark.parametrize(
    "value",
    [
        DAY,
        datetime(2020, 1, 2, 15),  # noqa: DTZ001 (people have naive ones)
        datetime(2020, 1, 2, tzinfo=UTC),
        datetime(2020, 1, 2, 23, 59, tzinfo=ZoneInfo("Asia/Shanghai")),
        datetime(2020, 1, 2, tzinfo=timezone(timedelta(hours=-5))),
        pd.Timestamp("2020-01-02 09:30"),
        pd.Timestamp("2020-01-02", tz="Asia/Shanghai"),
        np.datetime64("2020-01-02T09:30"),
        np.datetime64("2020-01-02"),
        "2020-01-02",
        "20200102",
        "2020/1/2",
        "2020-01-02 09:30:00.123",
        "2020-01-02T09:30+08:00",
        "2020-01-02 00:00 UTC",
    ],
)
def test_day_of_anything_that_means_one_is_that_day(value: object) -> None:
    assert day_of(value) == DAY


@pytest.mark.parametrize(
    ("value", "zone"),
    [
        (datetime(2020, 1, 1, 16, tzinfo=UTC), "Asia/Shanghai"),
        (pd.Timestamp("2020-01-01 16:00", tz="UTC"), "Asia/Shanghai"),
        ("2020-01-01T16:00:00Z", "Asia/Shanghai"),
        ("2020-01-03T04:59:00+00:00", "America/New_York"),
    ],
)
def test_instant_is_the_day_of_the_zone_that_is_asked_for(value: object, zone: str) -> None:
    assert day_of(value, zone) == DAY


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "None is no day"),
        (20200102, "20200102 is no day"),
        (pd.NaT, "NaT is no day"),
        (np.datetime64("NaT"), "None is no day"),
        ("", "'' is no day"),
        ("2020-02-30", "'2020-02-30' is no day"),
        ("2020-1", "is no day"),
        ("2020-01-02 25:00+08:00", "is no day"),
        (datetime(2020, 1, 1, 16, tzinfo=UTC), "is not midnight, so its trading day is ambiguous"),
    ],
)
def test_value_that_means_no_day_is_refused(value: object, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        day_of(value)


days = st.dates(date(1900, 1, 1), date(2200, 1, 1))


@given(given_days=st.lists(days, min_size=1))
def test_calendar_is_sorted_with_each_day_once(given_days: list[date]) -> None:
    expected = sorted(set(given_days))
    assert normalised_days(given_days) == expected
    assert normalised_days([str(day) for day in given_days]) == expected
    assert calendar_text(given_days).splitlines() == [str(day) for day in expected]


@given(given_days=st.lists(days, min_size=1, max_size=50))
def test_calendar_file_comes_back(
    tmp_path_factory: pytest.TempPathFactory, given_days: list[date]
) -> None:
    path = tmp_path_factory.mktemp("calendar") / "day.txt"
    path.write_text(calendar_text(given_days))
    assert read_calendar(path) == sorted(set(given_days))


def test_calendar_file_with_times_and_blank_lines_is_read(tmp_path: Path) -> None:
    (tmp_path / "day.txt").write_bytes(b"\xef\xbb\xbf2020-01-02 00:00:00\r\n\r\n20200103")
    assert read_calendar(tmp_path / "day.txt") == [DAY, date(2020, 1, 3)]


def test_texts_are_days_with_null_where_there_is_none() -> None:
    assert days_of_text(pl.Series(["2020-01-02", None])).to_list() == [DAY, None]
    mixed = pl.Series(["20200102", None, "2020-01-02", "2020/01/02"])
    assert days_of_text(mixed).to_list() == [DAY, None, DAY, DAY]


def test_days_that_a_calendar_lacks_are_named_in_order() -> None:
    calendar = [date(2020, 1, n) for n in (2, 3, 9)]
    frame = pl.DataFrame({"date": [date(2020, 1, n) for n in (8, 2, 7, 6, 3, 5)]})
    require_days(frame.filter(pl.col("date") <= date(2020, 1, 3)), calendar, "bars")
    with pytest.raises(ConversionError) as caught:
        require_days(frame, calendar, "bars")
    assert str(caught.value) == (
        "bars: has rows on 4 days that are not in the calendar: 2020-01-05, 2020-01-06, "
        "2020-01-07 and 1 more; it goes from 2020-01-02 to 2020-01-09"
    )
