"""The gates before a deployment: none of these starts a server or leaves a trace."""

from pathlib import Path

import pytest

from qlops_assets.core.errors import DeploymentError, GateNotPassedError, UnknownModelError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.deploy import Deployer
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent, ModelState
from qlops_assets_tests.support.served_models import InMemoryFeatures, set_live

E = ModelEvent
PATHS: dict[ModelState, list[ModelEvent]] = {
    ModelState.TRAINING: [E.STARTED],
    ModelState.TRAINED: [E.STARTED, E.TRAINED],
    ModelState.VALIDATED: [E.STARTED, E.TRAINED, E.VALIDATED],
    ModelState.REJECTED: [E.STARTED, E.TRAINED, E.REJECTED],
    ModelState.FAILED: [E.STARTED, E.FAILED],
    ModelState.CANCELLED: [E.STARTED, E.CANCELLED],
    ModelState.STAGING: [E.STARTED, E.TRAINED, E.VALIDATED, E.STAGED],
    ModelState.PRODUCTION: [E.STARTED, E.TRAINED, E.VALIDATED, E.STAGED, E.PROMOTED],
    ModelState.ARCHIVED: [E.STARTED, E.TRAINED, E.VALIDATED, E.STAGED, E.SUPERSEDED],
    ModelState.RETIRED: [E.STARTED, E.TRAINED, E.VALIDATED, E.RETIRED],
}
DEPLOYABLE = {
    ModelState.VALIDATED,
    ModelState.STAGING,
    ModelState.PRODUCTION,
    ModelState.ARCHIVED,
}


class Home:
    """A home with the version ``v1`` in some state; it has no artifact."""

    def __init__(self, folder: Path, state: ModelState) -> None:
        self.settings = Settings(home=folder)
        self.journal = Journal(self.settings.journal_url)
        registry = Registry(self.journal)
        for event in PATHS[state]:
            registry.advance("v1", event, by="t", why="t", facts={"artifact_sha256": "a"})
        assert registry.state("v1") == state
        self.history = DeploymentHistory(self.journal)
        self.deployer = Deployer(self.settings, self.journal, InMemoryFeatures())

    def trace(self, environment: str) -> list[str]:
        return [event.kind for event in self.history.events(environment)]


def test_every_state_has_a_path() -> None:
    assert set(PATHS) == set(ModelState)


@pytest.mark.parametrize("state", sorted(set(ModelState) - DEPLOYABLE))
def test_version_that_is_not_validated_is_refused(tmp_path: Path, state: ModelState) -> None:
    home = Home(tmp_path, state)
    with pytest.raises(GateNotPassedError, match=f"did not pass validation: its state is {state}"):
        home.deployer.deploy("v1", "staging", by="ada")
    assert home.trace("staging") == []


@pytest.mark.parametrize("state", sorted(DEPLOYABLE))
def test_version_that_was_validated_passes_the_gate_of_staging(
    tmp_path: Path, state: ModelState
) -> None:
    """It then fails for want of an artifact, before any server is started."""
    home = Home(tmp_path, state)
    with pytest.raises(DeploymentError, match=r"v1 was not deployed: .*no model artifact"):
        home.deployer.deploy("v1", "staging", by="ada")
    assert home.trace("staging") == ["started", "failed"]
    assert not list(home.settings.servers.glob("*.json"))


@pytest.mark.parametrize("in_staging", [None, "v0"])
def test_production_needs_the_version_to_be_live_in_staging_first(
    tmp_path: Path, in_staging: str | None
) -> None:
    home = Home(tmp_path, ModelState.VALIDATED)
    if in_staging:
        set_live(home.journal, "staging", in_staging)
    with pytest.raises(
        GateNotPassedError,
        match=f"staging first: staging serves {in_staging or 'nothing'}; deploy it to staging",
    ):
        home.deployer.deploy("v1", "production", by="ada")
    assert home.trace("production") == []


def test_production_needs_an_approval_of_this_artifact(tmp_path: Path) -> None:
    home = Home(tmp_path, ModelState.STAGING)
    set_live(home.journal, "staging", "v1")
    with pytest.raises(GateNotPassedError, match=r"nobody approved .* run `qlops approve v1"):
        home.deployer.deploy("v1", "production", by="ada")
    for evidence in ("another", None):
        facts = {} if evidence is None else {"evidence": evidence}
        home.history.record("production", "v1", DeploymentEvent.APPROVED, by="bob", **facts)
        with pytest.raises(GateNotPassedError, match="did not pass approval"):
            home.deployer.deploy("v1", "production", by="ada")
    assert home.trace("production") == ["approved", "approved"]
    home.history.record("production", "v1", DeploymentEvent.APPROVED, by="bob", evidence="a")
    with pytest.raises(DeploymentError, match="no model artifact"):
        home.deployer.deploy("v1", "production", by="ada")


def test_unknown_environment_and_version_are_named(tmp_path: Path) -> None:
    home = Home(tmp_path, ModelState.VALIDATED)
    with pytest.raises(DeploymentError, match=r"'stagin'; did you mean 'staging'\?"):
        home.deployer.deploy("v1", "stagin", by="ada")
    with pytest.raises(UnknownModelError, match="Known: v1"):
        home.deployer.deploy("v2", "staging", by="ada")


def test_environment_without_a_live_version_has_nothing_to_resume(tmp_path: Path) -> None:
    home = Home(tmp_path, ModelState.VALIDATED)
    assert home.deployer.resume("staging") is None
    assert not home.deployer.is_settled("v1", "staging")
