"""Registered models, as the model server asks for them."""

from typing import Any

from qlops_assets.core.errors import ArtifactError
from qlops_assets.core.journal import Journal
from qlops_assets.core.prediction import Predictor
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.history import DeploymentHistory
from qlops_assets.models.artifact import load_predictor
from qlops_assets.registry.registry import Registry


class RegisteredModels:
    """The ``ModelSource`` of a home: versions from the registry, artifacts from its folder."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._folder = settings.models
        self._registry = Registry(journal)
        self._history = DeploymentHistory(journal)

    def live_version(self, environment: str) -> str | None:
        """Return the version of the environment's last completed deployment, or None."""
        return self._history.live_version(environment)

    def load(self, version: str) -> Predictor:
        """Load a version's artifact after verifying the SHA-256 that the registry holds.

        Raises:
            UnknownModelError: no such version.
            ArtifactError: the version was never trained, or its artifact is missing or altered.
        """
        facts = self._registry.card(version).facts
        if "artifact_sha256" not in facts:
            raise ArtifactError(f"model {version} has no artifact; its training did not finish")
        return load_predictor(self._folder / version, sha256=facts["artifact_sha256"])

    def describe(self, version: str) -> dict[str, Any]:
        """Return the version's card as JSON.

        Raises:
            UnknownModelError: no such version.
        """
        return self._registry.card(version).to_json()
