from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.lake.intake.dates import trading_days, zone_of

SHANGHAI = ZoneInfo("Asia/Shanghai")


def days_of(values: list, kind: pa.DataType | None = None, timezone: str | None = None) -> list:
    return trading_days(pa.chunked_array([pa.array(values, kind)]), timezone).to_list()


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64(), pa.timestamp("ms"), pa.timestamp("ns")])
def test_dates_and_midnights_are_their_own_day(kind: pa.DataType) -> None:
    column = pa.chunked_array([pa.array([date(2020, 1, 2), None]).cast(kind)])
    assert trading_days(column, None).to_list() == [date(2020, 1, 2), None]


def test_naive_timestamp_within_a_day_is_that_day() -> None:
    assert days_of([datetime(2020, 1, 2, 15, 0)]) == [date(2020, 1, 2)]  # noqa: DTZ001 - the case


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-02", date(2020, 1, 2)),
        ("20200102", date(2020, 1, 2)),
        (20200102, date(2020, 1, 2)),
    ],
)
def test_text_and_numbers_are_parsed(text: str | int, expected: date) -> None:
    assert days_of([text]) == [expected]


def test_both_ways_of_writing_may_be_mixed() -> None:
    assert days_of(["2020-01-02", "20200103", None]) == [date(2020, 1, 2), date(2020, 1, 3), None]


def test_dictionary_of_texts_is_parsed() -> None:
    column = pa.chunked_array([pa.array(["2020-01-02", "2020-01-02"]).dictionary_encode()])
    assert trading_days(column, None).to_list() == [date(2020, 1, 2)] * 2


@pytest.mark.parametrize("text", ["2020-13-01", "02/01/2020", "yesterday", "", "2020-01-02 09:30"])
def test_text_that_is_no_date_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no date") as raised:
        days_of(["2020-01-02", text])
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("values", [[1.5], [True], [[1]]])
def test_other_types_are_refused(values: list) -> None:
    with pytest.raises(ValueError, match=r"^is "):
        days_of(values)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "+08:00"])
def test_zoned_timestamp_means_its_own_local_day(zone: str) -> None:
    kind = pa.timestamp("us", tz=zone)
    values = [datetime(2020, 1, 2, tzinfo=SHANGHAI), datetime(2020, 1, 2, 15, tzinfo=SHANGHAI)]
    assert days_of(values, kind) == [date(2020, 1, 2)] * 2
    assert zone_of(kind) == zone


def test_zone_west_of_greenwich_is_taken_as_such() -> None:
    evening = datetime(2020, 1, 2, 20, tzinfo=timezone(timedelta(hours=-5)))
    assert days_of([evening], pa.timestamp("us", tz="-05:00")) == [date(2020, 1, 2)]


def test_utc_instants_of_chinese_midnights_are_refused_without_a_zone() -> None:
    kind = pa.timestamp("us", tz="UTC")
    midnight = datetime(2020, 1, 2, tzinfo=SHANGHAI).astimezone(UTC)  # 16:00 of the day before
    with pytest.raises(ValueError, match=r"ambiguous.*timezone"):
        days_of([midnight], kind)
    assert days_of([midnight], kind, "Asia/Shanghai") == [date(2020, 1, 2)]


def test_utc_midnights_are_plain_dates() -> None:
    assert days_of([datetime(2020, 1, 2, tzinfo=UTC)], pa.timestamp("us", tz="UTC")) == [
        date(2020, 1, 2)
    ]


def test_unknown_zone_is_named() -> None:
    with pytest.raises(ValueError, match="unknown time zone 'Mars/Base'"):
        days_of([datetime(2020, 1, 2, tzinfo=UTC)], pa.timestamp("us", tz="UTC"), "Mars/Base")


@given(
    seconds=st.integers(700_000_000, 2_100_000_000),
    zone=st.sampled_from(["Asia/Shanghai", "America/New_York", "Europe/Berlin", "Asia/Kolkata"]),
)
def test_local_day_is_that_of_the_standard_library(seconds: int, zone: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    found = days_of([moment], pa.timestamp("us", tz="UTC"), zone)
    assert found == [moment.astimezone(ZoneInfo(zone)).date()]
