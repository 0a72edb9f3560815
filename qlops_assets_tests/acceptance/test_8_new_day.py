"""A new day's file while ``qlops up`` is at work: nobody starts anything, its rows are there."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.settings import Settings
from qlops_assets.features.store import FeatureStore
from qlops_assets.features.version import FeatureVersion
from qlops_assets_tests.features.test_store import everything, joined, same
from qlops_assets_tests.support.dagster_bench import months
from qlops_assets_tests.support.journeys import Journey, dagster_instance
from qlops_assets_tests.support.waiting import wait_for

READY_S, READABLE_S, STOPPED_S = 120.0, 180.0, 40.0
BUILD = """
import sys
from qlops_assets.cli.demo.monthly import MonthlyStages
from qlops_assets.core.settings import Settings
from qlops_assets.lake.scan import scan_when_quiet

settings = Settings.read(sys.argv[1])
scan_when_quiet(settings)
stages = MonthlyStages(settings, print)
stages.build_bars()
stages.build_features()
"""


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A home with the features of two months but for the last day, and `qlops up` over it."""
    journey = Journey(tmp_path_factory.mktemp("growing"))
    toml = journey.home / "qlops.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace("[source]", f'[source]\npath = "{journey.source}"'))
    journey.source.mkdir()
    months("2019-01", "2019-01").write_parquet(journey.source / "2019-01.parquet")
    february = months("2019-02", "2019-02")
    last = february["date"].max()
    february.filter(february["date"] < last).write_parquet(journey.source / "2019-02.parquet")
    command = [sys.executable, "-c", BUILD, str(journey.home)]
    subprocess.run(command, cwd=Path(__file__).parents[2], env=journey.environment(), check=True)
    up = journey.start("up")
    with dagster_instance(journey) as instance:
        wait_for(lambda: up.poll() is not None or len(looks(instance)) == 2, READY_S, pause_s=0.2)
    assert up.poll() is None, up.communicate()
    yield journey
    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=STOPPED_S)
    journey.close()


def looks(instance: Any) -> set[str]:
    """Return the sensors that looked twice."""
    return {
        state.instigator_name
        for state in instance.all_instigator_state()
        if len(instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)) == 2
    }


def latest(settings: Settings) -> FeatureVersion:
    version = FeatureStore(settings).latest()
    assert version is not None
    return version


def steps_of_runs(journey: Journey) -> list[tuple[dict[str, Any], list[str]]]:
    """Return tags and steps of every run that ended, both in the order in which they began."""
    with dagster_instance(journey) as instance:
        runs = [run for run in reversed(instance.get_runs()) if run.status.value == "SUCCESS"]
        return [
            (
                dict(run.tags),
                [
                    step.step_key
                    for step in sorted(
                        instance.get_run_step_stats(run.run_id), key=lambda step: step.start_time
                    )
                ],
            )
            for run in runs
        ]


def test_new_day_becomes_rows_by_two_runs_that_nobody_started(growing: Journey) -> None:
    settings = Settings.read(growing.home, growing.home / "qlops.toml")
    before, rows = len(steps_of_runs(growing)), months("2019-02", "2019-02")
    last = rows["date"].max()
    assert latest(settings).online(last).num_rows == 0
    part = growing.source / ".part"
    rows.write_parquet(part)
    part.rename(growing.source / "2019-02.parquet")
    wait_for(lambda: latest(settings).online(last).num_rows == 23, READABLE_S, pause_s=0.2)
    wait_for(lambda: len(steps_of_runs(growing)) == before + 2, READABLE_S, pause_s=0.2)
    (_, first), (tags, second) = steps_of_runs(growing)[before:]
    assert first == ["raw_bars", "bars"]
    assert tags["dagster/from_automation_condition"] == "true"
    assert tags["dagster/partition"] == "2019-02-01"
    sets = ["alpha158_factors", "custom_factors", "indicator_features"]
    assert sorted(second[:3]) == sets
    assert second[3] == "feature_table"
    assert sorted(second[4:]) == [
        "alpha158_factors_alpha158_agrees_with_qlib",
        "custom_factors_custom_factors_agree_with_qlib",
    ]
    assert same(everything(latest(settings)), joined(settings))
    assert FeatureStore(settings).stale_months() == []
