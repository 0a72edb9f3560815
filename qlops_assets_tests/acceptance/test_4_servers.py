"""Servers that are killed, started by hand, stopped: the same version, the same scores."""

import signal

import psutil
import pytest

from qlops_assets_tests.acceptance.conftest import Chapter, demo, version_of
from qlops_assets_tests.support.journeys import Journey
from qlops_assets_tests.support.waiting import wait_for


def scores(journey: Journey, environment: str) -> dict[str, float]:
    answer = journey.post(environment, "/v1/score", {})
    return {row["instrument"]: row["score"] for row in answer["scores"]}


def kill(journey: Journey, environment: str) -> None:
    process = psutil.Process(journey.server_pid(environment))
    process.kill()
    process.wait(10)


@pytest.fixture(scope="module")
def expected(grown: Chapter) -> dict[str, float]:
    return {row["instrument"]: row["score"] for row in grown.facts["score"]["scores"]}


def test_killed_server_is_missed_in_one_line(journey: Journey, grown: Chapter) -> None:
    kill(journey, "production")
    finished = journey.qlops("predict", "--json")
    assert finished.status == 1
    assert "production: no server is running; start it with" in finished.document["error"]


def test_main_job_starts_killed_servers_with_the_same_version(
    journey: Journey, grown: Chapter, expected: dict[str, float]
) -> None:
    assert not journey.answers("production", "/v2/health/live")
    finished = journey.qlops("demo", "--bars", str(journey.source))
    assert finished.status == 0, finished.err
    assert scores(journey, "production") == expected
    # The summary for people, here of a run that had nothing else to do:
    assert version_of(grown) in finished.out
    stages = "bars, alpha158_factors, indicator_features, feature_table, training, staging"
    assert f"not done again: {stages}, production" in finished.out
    assert "broken.parquet: is not a readable Parquet file" in finished.out
    assert "simulated" not in finished.out.lower()


def test_server_started_by_hand_serves_the_live_version(
    journey: Journey, grown: Chapter, expected: dict[str, float]
) -> None:
    kill(journey, "production")
    server = journey.start("serve", "--environment", "production")
    wait_for(lambda: journey.answers("production", "/v2/health/ready"), 30)
    assert scores(journey, "production") == expected
    answer = journey.qlops("predict", "--top", "3", "--json").document
    assert answer["model_version"] == version_of(grown)
    server.send_signal(signal.SIGTERM)
    _, err = server.communicate(timeout=20)
    assert server.returncode == 0, err
    assert f"production: {journey.url('production')}" in err.splitlines()
    assert "Traceback" not in err


def test_down_stops_what_runs(journey: Journey, grown: Chapter) -> None:
    if not journey.answers("staging", "/v2/health/live"):
        journey.qlops(*demo(journey))
    pid = journey.server_pid("staging")
    assert "staging" in journey.qlops("down", "--json").document["stopped"]
    wait_for(lambda: not psutil.pid_exists(pid), 10)
    assert journey.qlops("down", "--json").document == {"stopped": []}
