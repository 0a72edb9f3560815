"""``qlops features refresh``: what it brings up to date, what it says, what Dagster knows of it."""

import fcntl
from datetime import date
from pathlib import Path

import pytest

from qlops_assets.cli.demo.monthly import MonthlyStages
from qlops_assets.core.settings import Settings
from qlops_assets.features.store import FeatureStore
from qlops_assets.lake.bars import build_bars, stale_months
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.scan import scan
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.features.test_store import everything, joined, same
from qlops_assets_tests.support.dagster_bench import Bench, day_changed, months

ASSETS = ["alpha158_factors", "indicator_features", "feature_table"]
MONTHS = ["2019-01", "2019-02", "2019-03"]
CONFIGURATION = '[source]\npath = "{source}"\nquiet_seconds = 0.0\n[features]\njobs = 1\n'


@pytest.fixture
def bench(qlops: Qlops, tmp_path: Path) -> Bench:
    """A home with bars of three months, one file each, and no features yet."""
    bench = Bench(tmp_path)
    for month in MONTHS:
        bench.write(f"{month}.parquet", months(month, month))
    (tmp_path / "qlops.toml").write_text(CONFIGURATION.format(source=bench.source))
    scan(bench.settings)
    MonthlyStages(bench.settings, lambda _text: None).build_bars()
    return bench


def restate(bench: Bench, month: str, day: date) -> None:
    bench.write(f"{month}.parquet", day_changed(months(month, month), day))
    scan(bench.settings)
    build_bars(bench.settings, stale_months(bench.settings))


def materialized(settings: Settings) -> dict[str, list[str]]:
    """Return the months that Dagster's history has of each asset."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        assert instance.root_directory == str(settings.dagster)
        return {
            asset: sorted(m[:7] for m in instance.get_materialized_partitions(dg.AssetKey(asset)))
            for asset in ASSETS
        }


def test_refresh_does_what_is_behind_and_no_more(qlops: Qlops, bench: Bench) -> None:
    home = ["--home", str(bench.settings.home)]
    said = qlops("features", "refresh", *home, "--json")
    assert said.status == 0, said.err
    first = said.document
    assert first["refreshed"] == dict.fromkeys(ASSETS, MONTHS)
    assert first["version"] == 1
    rows = joined(bench.settings).height
    assert first["rows"] == {"inserted": rows, "updated": 0, "deleted": 0}
    assert [step["asset"] for step in first["steps"]] == ASSETS
    assert (first["checks_failed"], first["behind"], first["bars_behind"]) == ([], [], [])
    assert materialized(bench.settings) == dict.fromkeys(ASSETS, MONTHS)
    assert "feature_table: done in" in said.err
    assert same(everything(FeatureStore(bench.settings).latest()), joined(bench.settings))

    again = qlops("features", "refresh", *home)
    assert again.status == 0, again.err
    assert "nothing to do: version 1 is up to date" in again.out
    document = qlops("features", "refresh", *home, "--json").document
    assert (document["refreshed"], document["up_to_date"]) == ({}, ASSETS)

    restate(bench, "2019-03", date(2019, 3, 27))
    elsewhere = qlops("features", "refresh", "--months", "2019-01..2019-02", *home, "--json")
    assert elsewhere.document["refreshed"] == {}
    said = qlops("features", "refresh", "--months", "2019-03", *home)
    assert said.status == 0, said.err
    assert "feature_table       1 months, 2019-03" in said.out
    assert "0 inserted, 69 updated, 0 deleted" in said.out  # 23 instruments, three days on
    assert same(everything(FeatureStore(bench.settings).latest()), joined(bench.settings))
    assert FeatureStore(bench.settings).stale_months() == []


def test_refresh_says_what_the_source_has_and_the_bars_have_not(qlops: Qlops, bench: Bench) -> None:
    rows = day_changed(months("2019-02", "2019-02"), date(2019, 2, 13))
    bench.write("2019-02.parquet", rows)
    scan(bench.settings)
    said = qlops("features", "refresh", "--months", "2019-01", "--home", str(bench.settings.home))
    assert said.status == 0, said.err
    assert "bars are behind     1 months, 2019-02: `qlops up` or `qlops demo` builds" in said.out


@pytest.mark.parametrize("months", ["yesterday", "2019-13", "2019-03..2019-01", "2019-01..", ""])
def test_months_that_are_none_are_wrong_usage(qlops: Qlops, months: str) -> None:
    said = qlops("features", "refresh", "--months", months)
    assert said.status == 2
    assert f"--months: was {months!r}, must be a month, or a span" in said.err


def test_home_without_bars_says_how_they_come_about(qlops: Qlops, tmp_path: Path) -> None:
    said = qlops("features", "refresh", "--home", str(tmp_path / "new"), "--json")
    assert said.status == 1
    assert said.document["kind"] == "DatasetMissingError"
    assert "run `qlops demo` once, or `qlops up`" in said.document["error"]


def test_second_command_that_works_on_a_home_is_refused(qlops: Qlops, bench: Bench) -> None:
    home = bench.settings.home
    assert bars_dataset(bench.settings).months() == MONTHS
    with (home / "demo.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = qlops("features", "refresh", "--home", str(home), "--json")
    assert said.status == 1
    assert said.document["kind"] == "HomeBusyError"
