"""When a sync has finished: a marker that is written last."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qlops_assets.core.errors import SourceBusyError
from qlops_assets.lake.manifest import changed_months
from qlops_assets.lake.scan import scan
from qlops_assets_tests.support.monthly_files import month_bars, usable

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def at(path: Path, seconds: float) -> Path:
    """Set a file's modification time to some seconds after the start."""
    moment = (START + timedelta(seconds=seconds)).timestamp()
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def marked(two):
    """The two files of one sync, and the marker that it wrote last."""
    for second, name in enumerate(("2020-01.parquet", "2020-02.parquet")):
        at(two.folder / name, second)
    at(two.text("_SUCCESS", ""), 5)
    return two.with_source(marker="_SUCCESS", quiet_seconds=3600.0)


def waiting(manifest) -> dict[str, str]:
    return {file.path: file.reason for file in manifest.waiting}


def test_files_of_a_finished_sync_are_used_at_once(marked) -> None:
    assert len(usable(scan(marked.settings))) == 2  # without an hour of quiet


def test_without_a_marker_nothing_is_used(marked) -> None:
    (marked.folder / "_SUCCESS").unlink()
    with pytest.raises(SourceBusyError, match=r"there is no _SUCCESS yet"):
        scan(marked.settings)


def test_files_that_are_newer_than_the_marker_wait_and_their_good_versions_stay(
    marked, make_bars
) -> None:
    first = scan(marked.settings)
    at(marked.write("2020-01.parquet", month_bars(make_bars, 1, seed=9)), 60)
    at(marked.write("2020-03.parquet", month_bars(make_bars, 3)), 61)
    second = scan(marked.settings)
    assert waiting(second) == dict.fromkeys(
        ("2020-01.parquet", "2020-03.parquet"),
        "modified after _SUCCESS: the sync has not finished",
    )
    assert changed_months(first, second) == set()
    assert second.held == ["2020-01.parquet"]
    at(marked.folder / "_SUCCESS", 62)
    third = scan(marked.settings)
    assert waiting(third) == {}
    assert changed_months(second, third) == {"2020-01", "2020-03"}


def test_marker_of_the_same_second_as_its_last_file_counts(marked) -> None:
    at(marked.folder / "2020-02.parquet", 5)
    assert len(usable(scan(marked.settings))) == 2


def test_marker_in_the_files_own_folder_finishes_that_folder(source, make_bars) -> None:
    marked = source.with_source(marker="_SUCCESS")
    for month in (1, 2):
        at(marked.write(f"bars/month={month}/0.parquet", month_bars(make_bars, month)), 10)
    at(marked.text("bars/month=1/_SUCCESS", ""), 11)
    first = scan(marked.settings)
    assert usable(first) == ["month=1/0.parquet"]
    assert list(waiting(first)) == ["month=2/0.parquet"]
    at(marked.text("_SUCCESS", ""), 12)  # above everything
    assert len(usable(scan(marked.settings))) == 2


def test_files_beside_the_bars_wait_for_the_marker_too(marked) -> None:
    scan(marked.settings)
    at(marked.text("pool.txt", "SH600000\t2020-01-01\t2020-12-31\n"), 60)
    manifest = scan(marked.settings)
    assert list(waiting(manifest)) == ["pool.txt"]
    assert manifest.others == ()
    at(marked.folder / "_SUCCESS", 61)
    assert [other.path for other in scan(marked.settings).others] == ["pool.txt"]


def test_clock_that_was_set_back_does_not_make_a_finished_sync_wait(marked, clock) -> None:
    clock.moment = START - timedelta(days=400)
    assert len(usable(scan(marked.settings, clock=clock))) == 2
