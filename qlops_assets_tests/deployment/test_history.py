from pathlib import Path

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory

E = DeploymentEvent


@pytest.fixture
def history(tmp_path: Path) -> DeploymentHistory:
    return DeploymentHistory(Journal(f"sqlite:///{tmp_path / 'journal.db'}"))


def test_environment_without_events_serves_nothing(history: DeploymentHistory) -> None:
    assert history.live_version("staging") is None
    assert history.latest("staging") is None
    assert history.events("staging") == []


def test_live_version_is_that_of_the_last_completed_deployment(history: DeploymentHistory) -> None:
    history.record("staging", "v1", E.STARTED)
    assert history.live_version("staging") is None
    history.record("staging", "v1", E.COMPLETED)
    history.record("staging", "v2", E.STARTED)
    assert history.live_version("staging") == "v1"
    history.record("staging", "v2", E.FAILED, why="no")
    assert history.live_version("staging") == "v1"
    history.record("staging", "v2", E.COMPLETED)
    assert history.live_version("staging") == "v2"
    assert history.live_version("production") is None


def test_events_can_be_of_one_version(history: DeploymentHistory) -> None:
    for version in ("v1", "v2", "v1"):
        history.record("staging", version, E.STARTED)
    assert len(history.events("staging")) == 3
    assert len(history.events("staging", "v1")) == 2


def test_latest_is_where_the_newest_deployment_stands_with_its_facts(
    history: DeploymentHistory,
) -> None:
    history.record("staging", "v1", E.COMPLETED, url="old")
    history.record("staging", "v2", E.REQUESTED, by="ada", why="good figures")
    last = history.record("staging", "v2", E.STARTED, by="bob")
    latest = history.latest("staging")
    assert latest is not None
    assert (latest.model_version, latest.status, latest.at) == ("v2", E.STARTED, last.at)
    assert latest.facts == {"by": "bob", "why": "good figures"}


def test_latest_says_why_it_failed_until_it_does_not(history: DeploymentHistory) -> None:
    history.record("staging", "v1", E.REQUESTED, why="good figures")
    history.record("staging", "v1", E.FAILED, why="port 1 is in use")
    failed = history.latest("staging")
    history.record("staging", "v1", E.STARTED)
    history.record("staging", "v1", E.COMPLETED, url="here")
    done = history.latest("staging")
    assert failed is not None
    assert done is not None
    assert (failed.status, failed.facts["why"]) == (E.FAILED, "port 1 is in use")
    assert (done.status, done.facts["why"]) == (E.COMPLETED, "good figures")
