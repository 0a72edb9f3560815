from datetime import date

import polars as pl

from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.scan import scan
from qlops_assets_tests.support.monthly_files import month_bars, reason, usable

JANUARY = "2020-01"


def zoned(frame: pl.DataFrame, zone: str) -> pl.DataFrame:
    return frame.with_columns(pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone(zone))


def test_files_in_another_time_zone_than_most_are_quarantined(source, make_bars) -> None:
    for month in (1, 2):
        source.write(f"{month}.parquet", zoned(month_bars(make_bars, month), "Asia/Shanghai"))
    source.write("3.parquet", zoned(month_bars(make_bars, 3), "America/New_York"))
    source.write("4.parquet", month_bars(make_bars, 4))
    manifest = scan(source.settings)
    assert usable(manifest) == ["1.parquet", "2.parquet"]
    assert "are America/New_York, those of 2 files are Asia/Shanghai" in reason(
        manifest, "3.parquet"
    )
    assert "are plain dates" in reason(manifest, "4.parquet")
    assert scan(source.settings) == manifest


def test_with_a_time_zone_in_the_settings_all_files_are_used(source, make_bars) -> None:
    source.write("1.parquet", zoned(month_bars(make_bars, 1), "Asia/Shanghai"))
    source.write("2.parquet", zoned(month_bars(make_bars, 2), "Asia/Shanghai").with_columns(
        pl.col("date").dt.convert_time_zone("UTC")
    ))  # fmt: skip
    manifest = scan(source.with_source(timezone="Asia/Shanghai").settings)
    assert [f.first_date for f in manifest.files] == [date(2020, 1, 3), date(2020, 2, 3)]


def test_files_that_were_there_first_say_which_zone_is_right(source, make_bars) -> None:
    source.write("1.parquet", month_bars(make_bars, 1))
    scan(source.settings)
    for month in (2, 3, 4):
        source.write(f"{month}.parquet", zoned(month_bars(make_bars, month), "Asia/Shanghai"))
    assert usable(scan(source.settings)) == ["1.parquet"]


def test_identical_rows_in_two_files_are_no_contradiction(two) -> None:
    two.write("again.parquet", pl.read_parquet(two.folder / "2020-01.parquet"))
    manifest = scan(two.settings)
    assert len(usable(manifest)) == 3
    report = build_bars(two.settings, [JANUARY])[JANUARY]
    assert (report.rows, report.duplicates, report.set_aside) == (45, 45, 0)


def contradicting(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    changed = (
        pl.when(pl.int_range(pl.len()) < rows).then(pl.col("close") + 1).otherwise(pl.col("close"))
    )
    return frame.with_columns(close=changed)


def test_file_that_contradicts_an_earlier_one_is_quarantined(two, set_age) -> None:
    scan(two.settings)
    january = pl.read_parquet(two.folder / "2020-01.parquet")
    path = two.write("0-restated.parquet", contradicting(january, 3))
    set_age(path, 1e6)  # older than the file that was accepted first
    manifest = scan(two.settings)
    assert usable(manifest) == ["2020-01.parquet", "2020-02.parquet"]
    assert "3 of its rows differ from those of 2020-01.parquet" in reason(
        manifest, "0-restated.parquet"
    )
    assert scan(two.settings) == manifest
    (two.folder / "2020-01.parquet").unlink()
    assert usable(scan(two.settings)) == ["0-restated.parquet", "2020-02.parquet"]


def test_few_contradicting_rows_of_two_files_are_set_aside(source, make_bars) -> None:
    bars = make_bars([f"SH6000{n:02d}" for n in range(10)], days=20)
    source.write("1.parquet", bars)
    source.write("2.parquet", contradicting(bars, 2))
    assert len(usable(scan(source.settings))) == 2
    report = build_bars(source.settings, [JANUARY])[JANUARY]
    aside = pl.read_parquet(source.settings.lake / "quarantine" / f"{JANUARY}.parquet")
    assert report.set_aside == aside.height == 4
    assert set(aside["file"]) == {"1.parquet", "2.parquet"}
    assert set(aside["reason"]) == {"two rows that differ"}


def test_lost_cache_of_spans_is_found_out_again(two) -> None:
    scan(two.settings)
    (two.settings.lake / "raw_bars" / "spans.parquet").write_bytes(b"garbage")
    january = pl.read_parquet(two.folder / "2020-01.parquet")
    two.write("restated.parquet", contradicting(january, 9))
    assert [q.path for q in scan(two.settings).quarantined] == ["restated.parquet"]
