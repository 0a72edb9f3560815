"""Dagster's own commands, run from the checkout as its documentation says."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlops_assets_tests.support.dagster_bench import months
from qlops_assets_tests.support.journeys import Journey

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A home that has looked at two files and built nothing yet."""
    journey = Journey(tmp_path_factory.mktemp("dagster"))
    journey.source.mkdir()
    for name, (first, last) in {"a": ("2019-01", "2019-02"), "b": ("2019-05", "2019-05")}.items():
        path = journey.source / f"{name}.parquet"
        months(first, last).write_parquet(path)
        os.utime(path, (time.time() - 60,) * 2)
    toml = journey.home / "qlops.toml"
    toml.write_text(toml.read_text().replace("[source]", f'[source]\npath = "{journey.source}"'))
    assert journey.qlops("data", "scan").status == 0
    yield journey
    journey.close()


def dagster(place: Journey, *arguments: str) -> "subprocess.CompletedProcess[str]":
    state = place.folder / "state"
    state.mkdir(exist_ok=True)
    variables = {
        "DAGSTER_HOME": str(ROOT),
        "QLOPS_STATE": str(state),
        "QLOPS_HOME": str(place.home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    return subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), *arguments],
        cwd=ROOT,
        env=place.environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_definitions_validate_through_the_workspace(place: Journey) -> None:
    done = dagster(place, "definitions", "validate", "-w", "workspace.yaml")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Validation successful for code location qlops_assets" in said
    assert "BetaWarning" not in said
    assert "DeprecationWarning" not in said


def test_sensor_previews_the_runs_it_would_start(place: Journey) -> None:
    before = {p.name for p in ROOT.iterdir()}
    arguments = ["sensor", "preview", "source_files_changed", "-w", "workspace.yaml"]
    done = dagster(place, *arguments)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Sensor returning run requests for 2 run(s)" in said  # 2019-01 to -02, and 2019-05
    # Dagster's state is where QLOPS_STATE says, not in the checkout that is its home.
    assert {p.name for p in ROOT.iterdir()} - before <= {".pytest_cache", ".ruff_cache"}
    assert list((place.folder / "state").iterdir())
