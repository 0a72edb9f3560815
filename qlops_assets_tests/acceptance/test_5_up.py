"""``qlops up``: Dagster, console and servers under one supervisor, and nothing left after it."""

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from qlops_assets_tests.acceptance.conftest import Chapter, version_of
from qlops_assets_tests.support.asset_groups import ASSET_GROUPS
from qlops_assets_tests.support.journeys import Journey
from qlops_assets_tests.support.waiting import wait_for

READY_S = 90.0
STOPPED_S = 25.0
PLACES = {
    "console": "/healthz",
    "staging": "/v2/health/ready",
    "production": "/v2/health/ready",
    "dagster": "/server_info",
}


@pytest.fixture(scope="module")
def up(journey: Journey, grown: Chapter) -> Iterator["subprocess.Popen[str]"]:
    process = journey.start("up")
    wait_for(
        lambda: (
            process.poll() is not None
            or all(journey.answers(name, path) for name, path in PLACES.items())
        ),
        READY_S,
        pause_s=0.2,
    )
    assert process.poll() is None, process.communicate()
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(STOPPED_S)


def dagster(journey: Journey, query: str) -> dict[str, Any]:
    answer = journey.post("dagster", "/graphql", {"query": query})
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def child(up: "subprocess.Popen[str]", word: str) -> psutil.Process:
    """Return the supervised process whose command has a word."""
    (found,) = [p for p in psutil.Process(up.pid).children() if word in p.cmdline()]
    return found


def test_dagster_answers_with_every_asset(journey: Journey, up: "subprocess.Popen[str]") -> None:
    data = dagster(journey, "{version assetNodes{assetKey{path} groupName}}")
    assert data["version"].startswith("1.13.")
    names = {node["assetKey"]["path"][0]: node["groupName"] for node in data["assetNodes"]}
    assert names == ASSET_GROUPS


def test_dagster_shows_the_runs_of_the_main_job(
    journey: Journey, grown: Chapter, up: "subprocess.Popen[str]"
) -> None:
    data = dagster(journey, "{runsOrError{... on Runs{results{jobName status}}}}")
    runs = [(r["jobName"], r["status"]) for r in data["runsOrError"]["results"]]
    assert runs[::-1][: len(grown.runs)] == grown.runs


def test_sensors_run_without_being_switched_on(
    journey: Journey, up: "subprocess.Popen[str]"
) -> None:
    query = (
        "{repositoriesOrError{... on RepositoryConnection{nodes{sensors{name sensorState"
        "{status ticks(limit: 1, statuses: [SKIPPED, SUCCESS, FAILURE])"
        "{status skipReason error{message}}}}}}}}"  # not the one that is under way
    )

    def sensors() -> dict[str, Any]:
        nodes = dagster(journey, query)["repositoriesOrError"]["nodes"]
        return {s["name"]: s["sensorState"] for node in nodes for s in node["sensors"]}

    wait_for(lambda: all(s["ticks"] for s in sensors().values()), READY_S, pause_s=0.2)
    found = sensors()
    assert {name: s["status"] for name, s in found.items()} == {
        "source_files_changed": "RUNNING",
        "automation": "RUNNING",
    }
    (tick,) = found["source_files_changed"]["ticks"]
    assert tick["error"] is None
    assert "2 files unchanged; quarantined broken.parquet" in tick["skipReason"]


def test_servers_are_taken_over_and_serve_the_same(
    journey: Journey, grown: Chapter, up: "subprocess.Popen[str]"
) -> None:
    for name in ("staging", "production"):
        assert journey.post(name, "/v1/score", {})["model_version"] == version_of(grown)
        assert psutil.Process(journey.server_pid(name)).ppid() == up.pid


def test_console_that_is_killed_comes_back(journey: Journey, up: "subprocess.Popen[str]") -> None:
    before = child(up, "console")
    before.kill()
    wait_for(lambda: not before.is_running() or before.status() == "zombie", 10)
    wait_for(lambda: journey.answers("console", "/healthz"), 30)
    assert child(up, "console").pid != before.pid


def test_second_up_is_refused_and_disturbs_nothing(
    journey: Journey, up: "subprocess.Popen[str]"
) -> None:
    before = {name: journey.server_pid(name) for name in ("staging", "production")}
    finished = journey.qlops("up")
    assert finished.status == 1
    port = journey.ports["dagster"]
    assert finished.error.startswith(f"error: port {port} is already in use; dagster needs")
    assert {name: journey.server_pid(name) for name in before} == before


def test_term_stops_everything_and_leaves_nothing(
    journey: Journey, up: "subprocess.Popen[str]"
) -> None:
    family = psutil.Process(up.pid).children(recursive=True)
    assert len(family) >= 6  # dagster dev, its webserver, daemon and code servers; console; servers
    started = time.monotonic()
    up.send_signal(signal.SIGTERM)
    out, err = up.communicate(timeout=STOPPED_S)
    assert time.monotonic() - started < STOPPED_S
    assert up.returncode == 0, err
    _, alive = psutil.wait_procs(family, timeout=2)
    assert [" ".join(p.cmdline()) for p in alive] == []
    for name in journey.ports:
        assert f"{name:<12} {journey.url(name)}" in err
    assert out == ""
    assert "console ended with -9; starting it again" in err
