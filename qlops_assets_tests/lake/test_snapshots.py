"""Snapshots: what is recorded of each state of the source, and how one is found again."""

import gzip
import os
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.errors import LakeError, SourceError, UnknownSnapshotError
from qlops_assets.lake.scan import load_manifest, scan
from qlops_assets.lake.versions.file_history import file_history
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets_tests.support.monthly_files import month_bars

NAME = "2020-02.parquet"


@pytest.fixture
def store(two):
    return snapshot_store(two.settings)


def test_files_beside_the_bars_are_versions_that_touch_no_month(two, store, clock) -> None:
    scan(two.settings)
    for content in ("SH600000\t2020-01-01\t2020-12-31\n", "SZ000001\t2020-01-01\t2020-12-31\n"):
        two.text("pool.txt", content)
        scan(two.settings)
    (two.folder / "pool.txt").unlink()
    scan(two.settings)
    heads = store.heads()
    assert [head.changes for head in heads[1:]] == [{"added": 1}, {"changed": 1}, {"removed": 1}]
    assert {head.touched_months for head in heads[1:]} == {()}
    history = file_history(two.settings, "pool.txt")
    assert [version.change.kind for version in history] == ["added", "changed", "removed"]
    assert [version.file is None for version in history] == [False, False, True]
    assert heads[3].digest == heads[0].digest


def restated(rows: pl.DataFrame, instrument: str, day: date) -> pl.DataFrame:
    its = (pl.col("instrument") == instrument) & (pl.col("date") == day)
    return rows.with_columns(
        close=pl.when(its).then(pl.col("close") + 0.01).otherwise(pl.col("close"))
    )


def test_restated_row_is_a_version_that_names_its_month_and_instrument(
    two, store, make_bars, clock
) -> None:
    scan(two.settings, clock=clock)
    rows = month_bars(make_bars, 2)
    day = rows["date"][7]
    two.write(NAME, restated(rows, "SZ000001", day))
    clock.forward(60)
    manifest = scan(two.settings, clock=clock)
    first, second = store.heads()
    assert (first.number, first.files, first.changes) == (1, 2, {"added": 2})
    assert (second.number, second.known_at) == (2, clock.now())
    assert (second.changes, second.touched_months) == ({"changed": 1}, ("2020-02",))
    (change,) = store.load(2).changes
    assert (change.path, change.kind) == (NAME, "changed")
    assert (change.months, change.instruments) == (("2020-02",), ("SZ000001",))
    assert store.load(2).manifest == manifest
    version = next(f for f in manifest.files if f.path == NAME)
    status = (two.folder / NAME).stat()
    assert (version.size, change.after) == (status.st_size, version.digest)


def test_recompressed_file_is_a_version_that_touches_nothing(two, store, make_bars) -> None:
    before = scan(two.settings)
    two.write(NAME, month_bars(make_bars, 2).reverse(), compression="gzip")
    after = scan(two.settings)
    (change,) = store.load(2).changes
    assert (change.kind, change.months, change.instruments) == ("recompressed", (), ())
    assert (after.months, store.head(2).touched_months) == (before.months, ())
    assert after.digest != before.digest


def test_renamed_and_removed_files_are_told_apart(two, store) -> None:
    scan(two.settings)
    (two.folder / NAME).rename(two.folder / "february.parquet")
    scan(two.settings)
    (change,) = store.load(2).changes
    assert (change.kind, change.path, change.was) == ("renamed", "february.parquet", NAME)
    assert change.months == ()
    (two.folder / "2020-01.parquet").unlink()
    scan(two.settings)
    (change,) = store.load(3).changes
    assert (change.kind, change.path, change.after) == ("removed", "2020-01.parquet", None)
    assert change.months == ("2020-01",)
    assert len(change.instruments) == 3


def test_unchanged_and_touched_files_make_no_snapshot(two, store, set_age) -> None:
    scan(two.settings)
    scan(two.settings)
    set_age(two.folder / NAME, 100)
    scan(two.settings)
    assert store.numbers() == [1]


def test_state_that_comes_back_is_a_snapshot_of_its_own(two, store, make_bars) -> None:
    rows = month_bars(make_bars, 2)
    for seed in (None, 9, None):
        two.write(NAME, rows if seed is None else month_bars(make_bars, 2, seed=seed))
        scan(two.settings)
    digests = [head.digest for head in store.heads()]
    assert digests[0] == digests[2] != digests[1]
    assert store.find(digests[0][:8]).number == 3


