"""CSV both ways, checked with pandas, Python's own float() and the steps of Qlib's dump_bin.py."""

import csv
import struct
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.bin_writer import export_provider
from qlops_assets.lake.conversions.csv_reader import read_csv
from qlops_assets.lake.conversions.csv_writer import write_csv_file, write_csv_folder
from qlops_assets_tests.support.conversion_frames import (
    CODES,
    DAYS,
    NUMBERS,
    as_bits,
    expected_of,
    float32s,
    frame_of,
)

HEAD = "date,open,high,low,close,volume"


def bars_of(*codes: str) -> pl.DataFrame:
    rows = [
        (code, day, 10.1 + n, 11 + n / 3, 9.7, 10.3, 1234567.0 * n, None, 0.1)
        for code in codes
        for n, day in enumerate(DAYS, start=1)
        if n != 5
    ]
    return frame_of([*rows, (codes[0], DAYS[4], None, None, None, None, 0.0, None, 0.1)])


def put(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_folder_has_a_file_per_instrument_in_the_shape_of_dump_bin(tmp_path) -> None:
    write_csv_folder(tmp_path / "out", bars_of("sh.600002", "NA", "BRK.B"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["BRK.B.csv", "NA_.csv", "SH600002.csv"]
    lines = (tmp_path / "out" / "SH600002.csv").read_text().splitlines()
    assert lines[0] == "date,open,high,low,close,volume,vwap,factor"
    assert lines[1] == "2019-12-27,11.1,11.333333,9.7,10.3,1234567.0,,0.1"
    assert lines[5] == "2020-01-02,,,,,0.0,,0.1"


def test_one_file_has_a_column_of_codes(tmp_path) -> None:
    write_csv_file(tmp_path / "bars.csv", bars_of("AAPL", "000001"))
    lines = (tmp_path / "bars.csv").read_text().splitlines()
    assert lines[0] == "symbol,date,open,high,low,close,volume,vwap,factor"
    assert lines[1].startswith("000001,2019-12-27,")
    assert len(lines) == 1 + 12 + 11


def test_files_are_what_pandas_reads_and_pandas_files_are_read(tmp_path) -> None:
    bars = bars_of("AAPL", "600001.SH")
    write_csv_folder(tmp_path / "ours", bars)
    for path in (tmp_path / "ours").iterdir():
        own = pd.read_csv(path, parse_dates=["date"], dtype=dict.fromkeys(NUMBERS, np.float32))
        expected = {k: v for k, v in expected_of(bars).items() if k[0] == path.stem}
        assert {
            (path.stem, row[0].date()): bits(row[1:]) for row in own.itertuples(index=False)
        } == (expected)
    bars.to_pandas().to_csv(tmp_path / "theirs.csv", index=False)
    assert as_bits(read_csv(tmp_path / "theirs.csv")) == expected_of(bars)


def bits(numbers) -> tuple[int | None, ...]:
    return tuple(None if np.isnan(n) else int(np.float32(n).view(np.uint32)) for n in numbers)


@settings(max_examples=50, deadline=None)
@given(numbers=st.lists(float32s, min_size=1, max_size=200))
def test_text_of_a_number_is_short_and_exact(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    path = tmp_path_factory.mktemp("text") / "one.csv"
    day = date(2020, 1, 1).toordinal()
    rows = [("A", date.fromordinal(day + n), *[one] * 7) for n, one in enumerate(numbers)]
    write_csv_file(path, frame_of(rows))
    with path.open() as file:
        texts = [row["close"] for row in csv.DictReader(file)]
    assert [bits([float(text)]) for text in texts] == [bits([number]) for number in numbers]
    for text in texts:
        mantissa = text.partition("e")[0].replace(".", "").lstrip("-0").rstrip("0")
        assert len(mantissa) <= 9  # nine digits tell any two float32 apart (IEEE 754, 5.12.2)


def dump_bin(folder: Path, out: Path) -> None:
    """Qlib's ``scripts/dump_bin.py dump_all``, step by step as its source has them."""
    frames = {path.stem.lower(): pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}
    days = sorted({pd.Timestamp(day) for frame in frames.values() for day in frame["date"]})
    for code, frame in frames.items():
        own = frame.set_index(pd.to_datetime(frame.pop("date")))
        span = [day for day in days if own.index.min() <= day <= own.index.max()]
        for field, values in own.reindex(span).items():
            home = out / "features" / code
            home.mkdir(parents=True, exist_ok=True)
            content = struct.pack(f"<{len(span) + 1}f", days.index(span[0]), *values)
            (home / f"{field}.day.bin").write_bytes(content)


def test_files_become_our_provider_by_the_steps_of_dump_bin(tmp_path) -> None:
    bars = bars_of("AAPL", "600001.SH").filter(
        ~((pl.col("instrument") == "AAPL") & (pl.col("date") < DAYS[3]))
    )
    write_csv_folder(tmp_path / "csv", bars)
    dump_bin(tmp_path / "csv", tmp_path / "theirs")
    export_provider(tmp_path / "ours", bars)
    files = sorted(p.relative_to(tmp_path / "theirs") for p in (tmp_path / "theirs").rglob("*.bin"))
    assert len(files) == 2 * 7
    for name in files:
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


@pytest.mark.parametrize(
    "day",
    [
        "2020-01-02",
        "20200102",
        "2020/01/02",
        "2020/1/2",
        "2020-01-02 00:00:00",
        "2020-01-02T15:00",
        "2020-01-02 00:00:00+08:00",
        "2020-01-02T00:00:00Z",
        " 2020-01-02 ",
    ],
)
def test_usual_forms_of_a_date_are_the_same_day(tmp_path, day: str) -> None:
    path = put(tmp_path, "SH600000.csv", HEAD, f"{day},1,2,0.5,1.5,100", "2020-01-03,1,2,1,1,1")
    assert read_csv(path)["date"].to_list() == [date(2020, 1, 2), date(2020, 1, 3)]


@pytest.mark.parametrize("day", ["01/02/2020", "2020-13-01", "2020", "2020-W01-1", "yesterday"])
def test_date_that_is_none_is_refused(tmp_path, day: str) -> None:
    path = put(tmp_path, "A.csv", HEAD, f"{day},1,2,0.5,1.5,100")
    with pytest.raises(ConversionError, match="is no day"):
        read_csv(path)


def test_utc_time_that_is_not_midnight_needs_its_zone(tmp_path) -> None:
    path = put(tmp_path, "A.csv", HEAD, "2020-01-01T16:00:00Z,1,2,0.5,1.5,100")
    with pytest.raises(ConversionError, match="ambiguous"):
        read_csv(path)
    assert read_csv(path, timezone="Asia/Shanghai")["date"].to_list() == [date(2020, 1, 2)]
    with pytest.raises(ConversionError, match="unknown time zone 'Mars'"):
        read_csv(path, timezone="Mars")


@pytest.mark.parametrize(
    "header",
    [
        "date,open,high,low,close,volume",
        "Date,Open,High,Low,Close,Volume",
        "trade_date,open_price,high_price,low_price,close_price,vol",
        "datetime,$open,$high,$low,$close,$volume",
        '"date","open","high","low","close","volume"',
        "\ufeffdate,open,high,low,close,volume",
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path, header: str) -> None:
    path = put(tmp_path, "600000.SH.csv", header, "2020-01-02,1,2,0.5,1.5,100")
    assert read_csv(path).rows() == [("SH600000", date(2020, 1, 2), 1, 2, 0.5, 1.5, 100)]


def test_columns_that_bars_do_not_have_are_passed_over(tmp_path) -> None:
    path = put(tmp_path, "A.csv", f",{HEAD},name", "0,2020-01-02,1,2,0.5,1.5,100,Ping An")
    assert read_csv(path).columns == ["instrument", *HEAD.split(",")]


@pytest.mark.parametrize("given_code", CODES)
def test_codes_in_a_column_keep_zeros_and_words(tmp_path, given_code: str) -> None:
    quoted = given_code.replace('"', '""')
    path = put(tmp_path, "bars.csv", f"symbol,{HEAD}", f'"{quoted}",2020-01-02,1,2,0.5,1.5,100')
    assert read_csv(path)["instrument"].to_list() == [CODES[given_code]]


@pytest.mark.parametrize(
    ("name", "code"), [("_qlib_con.csv", "CON_"), ("brk.b.csv", "BRK.B"), ("NA.csv", "NA_")]
)
def test_file_is_named_after_its_instrument(tmp_path, name: str, code: str) -> None:
    put(tmp_path, name, HEAD, "2020-01-02,1,2,0.5,1.5,100")
    assert read_csv(tmp_path)["instrument"].to_list() == [code]


@pytest.mark.parametrize("cell", ["", "NaN", "nan", "NULL", "None", "NA", "-", " "])
def test_word_for_missing_is_null(tmp_path, cell: str) -> None:
    path = put(tmp_path, "A.csv", HEAD, f"2020-01-02,{cell},2,0.5,1.5,100")
    assert read_csv(path)["open"].to_list() == [None]


def test_blank_lines_and_windows_ends_of_line_mean_nothing(tmp_path) -> None:
    path = tmp_path / "A.csv"
    path.write_bytes(f"{HEAD}\r\n2020-01-02,1,2,0.5,1.5,100\r\n\r\n2020-01-03,1,2,1,1,1".encode())
    assert read_csv(path).height == 2


def test_files_of_years_may_share_instruments(tmp_path) -> None:
    for year in (2019, 2020):
        rows = [f"{code},{year}-01-02,1,2,0.5,1.5,100" for code in ("A", "B")]
        put(tmp_path, f"{year}.csv", f"symbol,{HEAD}", *rows)
    assert read_csv(tmp_path).select("instrument", "date").rows() == [
        (code, date(year, 1, 2)) for code in "AB" for year in (2019, 2020)
    ]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["sh600000.csv", "600000.SH.csv"], "'600000.SH' and 'sh600000', which both mean SH600000"),
        (["brka.csv", "BRKA.csv"], "'BRKA' and 'brka', which both mean BRKA"),
    ],
)
def test_two_files_of_one_instrument_are_refused(tmp_path, names: list[str], found: str) -> None:
    for name in names:
        put(tmp_path, name, HEAD, "2020-01-02,1,2,0.5,1.5,100")
    with pytest.raises(ConversionError, match=found):
        read_csv(tmp_path)


def test_instrument_of_its_own_file_in_another_file_is_refused(tmp_path) -> None:
    put(tmp_path, "A.csv", HEAD, "2020-01-02,1,2,0.5,1.5,100")
    row = "2020-01-03,1,2,0.5,1.5,100"
    put(tmp_path, "all.csv", f"symbol,{HEAD}", f"A,{row}", f"B,{row}")
    with pytest.raises(ConversionError, match=r"A\.csv and all\.csv both hold A"):
        read_csv(tmp_path)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([HEAD], "has no row"),
        ([], "has no header"),
        (["open,high,low,close,volume", "1,1,1,1,1"], "has no column 'date'. Found: open, high"),
        (["date,open,high,low,close", "2020-01-02,1,1,1,1"], "has no column 'volume'"),
        ([f"{HEAD},open", "2020-01-02,1,1,1,1,1,1"], "has 'open' more than once"),
        (
            ["datetime,time,open,high,low,close,volume", "2020-01-02,1,1,1,1,1,1"],
            "has both 'datetime' and 'time' for date; name one of them 'date'",
        ),
        ([HEAD, "2020-01-02,1,1,1,1,1", "2020-01-03,1,1,x1,1,1"], "line 3: low is 'x1'"),
        ([HEAD, "2020-01-02,1,1,1,1,1", ",1,1,1,1,1"], "line 3 has no date"),
        ([HEAD, "2020-01-02,1,1,1,1,1", "2020-01-03,1,1,1"], "line 3 has 4 cells, the header 6"),
        ([HEAD, "2020-01-02,1,1,1,1,1,7"], "line 2 has 7 cells, the header 6"),
        ([HEAD, '2020-01-02,1,1,1,1,"1'], "is not readable CSV"),
        ([f"symbol,{HEAD}", ",2020-01-02,1,1,1,1,1"], "line 2 has no instrument"),
        ([f"symbol,{HEAD}", "A/B,2020-01-02,1,1,1,1,1"], "cannot name a file"),
        (
            [HEAD, "2020-01-02 09:31,1,1,1,1,1", "2020-01-02 09:32,1,1,1,1,1"],
            "more than one row of A on 2020-01-02",
        ),
    ],
)
def test_file_that_cannot_be_used_is_named_with_its_place(tmp_path, lines, found: str) -> None:
    path = put(tmp_path, "A.csv", *lines)
    with pytest.raises(ConversionError) as caught:
        read_csv(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert found in str(caught.value)


def test_file_in_another_encoding_is_refused(tmp_path) -> None:
    (tmp_path / "A.csv").write_bytes("date,开盘\n".encode("gbk"))
    with pytest.raises(ConversionError, match="cannot be read as text"):
        read_csv(tmp_path)


def test_folder_without_files_is_refused(tmp_path) -> None:
    (tmp_path / "._A.csv").write_bytes(b"\x00\x05\x16\x07")  # as macOS leaves on shared folders
    with pytest.raises(ConversionError, match="holds no CSV file"):
        read_csv(tmp_path)


def test_factor_files_must_have_the_same_factors(tmp_path) -> None:
    put(tmp_path, "A.csv", "date,KMID,KLEN", "2020-01-02,1,2")
    put(tmp_path, "B.csv", "date,KMID", "2020-01-02,1")
    with pytest.raises(ConversionError, match=r"B\.csv and A\.csv differ in columns: KLEN"):
        read_csv(tmp_path, is_bars=False)
    (tmp_path / "B.csv").unlink()
    assert read_csv(tmp_path, is_bars=False).columns == ["instrument", "date", "KMID", "KLEN"]
