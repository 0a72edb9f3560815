"""A disk that is full while a source is taken in: what was good stays, and the error says why."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.errors import LakeError
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.bars import build_bars, stale_months
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.scan import load_manifest, scan
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets.lake.versions.verify import verify
from qlops_assets_tests.support.monthly_files import month_bars
from qlops_assets_tests.support.small_disk import SmallDisk, small_disk

FULL = r"[Nn]o space left|[Dd]isk .*full|os error 28"
LEFT = [0, 4, 8, 12, 16, 24, 32, 48, 64]  # kilobytes


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=16) as disk:
        yield disk


@pytest.fixture
def settings(two, disk: SmallDisk) -> Settings:
    """A home on the small disk that has bars of January and February; the source is elsewhere."""
    settings = replace(two.settings, home=disk.folder / "home")
    scan(settings)
    build_bars(settings, stale_months(settings))
    return settings


def fresh_bars(settings: Settings, home: Path) -> pl.DataFrame:
    """Return the bars that a new home makes of the source."""
    source = SourceSettings(path=settings.source.path, quiet_seconds=0.0)
    fresh = Settings(home=home, source=source)
    scan(fresh)
    build_bars(fresh, stale_months(fresh))
    return bars_dataset(fresh).read()


def leftovers(settings: Settings) -> list[str]:
    return [str(path) for path in settings.lake.rglob("*.tmp")]


def test_scan_leaves_the_last_state_and_the_next_takes_the_file_in(
    two, settings: Settings, disk: SmallDisk, make_bars, tmp_path: Path
) -> None:
    errors: list[str] = []
    good = load_manifest(settings)
    numbers, bars = snapshot_store(settings).numbers(), bars_dataset(settings).read()
    two.write("2020-03.parquet", month_bars(make_bars, 3))
    for left in LEFT:
        disk.fill(leave=left * 1024)
        try:
            scan(settings)
        except LakeError as error:
            errors.append(str(error))
        # Either nothing of the look, or all of it.
        if load_manifest(settings) == good:
            assert snapshot_store(settings).numbers() in (numbers, [*numbers, numbers[-1] + 1])
        else:
            assert stale_months(settings) == ["2020-03"]
        assert bars_dataset(settings).read().equals(bars)
        assert verify(settings).damages == ()
        disk.empty()
    assert errors
    assert [error for error in errors if not re.search(FULL, error)] == []
    manifest = scan(settings)
    assert [file.path for file in manifest.files][-1] == "2020-03.parquet"
    build_bars(settings, stale_months(settings))
    assert bars_dataset(settings).read().equals(fresh_bars(settings, tmp_path / "fresh"))
    assert verify(settings).damages == ()
    assert leftovers(settings) == []


def test_bars_of_a_month_stay_as_they_were_until_there_is_room(
    two, settings: Settings, disk: SmallDisk, make_bars, tmp_path: Path
) -> None:
    dataset = bars_dataset(settings)
    before = dataset.read()
    two.write("2020-02.parquet", month_bars(make_bars, 2, seed=9))
    scan(settings)
    assert dataset.infos()["2020-02"].bytes > 4096
    for left in (0, 4096):
        disk.fill(leave=left)
        with pytest.raises(LakeError, match=FULL):
            build_bars(settings, stale_months(settings))
        assert dataset.read().equals(before)
        assert stale_months(settings) == ["2020-02"]
        disk.empty()
    build_bars(settings, stale_months(settings))
    assert dataset.read().equals(fresh_bars(settings, tmp_path / "fresh"))
    assert stale_months(settings) == []
    assert leftovers(settings) == []
