import decimal
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qlops_assets.core.errors import SettingsError, UnusableFileError
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.intake.rows import FILE_NAME, NUMBERS, Reading, read_rows

PLAIN = Reading({}, None, adjusted=False)
FRAME = pl.DataFrame(
    {
        "instrument": ["600000.SH", "sz000001"],
        "date": [date(2020, 1, 2), date(2020, 1, 2)],
        "open": [10.0, 20.0],
        "high": [11.0, 21.0],
        "low": [9.0, 19.0],
        "close": [10.5, 20.5],
        "volume": [100, 200],
    }
)


def read(
    path: Path, frame: pl.DataFrame, reading: Reading = PLAIN, **constants: str
) -> pl.DataFrame:
    frame.write_parquet(path)
    return read_rows(path, name="part/SH600000.parquet", constants=constants, reading=reading).frame


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "f.parquet"


def mapped(**columns: str) -> Reading:
    return Reading(columns, None, adjusted=False)


def test_rows_are_canonical_typed_and_sorted(path: Path) -> None:
    rows = read(path, FRAME.reverse())
    assert rows.schema == {
        "instrument": pl.String, "date": pl.Date, **dict.fromkeys(NUMBERS, pl.Float64),
    }  # fmt: skip
    assert rows["instrument"].to_list() == ["SH600000", "SZ000001"]
    assert rows["volume"].to_list() == [100.0, 200.0]


def test_absent_optional_columns_are_null_and_the_factor_is_one(path: Path) -> None:
    rows = read(path, FRAME)
    assert rows["factor"].to_list() == [1.0, 1.0]
    assert rows["vwap"].null_count() == rows["amount"].null_count() == 2


def test_missing_volume_is_a_halt_and_nan_is_null(path: Path) -> None:
    rows = read(
        path, FRAME.with_columns(volume=pl.Series([None, float("nan")]), open=pl.lit(float("nan")))
    )
    assert rows["volume"].to_list() == [0.0, 0.0]
    assert rows["open"].null_count() == 2


@pytest.mark.parametrize("kind", [pa.float32(), pa.int32(), pa.uint8(), pa.decimal128(10, 2)])
def test_every_kind_of_number_is_read(path: Path, kind: pa.DataType) -> None:
    value = decimal.Decimal("12.00") if pa.types.is_decimal(kind) else 12
    table = FRAME.to_arrow().set_column(5, "close", pa.array([value, value], kind))
    pq.write_table(table, path)
    rows = read_rows(path, name="f.parquet", constants={}, reading=PLAIN).frame
    assert rows["close"].to_list() == [12.0, 12.0]


def test_dictionary_encoded_codes_are_read(path: Path) -> None:
    rows = read(path, FRAME.with_columns(pl.col("instrument").cast(pl.Categorical)))
    assert rows["instrument"].to_list() == ["SH600000", "SZ000001"]


def test_mapped_columns_are_read(path: Path) -> None:
    given = FRAME.rename({"instrument": "ts_code", "volume": "vol"})
    rows = read(path, given, mapped(instrument="ts_code", volume="vol"))
    assert rows["volume"].to_list() == [100.0, 200.0]


def test_columns_may_come_from_the_path(path: Path) -> None:
    rows = read(
        path, FRAME.drop("instrument", "date").head(1), instrument="000001.SZ", date="2020-03-04"
    )
    assert rows.select("instrument", "date").rows() == [("SZ000001", date(2020, 3, 4))]


def test_column_of_the_file_goes_before_that_of_the_path(path: Path) -> None:
    assert read(path, FRAME.head(1), instrument="other")["instrument"].to_list() == ["SH600000"]


def test_instrument_may_be_the_name_of_the_file(path: Path) -> None:
    rows = read(path, FRAME.drop("instrument").head(1), mapped(instrument=FILE_NAME))
    assert rows["instrument"].to_list() == ["SH600000"]


