"""CSV files as the source: the same bars as from Parquet, and a place for everything wrong."""

import gzip
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from qlops_assets.core.settings import Settings
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import changed_months, month_versions
from qlops_assets.lake.scan import scan
from qlops_assets.lake.versions.restore import restore
from qlops_assets_tests.support.monthly_files import reason, usable


def built(settings: Settings) -> pl.DataFrame:
    build_bars(settings, list(month_versions(scan(settings))))
    return bars_dataset(settings).read()


def text_of(frame: pl.DataFrame) -> str:
    return frame.write_csv()


def test_bars_of_csv_files_are_those_of_parquet_files(make_source, make_bars) -> None:
    parquet, csv = make_source("parquet"), make_source("csv")
    for year, part in enumerate((make_bars(days=40), make_bars(["SZ300001"], days=9)), 2020):
        parquet.write(f"{year}.parquet", part)
        csv.text(f"{year}.csv", text_of(part))
    assert_frame_equal(built(csv.settings), built(parquet.settings), check_exact=True)
    versions = month_versions(scan(csv.settings))
    assert versions == month_versions(scan(parquet.settings))  # what is said is the same


def test_file_per_instrument_takes_its_code_from_its_name(make_source, make_bars) -> None:
    source = make_source(columns={"instrument": "@filename"})
    for code in ("000001.SZ", "600000.SH"):
        bars = make_bars([code], days=12).drop("instrument")
        source.text(f"{code}.csv", text_of(bars))
    assert built(source.settings)["instrument"].unique().sort().to_list() == [
        "SH600000", "SZ000001",
    ]  # fmt: skip


def test_codes_of_digits_keep_their_zeros(source, make_bars) -> None:
    source.text("2020.csv", text_of(make_bars(["000001"], days=12)))
    assert built(source.settings)["instrument"].unique().to_list() == ["000001"]


@pytest.mark.parametrize("name", ["2020.csv.gz", "2020.CSV"])
def test_compressed_or_differently_named_files_are_read(source, make_bars, name: str) -> None:
    content = b"\xef\xbb\xbf" + text_of(make_bars(days=12)).encode()
    path = source.folder / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    manifest = scan(source.settings)
    assert usable(manifest) == [name]
    restore(source.settings, 1, source.folder.parent / "then")
    assert (source.folder.parent / "then" / name).read_bytes() == path.read_bytes()


def test_folders_of_key_and_value_give_columns(source, make_bars) -> None:
    for code in ("SH600000", "SZ000001"):
        bars = make_bars([code], days=12).drop("instrument")
        source.text(f"instrument={code}/bars.csv", text_of(bars))
    assert built(source.settings)["instrument"].n_unique() == 2


def test_empty_cells_and_words_for_nothing_are_missing(source, make_bars) -> None:
    bars = make_bars(["SH600000"], days=4).cast(pl.String)
    halted = bars.with_columns(
        *(pl.lit(word).alias(name) for name, word in zip(
            ("open", "high", "low", "close", "volume"), ("", "NaN", "null", "-", ""), strict=True
        ))
    ).head(1)  # fmt: skip
    source.text("2020.csv", text_of(pl.concat([halted, bars.tail(3)])))
    first = built(source.settings).row(0, named=True)
    assert (first["close"], first["volume"]) == (None, 0.0)


def test_parquet_files_are_taken_before_csv_files_beside_them(source, make_bars) -> None:
    source.write("2020.parquet", make_bars(days=12))
    source.text("factor_repairs.csv", "a,b\n1,2\n")
    assert usable(scan(source.settings)) == ["2020.parquet"]


def test_single_file_of_bars_is_taken_alone(source, make_bars) -> None:
    source.text("bars.csv", text_of(make_bars(days=12)))
    source.text("notes.csv", "a\n1\n")
    assert usable(scan(source.settings)) == ["bars.csv"]


def test_rewritten_csv_of_the_same_rows_changes_no_month(source, make_bars) -> None:
    bars = make_bars(days=30)
    source.text("2020.csv", text_of(bars))
    first = scan(source.settings)
    source.text("2020.csv", text_of(bars.reverse().select(sorted(bars.columns))))
    second = scan(source.settings)
    assert second.digest != first.digest
    assert changed_months(first, second) == set()


def cut(text: str) -> str:
    return text[: text.rindex(",")]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda text: text.replace("close", "last"), "has no column 'close'; did you mean 'last'"),
        (lambda text: text.replace("SH600000", "", 1), "column 'instrument' has no value in 1 row"),
        (lambda text: text.replace("2020-01-03", "3 Jan", 1), "'3 Jan', which is no date"),
        (cut, "line 13 has 7 cells, the header 8"),
        (lambda text: text.splitlines()[0], "has no rows"),
        (lambda text: "open,open\n1,2\n", "has 'open' more than once"),
        (lambda text: text.replace("SH600000", "SH\x00/..", 1), "cannot name a file"),
        (lambda text: "\x00\x01", "has no column 'instrument'"),
    ],
)
def test_csv_that_cannot_be_used_is_quarantined_with_the_reason(
    source, make_bars, spoil: Callable[[str], str], found: str
) -> None:
    source.text("a.csv", text_of(make_bars(["SZ000001"], days=12)))
    source.text("b.csv", spoil(text_of(make_bars(["SH600000"], days=12)).rstrip()))
    manifest = scan(source.settings)
    assert usable(manifest) == ["a.csv"]
    assert found in reason(manifest, "b.csv")


def test_cell_that_is_no_number_is_named_by_its_line(source, make_bars) -> None:
    source.text("a.csv", text_of(make_bars(["SZ000001"], days=12)))
    bars = make_bars(["SH600000"], days=12).cast(pl.String)
    wrong = pl.when(pl.int_range(pl.len()) == 4).then(pl.lit("12,x")).otherwise(pl.col("low"))
    source.text("b.csv", text_of(bars.with_columns(low=wrong)))
    assert "line 6: low is '12,x'" in reason(scan(source.settings), "b.csv")


def test_bytes_that_are_no_text_are_quarantined(source, make_bars) -> None:
    source.text("a.csv", text_of(make_bars(["SZ000001"], days=12)))
    for name, content in (("b.csv", b"\xff\xfe\x00"), ("c.csv.gz", b"\x1f\x8b\x08 cut")):
        (source.folder / name).write_bytes(content)
    manifest = scan(source.settings)
    assert "is not a readable CSV file (cannot be read as text" in reason(manifest, "b.csv")
    assert "is not a readable CSV file" in reason(manifest, "c.csv.gz")
