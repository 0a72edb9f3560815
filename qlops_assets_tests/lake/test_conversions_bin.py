"""A Qlib provider as a bars frame, checked against a writer of the format that shares no code."""

import struct
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.bin_lists import universes
from qlops_assets.lake.conversions.bin_reader import read_fields, read_provider
from qlops_assets.lake.conversions.bin_writer import export_fields, export_provider
from qlops_assets_tests.support.conversion_frames import DAYS, as_bits, frame_of
from qlops_assets_tests.support.plain_provider import write_plain_provider


@pytest.fixture
def bars() -> pl.DataFrame:
    """A halt, a day left out, a late listing, an early end."""
    rows = [
        (code, day, 10 + n, 11 + n, 9 + n, 10.1 + n, 1000.0 * n, 10.05 + n, 0.5)
        for code, days in (("AAPL", DAYS), ("BRK.B", DAYS[3:9]), ("SH600000", DAYS[5:6]))
        for n, day in enumerate(days, start=1)
        if (code, day) != ("AAPL", DAYS[4])
    ]
    halt = ("BRK.B", DAYS[9], None, None, None, None, 0.0, None, 0.5)
    return frame_of([*rows, halt]).sort("instrument", "date")


@pytest.fixture
def provider(bars, tmp_path) -> Path:
    pool = [("AAPL", DAYS[0], DAYS[1]), ("AAPL", DAYS[6], date(2099, 1, 1))]
    return write_plain_provider(tmp_path / "provider", bars, universe=pool)


def put(path: Path, *numbers: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f"<{len(numbers)}f", *numbers))


def test_provider_of_another_writer_is_read_to_the_bit(provider, bars) -> None:
    read = read_provider(provider)
    assert read.columns == bars.columns
    assert as_bits(read) == as_bits(bars)


def test_day_of_nothing_is_no_row_and_a_halt_is_one(provider) -> None:
    read = read_provider(provider)
    keys = set(read.select("instrument", "date").iter_rows())
    assert ("AAPL", DAYS[4]) not in keys
    halted = read.filter(pl.col("instrument") == "BRK.B").tail(1).row(0, named=True)
    assert (halted["date"], halted["close"], halted["volume"]) == (DAYS[9], None, 0.0)


def test_rows_of_a_named_list_are_those_within_its_spans(provider) -> None:
    read = read_provider(provider, instruments="CORE")
    assert read["instrument"].unique().to_list() == ["AAPL"]
    assert read["date"].to_list() == [*DAYS[:2], *DAYS[6:]]


def test_rows_of_codes_asked_for_are_all_that_their_files_hold(provider) -> None:
    (provider / "instruments" / "all.txt").write_text(f"AAPL\t{DAYS[2]}\t{DAYS[3]}\n")
    assert read_provider(provider)["date"].to_list() == DAYS[2:4]
    read = read_provider(provider, instruments=["600000.sh", "aapl"])
    assert read.group_by("instrument").len().sort("instrument").rows() == [
        ("AAPL", 11),
        ("SH600000", 1),
    ]


def test_limits_are_included_and_may_lie_off_the_calendar(provider, bars) -> None:
    read = read_provider(provider, first=DAYS[3], last=DAYS[6])
    assert as_bits(read) == as_bits(bars.filter(pl.col("date").is_between(DAYS[3], DAYS[6])))
    wide = read_provider(provider, first=date(1990, 1, 1), last=date(2050, 1, 1))
    assert as_bits(wide) == as_bits(bars)
    with pytest.raises(ConversionError, match="has no row of those asked for"):
        read_provider(provider, first=date(2050, 1, 1))


def test_universes_are_every_list_but_all(provider) -> None:
    found = universes(provider)
    assert {name: spans.rows() for name, spans in found.items()} == {
        "core": [("AAPL", DAYS[0], DAYS[1]), ("AAPL", DAYS[6], date(2099, 1, 1))]
    }


def test_words_for_missing_and_devices_are_codes_like_any_other(tmp_path) -> None:
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "day.txt").write_text("2020-01-02\n2020-01-03\n")
    (tmp_path / "instruments").mkdir()
    codes = {"NA": "na", "NULL": "null", "con": "_qlib_con", "LPT1": "_qlib_lpt1", "nan": "nan"}
    listed = "".join(f"{code}\t2020-01-02\t2020-01-03\n" for code in codes)
    (tmp_path / "instruments" / "all.txt").write_text(listed)
    for number, folder in enumerate(codes.values()):
        for field in ("open", "high", "low", "close", "volume"):
            put(tmp_path / "features" / folder / f"{field}.day.bin", 1, number)
    read = read_provider(tmp_path)
    assert read.columns == ["instrument", "date", "open", "high", "low", "close", "volume"]
    assert read.select("instrument", "close").rows() == [
        ("CON_", 2.0),
        ("LPT1_", 3.0),
        ("NAN_", 4.0),
        ("NA_", 0.0),
        ("NULL_", 1.0),
    ]
    assert read["date"].unique().to_list() == [date(2020, 1, 3)]


def test_further_fields_are_columns_where_asked_for(provider) -> None:
    put(provider / "features" / "aapl" / "pe_ttm.day.bin", 2, 7.5, float("nan"), 8)
    read = read_provider(provider, instruments=["AAPL"], fields=["PE_TTM"])
    assert read.columns[-1] == "PE_TTM"
    values = dict(read.select("date", "PE_TTM").iter_rows())
    assert (values[DAYS[2]], values[DAYS[3]], values[DAYS[5]]) == (7.5, None, None)
    with pytest.raises(ConversionError, match=r"brk\.b/pe_ttm\.day\.bin: there is no field"):
        read_provider(provider, fields=["PE_TTM"])


