"""One deployment: gates, the switch in the model server, the health check, the record."""

import time
from dataclasses import dataclass
from datetime import date

import numpy as np

from qlops_assets.core.errors import DeploymentError, GateNotPassedError, QlopsError
from qlops_assets.core.journal import Journal
from qlops_assets.core.prediction import FeatureLookup
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.approvals import Approvals, require_environment
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.deployment.model_source import RegisteredModels
from qlops_assets.deployment.servers import (
    ServerRecord,
    ensure_server,
    is_ready,
    load_version,
    running,
    score,
    stop_server,
)
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent, ModelState

_DEPLOYABLE = (
    ModelState.VALIDATED,
    ModelState.STAGING,
    ModelState.PRODUCTION,
    ModelState.ARCHIVED,
)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What the server answered for the newest day, against the artifact scored right here.

    ``max_difference`` is the largest absolute difference between the two; 0.0 means equal bits.
    """

    day: date
    instruments: int
    max_difference: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class DeploymentReport:
    """A completed deployment."""

    environment: str
    model_version: str
    previous_version: str | None
    url: str
    health: HealthCheck


class Deployer:
    """Brings registered versions into environments."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        features: FeatureLookup,
        *,
        idle_minutes: float | None = None,
    ) -> None:
        """Name what is deployed from and to.

        Args:
            settings: The environments and where their servers are.
            journal: Holds registry and history.
            features: Rows for the health check; the same that the server looks up.
            idle_minutes: A server started here stops after so long without a request.
        """
        self._settings, self._features, self._idle = settings, features, idle_minutes
        self._registry = Registry(journal)
        self._history = DeploymentHistory(journal)
        self._approvals = Approvals(settings, self._history, self._registry)
        self._models = RegisteredModels(settings, journal)

    def deploy(self, version: str, environment: str, *, by: str) -> DeploymentReport:
        """Deploy a version; on any failure the environment keeps serving what it served.

        Raises:
            GateNotPassedError: the version is not validated, was not in the environment before
                this one, or is not approved.
            DeploymentError: the server did not start, refused the version, or failed its check.
        """
        self._require_gates(version, environment)
        previous = self._history.live_version(environment)
        self._history.record(environment, version, DeploymentEvent.STARTED, by=by)
        try:
            self._stop_other_source(environment, previous, version)
            server = ensure_server(self._settings, environment, idle_minutes=self._idle)
            load_version(server, version)
            health = self._check(server, version)
        except QlopsError as error:
            self._restore(environment, previous)
            self._history.record(
                environment, version, DeploymentEvent.FAILED, by=by, why=str(error)
            )
            raise DeploymentError(f"{environment}: {version} was not deployed: {error}") from error
        self._history.record(environment, version, DeploymentEvent.COMPLETED, by=by, url=server.url)
        self._settle(version, environment, previous, by=by)
        return DeploymentReport(environment, version, previous, server.url, health)

    def is_settled(self, version: str, environment: str) -> bool:
        """Return whether the version is live in the environment and the registry says so."""
        if self._history.live_version(environment) != version:
            return False
        settled = [ModelState.PRODUCTION]
        if not self._settings.environments[environment].after:
            settled.append(ModelState.STAGING)
        return self._registry.card(version).state in settled

    def resume(self, environment: str) -> ServerRecord | None:
        """Start an environment's server with its live version, if it has one; return its record."""
        if self._history.live_version(environment) is None:
            return None
        return ensure_server(self._settings, environment, idle_minutes=self._idle)

    def _require_gates(self, version: str, environment: str) -> None:
        place = require_environment(self._settings, environment)
        state = self._registry.card(version).state
        if state not in _DEPLOYABLE:
            raise GateNotPassedError(
                version, "validation", f"its state is {state!s}", "a validated version is needed"
            )
        if place.after and self._history.live_version(place.after) != version:
            live = self._history.live_version(place.after)
            raise GateNotPassedError(
                version,
                f"{place.after} first",
                f"{place.after} serves {live or 'nothing'}",
                f"deploy it to {place.after} before {environment}",
            )
        if place.needs_approval and not self._approvals.is_approved(environment, version):
            raise GateNotPassedError(
                version,
                "approval",
                f"nobody approved this artifact for {environment}",
                f"run `qlops approve {version} --environment {environment}`",
            )

    def _check(self, server: ServerRecord, version: str) -> HealthCheck:
        if not is_ready(server):
            raise DeploymentError(f"{server.url}: the server is not ready after loading")
        day = self._features.last_date()
        if day is None:
            raise DeploymentError("no factor rows to check with; materialize alpha158_factors")
        predictor = self._models.load(version)
        rows = self._features.rows(day, predictor.features)
        expected = predictor.predict(rows.values)
        started = time.perf_counter()
        answer = score(server, date=day.isoformat(), instruments=rows.instruments)
        latency_ms = round(1000 * (time.perf_counter() - started), 2)
        if answer["model_version"] != version:
            raise DeploymentError(f"{server.url}: answered as {answer['model_version']}")
        got = {item["instrument"]: item["score"] for item in answer["scores"]}
        difference = float(np.max(np.abs([got[i] for i in rows.instruments] - expected)))
        if difference > 0:
            raise DeploymentError(
                f"{server.url}: scores differ from the artifact's by up to {difference:g}"
            )
        return HealthCheck(day, len(rows.instruments), difference, latency_ms)

    def _settle(self, version: str, environment: str, previous: str | None, *, by: str) -> None:
        place = self._settings.environments[environment]
        event, target = (
            (ModelEvent.PROMOTED, ModelState.PRODUCTION)
            if place.after
            else (ModelEvent.STAGED, ModelState.STAGING)
        )
        why = f"deployed to {environment}"
        state = self._registry.card(version).state
        if state not in (target, ModelState.PRODUCTION):
            self._registry.advance(version, event, by=by, why=why)
        if previous and previous != version and not self._is_live(previous):
            superseded = f"{version} took its place in {environment}"
            self._registry.advance(previous, ModelEvent.SUPERSEDED, by=by, why=superseded)

    def _stop_other_source(self, environment: str, previous: str | None, version: str) -> None:
        """Stop a server that looks its features up in the lake of another source."""
        if previous is None:
            return
        sources = {self._registry.card(v).facts.get("source") for v in (previous, version)}
        if len(sources) > 1:
            stop_server(self._settings, environment)

    def _restore(self, environment: str, previous: str | None) -> None:
        """Make the environment serve what it served before; where that was nothing, nothing."""
        servers = {record.environment: record for record in running(self._settings)}
        if previous is None:
            stop_server(self._settings, environment)
        elif environment in servers:
            load_version(servers[environment], previous)

    def _is_live(self, version: str) -> bool:
        return any(
            self._history.live_version(name) == version for name in self._settings.environments
        )