@pytest.mark.parametrize(
    ("frame", "reading", "words"),
    [
        (FRAME.drop("close"), PLAIN, ["no column 'close'", "Found: instrument, date, open"]),
        (FRAME.rename({"close": "Close"}), PLAIN, ["did you mean 'Close'?", 'close = "Close"']),
        (FRAME.rename({"date": "trade_date"}), PLAIN, ['date = "trade_date"', "[source.columns]"]),
        (FRAME.rename({"volume": "vol"}), PLAIN, ["did you mean 'vol'?"]),
        (FRAME.rename({"low": "lows"}), PLAIN, ["did you mean 'lows'?"]),
        (FRAME.drop("instrument"), PLAIN, ["no column 'instrument'", FILE_NAME]),
        (
            FRAME,
            mapped(close="px"),
            ["no column 'px' (mapped to 'close')", "did you mean 'close'?"],
        ),
        (FRAME, mapped(factor="adj"), ["no column 'adj' (mapped to 'factor')"]),
        (
            FRAME.with_columns(close=pl.Series(["10.5", "x"])),
            PLAIN,
            ["'close' is", "string", "'10.5'"],
        ),
        (FRAME.with_columns(close=pl.Series([True, False])), PLAIN, ["'close' is bool"]),
        (FRAME.with_columns(close=pl.Series([[1.0], [2.0]])), PLAIN, ["'close' is", "list"]),
        (FRAME.with_columns(close=pl.lit(None)), PLAIN, ["'close' is empty"]),
        (FRAME.with_columns(instrument=pl.Series([1, 600000])), PLAIN, ["int64", "leading zeros"]),
        (FRAME.with_columns(instrument=pl.Series(["A/B", "C"])), PLAIN, ["'A/B'", "slash"]),
        (
            FRAME.with_columns(instrument=pl.Series(["A", " "])),
            PLAIN,
            ["no value in 1 rows, first row 1"],
        ),
        (
            FRAME.with_columns(instrument=pl.Series([None, "A"])),
            PLAIN,
            ["'instrument'", "first row 0"],
        ),
        (
            FRAME.with_columns(date=pl.Series([date(2020, 1, 1), None])),
            PLAIN,
            ["'date' has no value in 1 rows, first row 1"],
        ),
        (FRAME.with_columns(date=pl.Series(["1.2.2020", "x"])), PLAIN, ["'date' holds '1.2.2020'"]),
        (FRAME.clear(), PLAIN, ["has no rows"]),
        (
            FRAME.with_columns(volume=pl.lit(None, pl.Float64), instrument=pl.lit("A")),
            PLAIN,
            ["'volume' is empty while prices move"],
        ),
    ],
)
def test_unusable_file_says_what_was_found_and_what_helps(
    path: Path, frame: pl.DataFrame, reading: Reading, words: list[str]
) -> None:
    with pytest.raises(UnusableFileError) as raised:
        read(path, frame, reading)
    assert raised.value.where == "part/SH600000.parquet"
    for word in words:
        assert word in str(raised.value)


def test_column_twice_is_refused(path: Path) -> None:
    table = FRAME.to_arrow()
    pq.write_table(table.append_column("close", table.column("open")), path)
    with pytest.raises(UnusableFileError, match="'close' more than once"):
        read_rows(path, name="f.parquet", constants={}, reading=PLAIN)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"instrument,date\n", b"PAR1" + b"\0" * 99 + b"PAR1"]
)
def test_file_that_is_not_parquet_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UnusableFileError, match="not a readable Parquet file"):
        read_rows(path, name="f.parquet", constants={}, reading=PLAIN)


def test_file_cut_at_any_point_is_refused(path: Path) -> None:
    FRAME.write_parquet(path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(UnusableFileError, match="not a readable Parquet file"):
            read_rows(path, name="f.parquet", constants={}, reading=PLAIN)


def test_mapping_of_an_unknown_column_names_the_nearest() -> None:
    settings = Settings(source=SourceSettings(columns={"volum": "vol"}))
    with pytest.raises(SettingsError, match="unknown column 'volum'; did you mean 'volume'"):
        Reading.of(settings)


def test_reading_digest_differs_with_columns_zone_and_adjustment() -> None:
    readings = [
        PLAIN,
        mapped(close="c"),
        Reading({}, "Asia/Shanghai", adjusted=False),
        Reading({}, None, adjusted=True),
        Reading({}, None, adjusted=False, layout="hive"),
    ]
    assert len({reading.digest for reading in readings}) == 5
