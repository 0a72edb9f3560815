import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.columns import BARS
from qlops_assets.core.errors import DatasetMissingError
from qlops_assets.lake import bars as bars_module
from qlops_assets.lake.bars import MonthReport, bars_code, build_bars, cleaned, stale_months
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.intake.rows import NUMBERS
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.scan import scan

SCHEMA = {"instrument": pl.String, "date": pl.Date, **dict.fromkeys(NUMBERS, pl.Float64)}
prices = st.floats(1.0, 100.0)
raw_row = st.fixed_dictionaries(
    {
        "open": prices,
        "high": prices,
        "low": prices,
        "close": prices,
        "volume": st.sampled_from([0.0, 1.0, 250.0, 1e9]),
        "vwap": st.sampled_from([None, None, 10.0, 0.0, -1.0, math.inf]),
        "amount": st.sampled_from([None, 0.0, 5000.0, 2.5e10]),
        "factor": st.sampled_from([1.0, 0.5, 3.25]),
    }
)


def expected_bar(row: dict, *, adjusted: bool) -> dict:
    """Clean one row with plain arithmetic: the rules of the bars, written down a second time."""
    if row["volume"] == 0:
        nothing = dict.fromkeys(("open", "high", "low", "close", "vwap"))
        return nothing | {"volume": 0.0, "factor": row["factor"], "vwap_filled": False}
    scale = 1.0 if adjusted else row["factor"]
    bar = {name: row[name] * scale for name in ("open", "high", "low", "close")}
    vwap = None
    if row["vwap"] is not None and 0 < row["vwap"] < math.inf:
        vwap = row["vwap"] * scale
    elif row["amount"] is not None:
        average = row["amount"] / row["volume"]
        if row["low"] * (1 - 0.01) <= average <= row["high"] * (1 + 0.01):
            vwap = average * scale
    mean = (bar["open"] + bar["high"] + bar["low"] + bar["close"]) / 4
    return bar | {
        "volume": row["volume"] / scale,
        "vwap": mean if vwap is None else vwap,
        "factor": row["factor"],
        "vwap_filled": vwap is None,
    }


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(raw_row, min_size=1, max_size=8), adjusted=st.booleans())
def test_cleaned_bars_are_those_of_plain_arithmetic(rows: list[dict], adjusted: bool) -> None:
    keys = [{"instrument": "A", "date": date(2020, 1, n + 1)} for n in range(len(rows))]
    frame = pl.DataFrame([k | r for k, r in zip(keys, rows, strict=True)], schema=SCHEMA)
    found = cleaned(frame, adjusted=adjusted).drop("instrument", "date", "raw_vwap", "amount")
    assert found.to_dicts() == pl.DataFrame(
        [expected_bar(row, adjusted=adjusted) for row in rows], schema=found.schema
    ).to_dicts()  # fmt: skip


def months_of(settings) -> list[str]:
    return list(month_versions(scan(settings)))


def test_bars_are_adjusted_sorted_and_have_the_agreed_columns(source, make_bars) -> None:
    raw = make_bars().sample(fraction=1.0, shuffle=True, seed=3)
    source.write("bars.parquet", raw)
    reports = build_bars(source.settings, months_of(source.settings))
    bars = bars_dataset(source.settings).read()
    assert tuple(bars.columns) == BARS
    raw = raw.sort("instrument", "date")
    traded = raw["volume"] > 0
    assert bars["close"].to_list() == [
        close * factor if is_traded else None
        for close, factor, is_traded in zip(raw["close"], raw["factor"], traded, strict=True)
    ]
    assert bars["volume"].to_list() == (raw["volume"] / raw["factor"]).to_list()
    assert sum(r.rows for r in reports.values()) == raw.height
    assert sum(r.halted for r in reports.values()) == raw.height - traded.sum() > 0


