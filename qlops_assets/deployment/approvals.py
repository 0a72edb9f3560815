"""Who asked for a deployment, and who said yes."""

from collections.abc import Sequence

from qlops_assets.core.errors import DeploymentError, nearest
from qlops_assets.core.journal import Event
from qlops_assets.core.settings import EnvironmentSettings, Settings
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.registry.registry import Registry


class Approvals:
    """Requests and approvals, as events; an approval holds for one artifact in one environment."""

    def __init__(self, settings: Settings, history: DeploymentHistory, registry: Registry) -> None:
        self._settings, self._history, self._registry = settings, history, registry

    def request(self, environment: str, version: str, *, by: str, why: str) -> None:
        """Ask for a deployment; asking again for the same artifact changes nothing.

        Raises:
            DeploymentError: there is no such environment.
            UnknownModelError: there is no such version.
        """
        require_environment(self._settings, environment)
        evidence = self._evidence(version)
        if self._find(environment, version, (DeploymentEvent.REQUESTED,), evidence) is None:
            self._history.record(
                environment, version, DeploymentEvent.REQUESTED, by=by, why=why, evidence=evidence
            )

    def approve(self, environment: str, version: str, *, by: str, why: str) -> None:
        """Approve what was asked for.

        Raises:
            DeploymentError: nothing was asked for, or this person may not approve it.
        """
        place = require_environment(self._settings, environment)
        evidence = self._evidence(version)
        asked = self._find(environment, version, (DeploymentEvent.REQUESTED,), evidence)
        if asked is None:
            raise DeploymentError(
                f"{environment}: nobody asked to deploy {version!r} as it is now; request it first"
            )
        if place.approvers and by not in place.approvers:
            raise DeploymentError(
                f"{environment}: {by!r} may not approve; approvers are "
                f"{', '.join(place.approvers)} (see [environments.{environment}])"
            )
        if not place.self_approval and by == asked.data["by"]:
            raise DeploymentError(
                f"{environment}: {by!r} asked for this deployment and may not approve it"
            )
        if not self.is_approved(environment, version):
            self._history.record(
                environment, version, DeploymentEvent.APPROVED, by=by, why=why, evidence=evidence
            )

    def is_approved(self, environment: str, version: str) -> bool:
        """Return whether the last word on this artifact in this environment is a yes."""
        kinds = (DeploymentEvent.APPROVED, DeploymentEvent.REJECTED)
        last = self._find(environment, version, kinds, self._evidence(version))
        return last is not None and last.kind == DeploymentEvent.APPROVED

    def _evidence(self, version: str) -> str:
        return str(self._registry.card(version).facts.get("artifact_sha256", ""))

    def _find(
        self, environment: str, version: str, kinds: Sequence[DeploymentEvent], evidence: str
    ) -> Event | None:
        for event in reversed(self._history.events(environment, version)):
            if event.kind in kinds and event.data.get("evidence") == evidence:
                return event
        return None


def require_environment(settings: Settings, name: str) -> EnvironmentSettings:
    """Return an environment's settings.

    Raises:
        DeploymentError: there is no such environment; the known ones are named.
    """
    if name not in settings.environments:
        known = list(settings.environments)
        raise DeploymentError(
            f"unknown environment {name!r}{nearest(name, known)} Known: {', '.join(known)}"
        )
    return settings.environments[name]
