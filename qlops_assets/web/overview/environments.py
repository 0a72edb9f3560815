"""What is deployed where, and whether it answers."""

from typing import Any

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import EnvironmentSettings, Settings
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.web.health import Surroundings


def environment_statuses(
    settings: Settings, journal: Journal, surroundings: Surroundings
) -> list[dict[str, Any]]:
    """Return each environment's live version, last deployment and health."""
    history = DeploymentHistory(journal)
    return [
        {**_environment(name, environment, history), "health": _health(surroundings, name)}
        for name, environment in settings.environments.items()
    ]


def _environment(
    name: str, environment: EnvironmentSettings, history: DeploymentHistory
) -> dict[str, Any]:
    completed = [e for e in history.events(name) if e.kind == DeploymentEvent.COMPLETED]
    latest = history.latest(name)
    return {
        "environment": name,
        "model_version": history.live_version(name),
        "live_since": completed[-1].at.isoformat() if completed else None,
        "needs_approval": environment.needs_approval,
        "deployment": latest
        and {
            "model_version": latest.model_version,
            "status": str(latest.status),
            "at": latest.at.isoformat(),
            "why": latest.facts.get("why"),
        },
    }


def _health(surroundings: Surroundings, name: str) -> dict[str, Any]:
    health = surroundings.servers[name]
    return {
        "state": str(health.state),
        "detail": health.detail,
        "serves": health.serves,
        "url": health.url,
        "checked_at": health.checked_at.isoformat(),
    }