def test_report_counts_what_became_of_the_month(source, make_bars) -> None:
    bars = make_bars([f"SH6000{n:02d}" for n in range(10)], days=22).with_columns(
        vwap=pl.col("close")
    )
    wrong = pl.when(pl.int_range(pl.len()) == 1).then(-5.0).otherwise(pl.col("low"))
    one_missing = pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise("vwap")
    given = pl.concat([bars, bars.head(3)])
    volume = pl.col("volume") + 1
    source.write("2020.parquet", given.with_columns(low=wrong, volume=volume, vwap=one_missing))
    assert months_of(source.settings) == ["2020-01"]
    report = build_bars(source.settings, ["2020-01"])["2020-01"]
    info = bars_dataset(source.settings).info("2020-01")
    # The repeat of the row with the wrong low differs from it, so those two contradict each other.
    assert report == MonthReport("2020-01", 219, 10, 22, info.digest, 0, 2, 2, vwap_filled=True)
    aside = pl.read_parquet(source.settings.lake / "quarantine" / "2020-01.parquet")
    assert aside["file"].to_list() == ["2020.parquet"] * 2
    assert aside["low"].to_list()[0] != aside["low"].to_list()[1]


def test_quarantined_rows_disappear_with_their_cause(source, make_bars) -> None:
    bars = make_bars([f"SH6000{n:02d}" for n in range(10)], days=22)
    negative = pl.when(pl.int_range(pl.len()) == 1).then(-5).otherwise(pl.col("volume"))
    source.write("2020.parquet", bars.with_columns(volume=negative))
    scan(source.settings)
    assert build_bars(source.settings, ["2020-01"])["2020-01"].set_aside == 1
    source.write("2020.parquet", bars)
    scan(source.settings)
    assert build_bars(source.settings, ["2020-01"])["2020-01"].set_aside == 0
    assert not (source.settings.lake / "quarantine" / "2020-01.parquet").exists()


def test_bars_of_an_adjusted_source_keep_their_prices(make_source, make_bars) -> None:
    source = make_source(adjusted=True)
    raw = make_bars(["A"]).with_columns(volume=pl.lit(100))
    source.write("a.parquet", raw)
    build_bars(source.settings, months_of(source.settings))
    bars = bars_dataset(source.settings).read()
    assert bars["close"].to_list() == raw["close"].to_list()
    assert bars["volume"].to_list() == [100.0] * raw.height
    assert bars["factor"].to_list() == raw["factor"].to_list()


def test_build_before_a_scan_says_what_to_do(source) -> None:
    with pytest.raises(DatasetMissingError, match="raw_bars: no data for 2020-01; scan the source"):
        build_bars(source.settings, ["2020-01"])


def test_built_months_are_not_stale_until_their_files_or_the_reading_change(
    source, make_bars
) -> None:
    source.write("2020.parquet", make_bars())
    versions = month_versions(scan(source.settings))
    build_bars(source.settings, list(versions))
    dataset, code = bars_dataset(source.settings), bars_code(source.settings)
    assert dataset.stale(versions, code) == []
    other = replace(source.settings, source=replace(source.settings.source, adjusted=True))
    assert bars_code(other) != code
    source.write("2020.parquet", make_bars(seed=2))
    assert dataset.stale(month_versions(scan(source.settings)), code) == list(versions)


def test_stale_months_are_those_to_build_or_to_remove(source, make_bars) -> None:
    with pytest.raises(DatasetMissingError, match="scan the source first"):
        stale_months(source.settings)
    for month in (1, 2, 3):
        source.write(f"{month}.parquet", make_bars(first=date(2020, month, 3), days=10))
    scan(source.settings)
    assert stale_months(source.settings) == ["2020-01", "2020-02", "2020-03"]
    build_bars(source.settings, stale_months(source.settings))
    assert stale_months(source.settings) == []
    (source.folder / "1.parquet").unlink()
    source.write("3.parquet", make_bars(first=date(2020, 3, 3), days=11))
    scan(source.settings)
    assert stale_months(source.settings) == ["2020-01", "2020-03"]
    build_bars(source.settings, stale_months(source.settings))
    assert stale_months(source.settings) == []


def per_year(source, raw: pl.DataFrame) -> None:
    for (year,), part in raw.group_by(pl.col("date").dt.year()):
        source.write(f"bars/{year}.parquet", part)


def per_instrument(source, raw: pl.DataFrame) -> None:
    for (instrument,), part in raw.group_by("instrument"):
        source.write(f"{instrument}.parquet", part)


def named_by_instrument(source, raw: pl.DataFrame) -> None:
    for (instrument,), part in raw.group_by("instrument"):
        source.write(f"{instrument}.parquet", part.drop("instrument"))


