"""Frames and single days of the feature table, against plain filters of everything."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import FeatureTableError
from qlops_assets.core.settings import Settings
from qlops_assets.features.order import in_order
from qlops_assets.features.store import FeatureStore
from qlops_assets.features.version import FeatureVersion, FrameSpec
from qlops_assets_tests.features.test_store import change, everything, same
from qlops_assets_tests.support.market import DELISTED, market_days

DAYS = market_days()


@pytest.fixture(scope="module")
def version(market: Settings) -> FeatureVersion:
    latest = FeatureStore(market).latest()
    assert latest is not None
    return latest


@pytest.fixture(scope="module")
def whole(version: FeatureVersion) -> pl.DataFrame:
    return everything(version)


@pytest.mark.parametrize(
    "spec",
    [
        FrameSpec(["rsi_14", "KMID"]),
        FrameSpec([]),
        FrameSpec(None, DAYS[30], DAYS[130]),
        FrameSpec(["KMID"], None, DAYS[3]),
        FrameSpec(["KMID"], DAYS[-3]),
        FrameSpec(["KMID"], DAYS[10], DAYS[300], ["SH600000", DELISTED, "NOBODY"]),
        FrameSpec(["KMID"], instruments=[]),
        FrameSpec(["KMID"], date(2030, 1, 1)),
        FrameSpec(["KMID"], instruments=["O'HARA", "x' OR '1'='1"]),
    ],
    ids=str,
)
def test_frame_is_that_part_of_everything(
    version: FeatureVersion, whole: pl.DataFrame, spec: FrameSpec
) -> None:
    expected = whole.filter(
        pl.col("date").is_between(spec.first or DAYS[0], spec.last or DAYS[-1])
        if (spec.first or DAYS[0]) <= DAYS[-1]
        else pl.lit(value=False)
    )
    if spec.instruments is not None:
        expected = expected.filter(pl.col("instrument").is_in(list(spec.instruments)))
    columns = version.columns if spec.columns is None else spec.columns
    expected = expected.select("date", "instrument", *columns)
    found = version.training_frame(spec)
    assert found.column_names == expected.columns
    assert pl.DataFrame(pl.from_arrow(found)).equals(expected)


def test_frame_has_no_null_and_its_chunks_are_arrays_without_a_copy(
    version: FeatureVersion,
) -> None:
    frame = version.training_frame(FrameSpec(["rsi_14"]))
    column = frame.column("rsi_14")
    assert column.null_count == 0
    for chunk in column.chunks:
        array = chunk.to_numpy(zero_copy_only=True)
        assert array.dtype == np.float32


def test_column_that_is_not_there_is_named_with_the_nearest(version: FeatureVersion) -> None:
    for call in (
        lambda: version.training_frame(FrameSpec(["rsi14"])),
        lambda: version.online(DAYS[0], None, ["rsi14"]),
    ):
        with pytest.raises(FeatureTableError, match="no column 'rsi14'; did you mean 'rsi_14'"):
            call()


@pytest.mark.parametrize("day", [DAYS[0], DAYS[77], DAYS[-1]])
def test_day_is_that_day_of_everything(
    version: FeatureVersion, whole: pl.DataFrame, day: date
) -> None:
    expected = whole.filter(pl.col("date") == day)
    assert pl.DataFrame(pl.from_arrow(version.online(day))).equals(expected)
    some = version.online(day, ["SZ000001", "SH600003", "NOBODY"], ["atr_14", "STD5"])
    assert pl.DataFrame(pl.from_arrow(some)).equals(
        expected.filter(pl.col("instrument").is_in(["SZ000001", "SH600003"])).select(
            "date", "instrument", "atr_14", "STD5"
        )
    )


@pytest.mark.parametrize("day", [date(2019, 1, 1), date(2020, 7, 4), date(2031, 1, 1)])
def test_day_without_rows_is_empty(version: FeatureVersion, day: date) -> None:
    found = version.online(day, None, ["KMID"])
    assert found.num_rows == 0
    assert found.column_names == ["date", "instrument", "KMID"]


def test_frame_stays_in_order_after_an_old_month_was_changed(own_market: Settings) -> None:
    from qlops_assets.indicators.store import indicator_dataset

    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    for month in ("2019-04", "2019-11"):
        change(dataset, month, dataset.read([month]).with_columns(pl.col("obv") + 1))
    store.refresh()
    latest = store.latest()
    assert latest is not None
    rows = everything(latest)
    assert same(rows, rows.sort("date", "instrument"))
    assert rows.select("date", "instrument").equals(
        rows.select("date", "instrument").sort("date", "instrument")
    )
    part = pl.DataFrame(
        pl.from_arrow(latest.training_frame(FrameSpec(["obv"], DAYS[60], DAYS[90])))
    )
    assert part["date"].is_sorted()


def test_order_is_made_whatever_it_was() -> None:
    chance = np.random.default_rng(5)
    for rows in (0, 1, 2, 50, 400):
        days = np.arange(rows) // 7
        codes = [f"S{n % 7}" for n in range(rows)]
        frame = pl.DataFrame(
            {
                "date": pl.Series(days, dtype=pl.Int32).cast(pl.Date),
                "instrument": pl.Series(codes, dtype=pl.String),
                "v": pl.Series(range(rows), dtype=pl.Int64),
            }
        )
        for start in {0, rows // 2, rows - 1, rows}:
            order = np.arange(rows)
            if 0 <= start < rows:
                chance.shuffle(order[start:])
            mixed = frame[order.tolist()] if rows else frame
            assert pl.DataFrame(pl.from_arrow(in_order(mixed.to_arrow()))).equals(frame)
