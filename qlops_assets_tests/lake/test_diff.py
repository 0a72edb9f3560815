"""Which bars differ between two snapshots, against a brute-force comparison of the files."""

import random
from datetime import date

import polars as pl
import pytest

from qlops_assets.lake.scan import scan
from qlops_assets.lake.versions.diff import diff
from qlops_assets_tests.support.monthly_files import month_bars

KEY = ["instrument", "date"]


def test_restated_bar_is_shown_with_its_old_and_new_values(two, make_bars) -> None:
    scan(two.settings)
    rows = month_bars(make_bars, 2)
    day = rows["date"][3]
    its = (pl.col("instrument") == "SH600004") & (pl.col("date") == day)
    two.write(
        "2020-02.parquet",
        rows.with_columns(
            close=pl.when(its).then(pl.col("close") + 0.5).otherwise(pl.col("close")),
            high=pl.when(its).then(pl.col("high") + 1.0).otherwise(pl.col("high")),
        ),
    )
    scan(two.settings)
    found = diff(two.settings, 1, 2)
    assert (found.changed_files, found.months) == (("2020-02.parquet",), ("2020-02",))
    assert (found.added.height, found.removed.height) == (0, 0)
    (row,) = found.changed.to_dicts()
    (old,) = rows.filter(its).to_dicts()
    assert (row["instrument"], row["date"]) == ("SH600004", day)
    assert (row["close_old"], row["close"]) == (old["close"], old["close"] + 0.5)
    assert (row["high_old"], row["high"]) == (old["high"], old["high"] + 1.0)
    assert found.columns == {"high": 1, "close": 1}
    back = diff(two.settings, 2, 1)
    assert back.changed["close"].to_list() == [old["close"]]


def test_recompressed_or_moved_rows_are_no_difference(two, make_bars) -> None:
    scan(two.settings)
    rows = month_bars(make_bars, 2)
    two.write("2020-02.parquet", rows.head(20), compression="gzip")
    two.write("rest.parquet", rows.slice(20))
    scan(two.settings)
    found = diff(two.settings, 1, 2)
    assert (found.added.height, found.removed.height, found.changed.height) == (0, 0, 0)
    assert found.added_files == ("rest.parquet",)


def test_row_that_another_file_still_has_is_not_removed(two, make_bars) -> None:
    rows = month_bars(make_bars, 2)
    two.write("copy.parquet", rows.head(12))
    scan(two.settings)
    two.write("copy.parquet", rows.head(4))
    scan(two.settings)
    found = diff(two.settings, 1, 2)
    assert (found.added.height, found.removed.height, found.changed.height) == (0, 0, 0)


def test_instrument_under_a_new_code_is_named(two, make_bars) -> None:
    rows = month_bars(make_bars, 2)
    scan(two.settings)
    code = pl.col("instrument").replace("SZ000001", "SZ300001")
    two.write("2020-02.parquet", rows.with_columns(code))
    scan(two.settings)
    found = diff(two.settings, 1, 2)
    assert found.recoded == {"SZ000001": "SZ300001"}
    assert set(found.removed["instrument"]) == {"SZ000001"}
    assert set(found.added["instrument"]) == {"SZ300001"}


def test_same_snapshot_has_no_difference(two) -> None:
    scan(two.settings)
    found = diff(two.settings, 1, 1)
    assert (found.months, found.columns, found.recoded) == ((), {}, {})
    assert found.changed.is_empty()


@pytest.mark.parametrize("seed", range(6))
def test_random_changes_are_found_exactly(make_source, make_bars, seed: int) -> None:
    """Brute force over dictionaries of rows, file by file."""
    chance = random.Random(seed)
    source = make_source(f"random-{seed}")
    present: dict[str, pl.DataFrame] = {}
    for month in (1, 2, 3):
        for code in ("SH600000", "SZ000001"):
            present[f"{code}/2020-0{month}.parquet"] = make_bars(
                [code], first=date(2020, month, 3), days=15
            )
    for name, frame in present.items():
        source.write(name, frame)
    scan(source.settings)
    before = everything(present)
    for name in chance.sample(sorted(present), 3):
        action = chance.choice(["drop", "close", "remove", "append"])
        if action == "remove":
            (source.folder / name).unlink()
            del present[name]
            continue
        present[name] = altered(present[name], action, chance.randrange(present[name].height))
        source.write(name, present[name])
    scan(source.settings)
    after = everything(present)
    found = diff(source.settings, 1, 2)
    assert keys(found.removed) == before.keys() - after.keys()
    assert keys(found.added) == after.keys() - before.keys()
    assert keys(found.changed) == {k for k in before.keys() & after.keys() if before[k] != after[k]}
    for row in found.changed.iter_rows(named=True):
        key = (row["instrument"], row["date"])
        assert (row["close_old"], row["close"]) == (before[key]["close"], after[key]["close"])


def everything(files: dict[str, pl.DataFrame]) -> dict[tuple[str, date], dict]:
    rows = pl.concat(files.values()).to_dicts()
    return {(row["instrument"], row["date"]): row for row in rows}


def keys(rows: pl.DataFrame) -> set[tuple[str, date]]:
    return set(rows.select(KEY).iter_rows())


def altered(frame: pl.DataFrame, action: str, at: int) -> pl.DataFrame:
    if action == "drop":
        return pl.concat([frame[:at], frame[at + 1 :]])
    if action == "close":
        close = [v + 0.01 if i == at else v for i, v in enumerate(frame["close"])]
        return frame.with_columns(close=pl.Series(close))
    return pl.concat([frame, frame.tail(1).with_columns(pl.col("date").dt.offset_by("1d"))])
