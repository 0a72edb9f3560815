"""What is deployed where, folded from the journal's topics ``deployment/<environment>``."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from qlops_assets.core.journal import Event, Journal


class DeploymentEvent(StrEnum):
    """What can happen to a deployment."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment of a version to an environment and how far it came."""

    environment: str
    model_version: str
    status: DeploymentEvent
    at: datetime
    facts: Mapping[str, Any]


class DeploymentHistory:
    """Reads and appends deployment events; holds no state of its own."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def record(self, environment: str, version: str, event: DeploymentEvent, **facts: Any) -> Event:
        """Append an event of one deployment."""
        return self._journal.append(
            f"deployment/{environment}", event, {"model_version": version, **facts}
        )

    def events(self, environment: str, version: str | None = None) -> list[Event]:
        """Return an environment's events, oldest first; of one version where it is given."""
        events = self._journal.read_all(f"deployment/{environment}")
        return [e for e in events if version is None or e.data["model_version"] == version]

    def live_version(self, environment: str) -> str | None:
        """Return the version of the last completed deployment, or None."""
        for event in reversed(self.events(environment)):
            if event.kind == DeploymentEvent.COMPLETED:
                return str(event.data["model_version"])
        return None

    def latest(self, environment: str) -> Deployment | None:
        """Return the environment's newest deployment and where it stands, or None."""
        events = self.events(environment)
        if not events:
            return None
        version = str(events[-1].data["model_version"])
        facts: dict[str, Any] = {}
        for event in events:
            is_past_failure = event.kind == DeploymentEvent.FAILED and event is not events[-1]
            if event.data["model_version"] == version and not is_past_failure:
                facts.update({k: v for k, v in event.data.items() if k != "model_version"})
        last = events[-1]
        return Deployment(environment, version, DeploymentEvent(last.kind), last.at, facts)
