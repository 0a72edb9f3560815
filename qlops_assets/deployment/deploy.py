"""One deployment: gates, the switch in the model server, the health check, the record."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from qlops_assets.core.errors import DeploymentError, GateNotPassedError, QlopsError, ServerError
from qlops_assets.core.journal import Journal
from qlops_assets.core.prediction import FeatureLookup, Predictor
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.approvals import Approvals, require_environment
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.deployment.model_source import RegisteredModels
from qlops_assets.deployment.servers import (
    ServerRecord,
    ensure_server,
    is_ready,
    load_version,
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
_LIVE = (ModelState.STAGING, ModelState.PRODUCTION)


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
        with _one_at_a_time(self._settings, environment):
            self._require_gates(version, environment)
            previous = self._history.live_version(environment)
            self._history.record(environment, version, DeploymentEvent.STARTED, by=by)
            try:
                url, health = self._switch(environment, version, previous)
            except QlopsError as error:
                self._history.record(
                    environment, version, DeploymentEvent.FAILED, by=by, why=str(error)
                )
                found = f"{environment}: {version} was not deployed: {error}"
                raise DeploymentError(found) from error
            self._history.record(environment, version, DeploymentEvent.COMPLETED, by=by, url=url)
            self._settle(version, environment, by=by)
        return DeploymentReport(environment, version, previous, url, health)

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
        with _one_at_a_time(self._settings, environment):
            live = self._history.live_version(environment)
            if live is None:
                return None
            server = ensure_server(self._settings, environment, idle_minutes=self._idle)
            if _served(server) != live:  # it has just started, or a deployment was cut off half way
                load_version(server, live)
            return server

    def _switch(
        self, environment: str, version: str, previous: str | None
    ) -> tuple[str, HealthCheck]:
        """Let the environment's server answer with the version, or put back what it served."""
        predictor = self._models.load(version)  # refuses before anything is touched
        # A server looks features up in the lake of one source: it cannot serve another's versions.
        keeps = previous is None or self._source(previous) == self._source(version)
        if not keeps:
            stop_server(self._settings, environment)
        server = ensure_server(self._settings, environment, idle_minutes=self._idle)
        try:
            load_version(server, version)
            return server.url, self._check(server, version, predictor)
        except QlopsError:
            self._put_back(server, previous if keeps else None)
            raise

    def _put_back(self, server: ServerRecord, previous: str | None) -> None:
        if previous is not None:
            if _served(server) == previous:
                return
            with contextlib.suppress(DeploymentError):
                load_version(server, previous)
                return
        stop_server(self._settings, server.environment)  # rather than serve what was not deployed

    def _source(self, version: str) -> object:
        return self._registry.card(version).facts.get("source")

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

    def _check(self, server: ServerRecord, version: str, predictor: Predictor) -> HealthCheck:
        if not is_ready(server):
            raise DeploymentError(f"{server.url}: the server is not ready after loading")
        day = self._features.last_date()
        if day is None:
            raise DeploymentError("no factor rows to check with; materialize alpha158_factors")
        rows = self._features.rows(
            day,
            predictor.features,
            expressions=predictor.expressions,
            window=predictor.window,
        )
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

    def _settle(self, version: str, environment: str, *, by: str) -> None:
        """Let the registry follow the history; last the version, so that a crash shows."""
        why = f"{version} took its place in {environment}"
        live = {self._history.live_version(name) for name in self._settings.environments}
        for card in self._registry.cards():
            if card.state in _LIVE and card.version not in live:
                self._registry.advance(card.version, ModelEvent.SUPERSEDED, by=by, why=why)
        event, target = (
            (ModelEvent.PROMOTED, ModelState.PRODUCTION)
            if self._settings.environments[environment].after
            else (ModelEvent.STAGED, ModelState.STAGING)
        )
        if self._registry.card(version).state not in (target, ModelState.PRODUCTION):
            self._registry.advance(version, event, by=by, why=f"deployed to {environment}")


def _served(server: ServerRecord) -> str | None:
    """Return the version that a server answers with, or None where it does not answer."""
    try:
        return str(score(server)["model_version"])
    except ServerError:
        return None


@contextlib.contextmanager
def _one_at_a_time(settings: Settings, environment: str) -> Iterator[None]:
    """Let two deployments to one environment wait for each other, in whatever processes."""
    settings.servers.mkdir(parents=True, exist_ok=True)
    with (settings.servers / f"{environment}.deployment.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