def test_snapshot_is_found_by_number_digest_and_time(two, store, make_bars, clock) -> None:
    noon = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    for hour, seed in enumerate((1, 2, 3)):
        two.write(NAME, month_bars(make_bars, 2, seed=seed))
        clock.moment = noon + timedelta(hours=hour)
        scan(two.settings, clock=clock)
    assert store.find("2").number == 2
    assert store.find(store.head(3).digest).number == 3
    assert store.find("2026-01-31T20:59+08:00").number == 1
    assert store.find("2026-01-31T21:00+08:00").number == 2
    assert store.at(noon.astimezone(timezone(timedelta(hours=-5))) + timedelta(days=9)).number == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("9", "kept are 1 of"),
        ("ffffff", "kept are 1 of"),
        ("yesterday", "kept are 1 of"),
        ("2026-13-01T00:00Z", "it is no time"),
        ("2026-01-31T18:00", "has no zone"),
        ("2001-01-31T18:00+08:00", "kept are 1 of"),
    ],
)
def test_unknown_snapshot_is_an_error_that_says_what_there_is(two, store, asked, said) -> None:
    scan(two.settings)
    with pytest.raises(UnknownSnapshotError, match=said):
        store.find(asked)


def test_snapshot_before_the_first_scan_says_so(two, store) -> None:
    with pytest.raises(UnknownSnapshotError, match="qlops data scan"):
        store.find("1")


def test_clock_that_jumps_back_keeps_snapshots_in_order(two, store, make_bars, clock) -> None:
    scan(two.settings, clock=clock)
    late = clock.now()
    clock.forward(-86_400)
    two.write(NAME, month_bars(make_bars, 2, seed=5))
    scan(two.settings, clock=clock)
    assert [head.known_at for head in store.heads()] == [late, late]
    assert store.at(late).number == 2


def test_damaged_records_are_errors_with_their_file(two, store) -> None:
    scan(two.settings)
    head, body = store.folder / "000001.json", store.folder / "000001.files.json.gz"
    content = body.read_bytes()
    for damaged in (content[:50], b"", gzip.compress(b"{}"), b"not gzip"):
        body.write_bytes(damaged)
        with pytest.raises(LakeError, match=r"000001\.files"):
            store.load(1)
    head.write_text("{", encoding="utf-8")
    with pytest.raises(LakeError, match=r"000001\.json"):
        store.heads()


def test_scan_that_died_before_its_manifest_is_done_again_without_a_second_record(
    two, store, make_bars
) -> None:
    scan(two.settings)
    manifest = two.settings.lake / "raw_bars" / "manifest.json"
    before = manifest.read_bytes()
    two.write(NAME, month_bars(make_bars, 2, seed=5))
    after = scan(two.settings)
    manifest.write_bytes(before)  # as if the process had died between the two writes
    assert scan(two.settings).digest == after.digest
    assert store.numbers() == [1, 2]
    assert load_manifest(two.settings).digest == after.digest


def test_body_without_a_head_is_no_snapshot_and_is_replaced(two, store, make_bars) -> None:
    scan(two.settings)
    stray = store.folder / "000002.files.json.gz"
    stray.write_bytes(b"of a process that died here")
    two.write(NAME, month_bars(make_bars, 2, seed=5))
    assert store.numbers() == [1]
    manifest = scan(two.settings)
    assert store.load(2).manifest == manifest


def test_history_of_a_file_lists_its_versions(two, make_bars) -> None:
    scan(two.settings)
    rows = month_bars(make_bars, 2)
    two.write(NAME, rows, compression="gzip")
    scan(two.settings)
    (two.folder / NAME).unlink()
    scan(two.settings)
    history = file_history(two.settings, NAME)
    assert [v.change.kind for v in history] == ["added", "recompressed", "removed"]
    assert [v.snapshot for v in history] == [1, 2, 3]
    assert history[2].file is None
    assert history[0].to_json()["xxh3_128"] != history[1].to_json()["xxh3_128"]
    with pytest.raises(SourceError, match=r"did you mean '2020-02\.parquet'"):
        file_history(two.settings, "2020-2.parquet")


def test_instruments_and_months_of_a_new_file_are_those_it_has(two, store, make_bars) -> None:
    scan(two.settings)
    path = two.write("more.parquet", make_bars(["SH600009"], first=date(2020, 5, 1), days=40))
    os.utime(path, (1e9, 1e9))
    scan(two.settings)
    (change,) = store.load(2).changes
    months = pl.read_parquet(path)["date"].dt.strftime("%Y-%m").unique().sort().to_list()
    assert (change.kind, list(change.months)) == ("added", months)
    assert change.instruments == ("SH600009",)
    assert Path(change.path).name == "more.parquet"
