"""Deployments with real server processes, as ``qlops serve`` runs them, on the small market."""

import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import httpx
import psutil
import pytest

from qlops_assets.core.errors import DeploymentError
from qlops_assets.core.journal import Journal
from qlops_assets.core.prediction import FeatureLookup, FeatureRows
from qlops_assets.core.settings import EnvironmentSettings, Settings
from qlops_assets.deployment.approvals import Approvals
from qlops_assets.deployment.deploy import Deployer
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.deployment.servers import ServerRecord, load_version, running, score, stop_server
from qlops_assets.features.lookup import StoredFeatures
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent, ModelState
from qlops_assets.serving.run import bind
from qlops_assets_tests.support.market import copied, market_days
from qlops_assets_tests.support.market_fixtures import Trained

LAST_DAY = market_days()[-1]


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    listeners = [bind(0) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@dataclass
class Home:
    """A home with two validated versions, and all that deploys them."""

    settings: Settings
    first: str
    second: str

    def __post_init__(self) -> None:
        self.journal = Journal(self.settings.journal_url)
        self.registry = Registry(self.journal)
        self.history = DeploymentHistory(self.journal)
        self.approvals = Approvals(self.settings, self.history, self.registry)
        self.features = StoredFeatures(self.settings)

    def deployer(self, features: FeatureLookup | None = None) -> Deployer:
        return Deployer(self.settings, self.journal, features or self.features, idle_minutes=5)

    def server(self, environment: str = "staging") -> ServerRecord:
        return next(r for r in running(self.settings) if r.environment == environment)

    def served(self, environment: str = "staging") -> str:
        return str(score(self.server(environment))["model_version"])

    def states(self) -> tuple[ModelState, ModelState]:
        return self.registry.card(self.first).state, self.registry.card(self.second).state

    def kinds(self, environment: str = "staging") -> list[str]:
        return [event.kind for event in self.history.events(environment)]

    def make_settled(self) -> None:
        """Let staging serve the first version, and nothing else be deployed."""
        if not self.deployer().is_settled(self.first, "staging") or not running(self.settings):
            self.deployer().deploy(self.first, "staging", by="ada")


def make_home(trained: Trained, folder: Path) -> Home:
    staging, production = free_ports(2)
    environments = {
        "staging": EnvironmentSettings(port=staging),
        "production": EnvironmentSettings(port=production, needs_approval=True, after="staging"),
    }
    settings = replace(copied(trained.settings, folder / "home"), environments=environments)
    write_configuration(settings, folder / "qlops.toml")
    settings = replace(settings, config_file=folder / "qlops.toml")
    return Home(settings, trained.first, trained.second)


def write_configuration(settings: Settings, path: Path) -> None:
    """Write what the server's own process reads of these settings."""
    lines = ["[source]", f'path = "{settings.source.path}"']
    for name, place in settings.environments.items():
        lines += [f"[environments.{name}]", f"port = {place.port}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def home(trained: Trained, tmp_path: Path) -> Iterator[Home]:
    home = make_home(trained, tmp_path)
    yield home
    for environment in home.settings.environments:
        stop_server(home.settings, environment)


@pytest.fixture(scope="module")
def shared_home(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home of which staging is used by one test after another."""
    home = make_home(trained, tmp_path_factory.mktemp("shared"))
    yield home
    stop_server(home.settings, "staging")


@pytest.fixture
def staged(shared_home: Home) -> Home:
    """The shared home with its first version in staging."""
    shared_home.make_settled()
    assert shared_home.served() == shared_home.first
    return shared_home


def test_versions_go_through_staging_to_production_and_supersede_each_other(home: Home) -> None:
    deployer = home.deployer()
    report = deployer.deploy(home.first, "staging", by="ada")
    assert (report.model_version, report.previous_version) == (home.first, None)
    assert (report.health.day, report.health.instruments) == (LAST_DAY, 23)
    assert report.health.max_difference == 0.0
    assert home.states() == (ModelState.STAGING, ModelState.VALIDATED)
    assert deployer.is_settled(home.first, "staging")
    assert not deployer.is_settled(home.first, "production")

    promote(home, home.first)
    assert home.states() == (ModelState.PRODUCTION, ModelState.VALIDATED)
    assert deployer.is_settled(home.first, "staging")
    answer = httpx.post(f"{home.server('production').url}/v1/score", json={}, trust_env=False)
    assert answer.json()["model_version"] == home.first
    assert len(answer.json()["scores"]) == 23

    report = deployer.deploy(home.second, "staging", by="ada")
    assert report.previous_version == home.first
    assert home.states() == (ModelState.PRODUCTION, ModelState.STAGING)
    assert (home.served(), home.served("production")) == (home.second, home.first)

    promote(home, home.second)
    assert home.states() == (ModelState.ARCHIVED, ModelState.PRODUCTION)
    assert home.served("production") == home.second
    assert home.kinds("production") == ["requested", "approved", "started", "completed"] * 2
    last = home.registry.history(home.first)[-1]
    assert (last.by, last.why) == ("ada", f"{home.second} took its place in production")

    # And back: the approval of the first version's artifact still holds.
    deployer.deploy(home.first, "staging", by="ada")
    deployer.deploy(home.first, "production", by="ada")
    assert home.states() == (ModelState.PRODUCTION, ModelState.ARCHIVED)
    assert home.served("production") == home.first


def promote(home: Home, version: str) -> None:
    home.approvals.request("production", version, by="ada", why="good figures")
    home.approvals.approve("production", version, by="bob", why="agreed")
    home.deployer().deploy(version, "production", by="ada")


def test_artifact_that_was_altered_leaves_the_old_version_serving(staged: Home) -> None:
    path = staged.settings.models / staged.second / "model.txt"
    content = path.read_text(encoding="utf-8")
    before = staged.server()
    try:
        path.write_text(content.replace("leaf_value=", "leaf_value=9", 1), encoding="utf-8")
        with pytest.raises(DeploymentError, match=f"{staged.second} was not deployed: .*SHA-256"):
            staged.deployer().deploy(staged.second, "staging", by="ada")
    finally:
        path.write_text(content, encoding="utf-8")
    assert staged.served() == staged.first
    assert staged.server() == before
    latest = staged.history.latest("staging")
    assert latest is not None
    assert (latest.model_version, latest.status) == (staged.second, DeploymentEvent.FAILED)
    assert "SHA-256" in latest.facts["why"]
    assert staged.history.live_version("staging") == staged.first
    assert staged.registry.card(staged.second).state == ModelState.VALIDATED


@dataclass
class Skewed:
    """Feature rows that are not those the server looks up."""

    features: StoredFeatures

    def rows(
        self,
        day: date,
        features: Sequence[str],
        instruments: Sequence[str] | None = None,
        *,
        expressions: Mapping[str, str] | None = None,
        window: int = 1,
    ) -> FeatureRows:
        rows = self.features.rows(
            day, features, instruments, expressions=expressions, window=window
        )
        return FeatureRows(rows.date, rows.instruments, rows.values[:, ::-1].copy())

    def last_date(self) -> date | None:
        return self.features.last_date()


class Nothing(Skewed):
    """A store without rows."""

    def last_date(self) -> date | None:
        return None


@pytest.mark.parametrize(
    ("kind", "message"),
    [(Skewed, "scores differ from the artifact's by up to"), (Nothing, "no factor rows to check")],
)
def test_version_that_fails_its_check_after_loading_is_taken_back(
    staged: Home, kind: type[Skewed], message: str
) -> None:
    deployer = staged.deployer(kind(staged.features))
    with pytest.raises(DeploymentError, match=message):
        deployer.deploy(staged.second, "staging", by="ada")
    assert staged.served() == staged.first
    assert staged.history.live_version("staging") == staged.first
    assert staged.kinds()[-1] == "failed"


def test_server_that_was_killed_is_resumed_with_the_same_version(staged: Home) -> None:
    before = staged.server()
    process = psutil.Process(before.pid)
    process.kill()  # SIGKILL
    process.wait(10)
    assert running(staged.settings) == []
    record = staged.deployer().resume("staging")
    assert record is not None
    assert record.pid != before.pid
    wait_until_served(staged, staged.first)


def wait_until_served(home: Home, version: str) -> None:
    for _ in range(200):
        answer = httpx.get(f"{home.server().url}/v2/health/ready", trust_env=False)
        if answer.is_success:
            break
        time.sleep(0.05)
    assert home.served() == version


def test_deployment_that_was_cut_off_after_loading_is_taken_back_by_resume(staged: Home) -> None:
    load_version(staged.server(), staged.second)  # and then the deploying process dies
    assert staged.served() == staged.second
    staged.deployer().resume("staging")
    assert staged.served() == staged.first


def test_deployment_that_was_cut_off_before_the_registry_knew_is_finished_by_the_next(
    staged: Home,
) -> None:
    deployer = staged.deployer()
    load_version(staged.server(), staged.second)
    staged.history.record("staging", staged.second, DeploymentEvent.COMPLETED, by="ada")
    assert staged.states() == (ModelState.STAGING, ModelState.VALIDATED)
    assert not deployer.is_settled(staged.second, "staging")
    deployer.deploy(staged.second, "staging", by="ada")
    assert staged.states() == (ModelState.ARCHIVED, ModelState.STAGING)
    assert deployer.is_settled(staged.second, "staging")


def test_two_deployments_at_once_leave_server_history_and_registry_of_one_mind(
    staged: Home,
) -> None:
    versions = [staged.first, staged.second] * 2
    failures: list[Exception] = []

    def deploy(version: str) -> None:
        try:
            Home(staged.settings, staged.first, staged.second).deployer().deploy(
                version, "staging", by="ada"
            )
        except DeploymentError as error:
            failures.append(error)

    threads = [threading.Thread(target=deploy, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    live = staged.history.live_version("staging")
    assert staged.served() == live
    by_version = dict(zip((staged.first, staged.second), staged.states(), strict=True))
    other = staged.second if live == staged.first else staged.first
    assert by_version == {live: ModelState.STAGING, other: ModelState.ARCHIVED}
    assert staged.kinds()[-8:] == ["started", "completed"] * 4


def test_version_of_another_source_gets_a_server_of_its_own(staged: Home) -> None:
    """A server looks features up in one lake: it is not handed a version of another."""
    foreign = f"{staged.second}-elsewhere"
    shutil.copytree(staged.settings.models / staged.second, staged.settings.models / foreign)
    card = staged.registry.card(staged.second)
    facts = {"artifact_sha256": card.facts["artifact_sha256"], "source": "elsewhere"}
    for event in (ModelEvent.STARTED, ModelEvent.TRAINED, ModelEvent.VALIDATED):
        staged.registry.advance(foreign, event, by="t", why="t", facts=facts)
    before = staged.server()
    staged.deployer().deploy(foreign, "staging", by="ada")
    assert staged.server().pid != before.pid
    assert staged.served() == foreign


def test_port_that_is_in_use_is_named(home: Home) -> None:
    port = home.settings.environments["staging"].port
    with (
        closing(bind(port)),
        pytest.raises(DeploymentError, match=f"port {port} is already in use.*staging"),
    ):
        home.deployer().deploy(home.first, "staging", by="ada")
    assert home.kinds() == ["started", "failed"]
    assert home.states() == (ModelState.VALIDATED, ModelState.VALIDATED)


def test_first_version_that_fails_its_check_leaves_no_server_behind(home: Home) -> None:
    with pytest.raises(DeploymentError, match="no factor rows to check"):
        home.deployer(Nothing(home.features)).deploy(home.first, "staging", by="ada")
    assert running(home.settings) == []
    assert home.deployer().resume("staging") is None