def hive_by_instrument(source, raw: pl.DataFrame) -> None:
    for (instrument,), part in raw.group_by("instrument"):
        source.write(f"instrument={instrument}/part-0.parquet", part.drop("instrument"))


def hive_by_year(source, raw: pl.DataFrame) -> None:
    for (year,), part in raw.group_by(pl.col("date").dt.year()):
        source.write(f"bars/year={year}/part-0.parquet", part)


def hive_by_day(source, raw: pl.DataFrame) -> None:
    for (day,), part in raw.group_by("date"):
        source.write(f"date={day}/0.parquet", part.drop("date"))


def single_file(source, raw: pl.DataFrame) -> None:
    source.write("bars.parquet", raw)


LAYOUTS = [
    per_year,
    per_instrument,
    named_by_instrument,
    hive_by_instrument,
    hive_by_year,
    hive_by_day,
]


@pytest.mark.parametrize("lay", LAYOUTS, ids=lambda lay: lay.__name__)
def test_every_layout_gives_the_same_bars(make_source, make_bars, lay: Callable) -> None:
    raw = make_bars(first=date(2019, 12, 2), days=50)
    digests = []
    for name, write in (("single", single_file), ("other", lay)):
        source = make_source(name)
        write(source, raw)
        if lay is named_by_instrument and write is lay:
            source = source.with_source(columns={"instrument": "@filename"})
        build_bars(source.settings, months_of(source.settings))
        digests.append({m: i.digest for m, i in bars_dataset(source.settings).infos().items()})
    assert list(digests[0]) == ["2019-12", "2020-01", "2020-02"]
    assert digests[1] == digests[0]


def test_months_built_one_by_one_equal_those_built_at_once(
    make_source, make_bars, monkeypatch
) -> None:
    raw = make_bars(days=100)
    digests = []
    for name in ("at_once", "one_by_one"):
        source = make_source(name)
        source.write("2020.parquet", raw)
        if name == "one_by_one":
            monkeypatch.setattr(bars_module, "_ROWS_AT_ONCE", 1)
        reports = build_bars(source.settings, months_of(source.settings))
        digests.append({month: report.digest for month, report in reports.items()})
    assert digests[0] == digests[1]
    assert len(digests[0]) == 5


def test_codes_written_differently_are_one_instrument(source, make_bars) -> None:
    bars = make_bars(["SH600000"], days=40)
    source.write("1.parquet", bars.head(20).with_columns(instrument=pl.lit("600000.SH")))
    source.write("2.parquet", bars.tail(20).with_columns(instrument=pl.lit("sh.600000")))
    build_bars(source.settings, months_of(source.settings))
    assert bars_dataset(source.settings).read()["instrument"].unique().to_list() == ["SH600000"]


@pytest.mark.real_data
def test_real_sample_gives_adjusted_bars_without_losing_a_row(
    shared_data: Path, make_source
) -> None:
    source = make_source(path=shared_data / "sample-cn-60")
    raw = pl.read_parquet(shared_data / "sample-cn-60" / "bars.parquet").sort("instrument", "date")
    reports = build_bars(source.settings, months_of(source.settings))
    bars = bars_dataset(source.settings).read()
    assert len(reports) == 48
    assert bars.select("instrument", "date").equals(raw.select("instrument", "date"))
    expected = raw.select(pl.when(pl.col("volume") > 0).then(pl.col("close") * pl.col("factor")))
    assert bars["close"].equals(expected["close"])
    assert sum(r.halted for r in reports.values()) == (raw["volume"] == 0).sum()
    assert not any(r.set_aside or r.duplicates for r in reports.values())


@pytest.mark.real_data
def test_real_vwap_is_taken_as_given(shared_data: Path, make_source) -> None:
    source = make_source(path=shared_data / "cn-csi300-vwap")
    raw = pl.read_parquet(shared_data / "cn-csi300-vwap" / "bars.parquet")
    scan(source.settings)
    report = build_bars(source.settings, ["2021-06"])["2021-06"]
    assert not report.vwap_filled
    bars = bars_dataset(source.settings).read().drop_nulls("vwap")
    joined = bars.join(raw, on=["instrument", "date"], suffix="_raw")
    assert joined.height == bars.height > 5000
    assert (joined["vwap"] == joined["vwap_raw"] * joined["factor"]).all()