def test_field_may_begin_and_end_elsewhere_than_the_others(provider, bars) -> None:
    put(provider / "features" / "sh600000" / "vwap.day.bin", 3, 1.5, 2.5)
    read = read_provider(provider, instruments=["SH600000"])
    assert read.select("date", "close", "vwap").rows() == [
        (DAYS[3], None, 1.5),
        (DAYS[4], None, 2.5),
        (DAYS[5], pytest.approx(11.1), None),
    ]


def test_field_without_a_value_is_empty(provider) -> None:
    put(provider / "features" / "sh600000" / "vwap.day.bin", 5)
    assert read_provider(provider, instruments=["SH600000"])["vwap"].to_list() == [None]


def test_optional_field_that_nobody_has_is_no_column(provider) -> None:
    for path in provider.rglob("vwap.day.bin"):
        path.unlink()
    (provider / "features" / "aapl" / "factor.day.bin").unlink()
    read = read_provider(provider)
    assert "vwap" not in read.columns
    assert read.filter(pl.col("instrument") == "AAPL")["factor"].null_count() == 11


def test_exported_files_are_those_of_the_other_writer(bars, provider, tmp_path) -> None:
    export_provider(tmp_path / "ours", bars.sample(fraction=1, shuffle=True, seed=1))
    theirs = [p for p in provider.rglob("*") if p.is_file() and p.name != "core.txt"]
    assert len(theirs) == 2 + 3 * 7
    for path in theirs:
        assert (tmp_path / "ours" / path.relative_to(provider)).read_bytes() == path.read_bytes()


def test_calendar_of_more_days_than_the_bars_is_kept(bars, tmp_path) -> None:
    days = [*DAYS, date(2020, 2, 3), date(2019, 1, 2)]
    export_provider(tmp_path / "out", bars, calendar=days)
    assert as_bits(read_provider(tmp_path / "out")) == as_bits(bars)
    lines = (tmp_path / "out" / "calendars" / "day.txt").read_text().splitlines()
    assert lines == [str(day) for day in sorted(days)]
    assert np.fromfile(tmp_path / "out/features/aapl/open.day.bin", dtype="<f4")[0] == 1


def test_bars_on_days_that_the_calendar_lacks_are_refused(bars, tmp_path) -> None:
    with pytest.raises(ConversionError, match="2 days that are not in the calendar: 2019-12-30"):
        export_provider(tmp_path / "out", bars, calendar=[DAYS[0], *DAYS[3:]])
    assert not (tmp_path / "out").exists()


def test_universes_are_written_for_instruments_that_have_bars(bars, tmp_path) -> None:
    def spans(*codes: str) -> pl.DataFrame:
        return pl.DataFrame({"instrument": codes, "start": DAYS[0], "end": DAYS[5]})

    lists = {"Pool": spans("aapl", "GONE"), "none": spans("GONE"), "all": spans("AAPL")}
    export_provider(tmp_path / "out", bars, universes=lists)
    folder = tmp_path / "out" / "instruments"
    assert sorted(path.name for path in folder.iterdir()) == ["all.txt", "pool.txt"]
    assert (folder / "pool.txt").read_text() == f"AAPL\t{DAYS[0]}\t{DAYS[5]}\n"
    assert len((folder / "all.txt").read_text().splitlines()) == 3


def test_further_numbers_of_bars_are_fields_of_their_own(bars, tmp_path) -> None:
    more = bars.with_columns(amount=pl.col("close") * 2, turn=pl.int_range(pl.len()))
    export_provider(tmp_path / "out", more)
    read = read_provider(tmp_path / "out", fields=["turn"])
    assert read.columns == [*bars.columns[:-1], "amount", "factor", "turn"]
    assert as_bits(read) == as_bits(more.select(read.columns))


@pytest.mark.parametrize(
    ("name", "found"), [("A/B", "has column 'A/B'"), ("Close", "columns 'close' and 'Close'")]
)
def test_column_that_cannot_name_a_file_is_refused(bars, tmp_path, name: str, found: str) -> None:
    with pytest.raises(ConversionError, match=found):
        export_provider(tmp_path / "out", bars.with_columns(pl.lit(1.0).alias(name)))
    assert list(tmp_path.iterdir()) == []


def test_factors_beside_bars_are_all_the_other_fields(provider) -> None:
    for folder in ("aapl", "brk.b", "sh600000"):
        put(provider / "features" / folder / "kmid.day.bin", 3, 0.25)
    read = read_fields(provider)
    assert read.columns == ["instrument", "date", "kmid"]
    assert read.schema["kmid"] == pl.Float32
    assert read.drop_nulls().rows() == [("AAPL", DAYS[3], 0.25), ("BRK.B", DAYS[3], 0.25)]


def test_provider_of_bars_alone_has_no_factors(provider) -> None:
    with pytest.raises(ConversionError, match="no field but those of bars; read it as bars"):
        read_fields(provider)


def test_lists_of_factors_have_a_span_per_run_of_days(tmp_path) -> None:
    factors = pl.DataFrame(
        {"instrument": ["A"] * 4 + ["B"] * 2, "date": [*DAYS[:2], *DAYS[3:5], *DAYS[3:5]]}
    ).with_columns(KMID=pl.lit(None, pl.Float32))
    export_fields(tmp_path / "out", factors, calendar=DAYS)
    assert (tmp_path / "out" / "instruments" / "all.txt").read_text().split("\n") == [
        f"A\t{DAYS[0]}\t{DAYS[1]}",
        f"A\t{DAYS[3]}\t{DAYS[4]}",
        f"B\t{DAYS[3]}\t{DAYS[4]}",
        "",
    ]
    assert read_fields(tmp_path / "out").equals(factors)
