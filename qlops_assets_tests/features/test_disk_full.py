"""A disk that is full while features are written: what was good stays, and the error says why."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.errors import LakeError
from qlops_assets.core.settings import Settings
from qlops_assets.factors.sets import alpha158_set
from qlops_assets.factors.store import alpha158_dataset, build_factors
from qlops_assets.features.store import FeatureStore
from qlops_assets.indicators.store import build_indicators, indicator_dataset
from qlops_assets_tests.features.test_store import change, everything, joined, same
from qlops_assets_tests.support.market import copied, restate
from qlops_assets_tests.support.small_disk import SmallDisk, small_disk

MONTH = "2020-08"
FULL = r"[Nn]o space left|[Dd]isk .*full|os error 28"
LEFT = [0, 4, 64, 256, 1024, 2048, 4096]  # kilobytes


@dataclass(frozen=True)
class Place:
    """A home on a disk of its own."""

    settings: Settings
    disk: SmallDisk

    def leftovers(self) -> list[str]:
        return [str(path) for path in self.settings.lake.rglob("*.tmp")]


@pytest.fixture
def place(few: Settings, tmp_path: Path) -> Iterator[Place]:
    with small_disk(tmp_path / "disk", megabytes=64) as disk:
        settings = copied(few, disk.folder / "home")
        build_indicators(settings, alpha158_dataset(settings).months())
        FeatureStore(settings).refresh()
        yield Place(settings, disk)


@pytest.mark.parametrize("stage", ["alpha158_factors", "indicator_features"])
def test_rows_of_a_month_stay_as_they_were(place: Place, stage: str) -> None:
    settings = place.settings

    def build() -> None:
        if stage == "alpha158_factors":
            build_factors(settings, alpha158_set(), [MONTH])
        else:
            build_indicators(settings, [MONTH])

    dataset = (
        alpha158_dataset(settings) if stage == "alpha158_factors" else indicator_dataset(settings)
    )
    before, info = dataset.read([MONTH]), dataset.info(MONTH)
    assert info is not None
    restate(settings, "SH600000", date(2020, 8, 3), close=21.0, volume=3e6)
    assert info.bytes > 16 * 1024
    for left in (0, 4, 16):
        place.disk.fill(leave=left * 1024)
        with pytest.raises(LakeError, match=FULL):
            build()
        assert dataset.info(MONTH) == info
        assert dataset.read([MONTH]).equals(before)
        assert place.leftovers() == []
        place.disk.empty()
    build()
    after = dataset.info(MONTH)
    assert after is not None
    assert after.digest != info.digest
    assert dataset.verify(MONTH) == after


@pytest.mark.parametrize("work", ["one month", "every month", "new column", "compaction"])
def test_last_version_of_the_table_stays_readable(place: Place, work: str) -> None:
    settings, dataset = place.settings, indicator_dataset(place.settings)
    before, errors = everything(FeatureStore(settings).latest()), []
    for left in LEFT:
        months = [MONTH] if work == "one month" else dataset.months()
        for month in months:
            rows = dataset.read([month]).with_columns(pl.col("obv") + 1)
            new = f"new_{left}" if work == "new column" else "obv"
            change(dataset, month, rows.with_columns(pl.col("obv").alias(new)))
        expected, store = joined(settings), FeatureStore(settings)
        place.disk.fill(leave=left * 1024)
        try:
            store.refresh()
            if work == "compaction":
                store.compact()
        except LakeError as error:
            errors.append(str(error))
        found = everything(FeatureStore(settings).latest())
        assert same(found, before) or same(found, expected)
        before = found
        place.disk.empty()
    assert errors
    said = re.compile(rf"cannot be written \(.*({FULL}).*\); readers see the version from before")
    assert [error for error in errors if not said.search(error)] == []
    store.refresh()
    store.compact()
    assert same(everything(FeatureStore(settings).latest()), joined(settings))
    assert FeatureStore(settings).stale_months() == []
    assert place.leftovers() == []


def test_tag_that_cannot_be_set_is_an_error_and_the_version_stays(place: Place) -> None:
    store = FeatureStore(place.settings)
    place.disk.fill()
    with pytest.raises(LakeError, match=FULL):
        store.tag("model-1")
    assert store.tags() == {}
    place.disk.empty()
    assert store.tag("model-1") == store.versions()[-1].number
    assert same(everything(store.tagged("model-1")), joined(place.settings))
