"""Model versions trained on the small market, registered as the training assets register them."""

from dataclasses import replace
from pathlib import Path

from qlops_assets.core.journal import Journal
from qlops_assets.core.progress import Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.support.market import copied


def with_seed(settings: Settings, seed: int) -> Settings:
    """Return the settings of another version on the same data."""
    return replace(settings, training=replace(settings.training, seed=seed))


def build_trained(folder: Path, market: Settings) -> None:
    """Copy a home into a folder; train and evaluate one version there, train a second."""
    home = copied(market, folder / "home")
    versions = [train(home), train(with_seed(home, 8), evaluate=False)]
    (folder / "versions").write_text("\n".join(versions), encoding="utf-8")


def train(settings: Settings, *, evaluate: bool = True) -> str:
    """Train the version that the settings name, register it as validated and return its name."""
    from qlops_assets.training.evaluation import evaluate_model
    from qlops_assets.training.fit import fit_model, prepare_training_set
    from qlops_assets.training.spec import training_spec

    registry = Registry(Journal(settings.journal_url))
    spec = training_spec(settings)
    prepare_training_set(settings, spec.version, Unreported())
    facts = {"source": spec.source, "simulated": spec.simulated, "spec_digest": spec.digest}
    _advance(registry, spec.version, ModelEvent.STARTED, facts)
    trained = fit_model(settings, spec.version, Unreported())
    facts = {"artifact_sha256": trained.artifact.sha256, "best_iteration": trained.best_iteration}
    _advance(registry, spec.version, ModelEvent.TRAINED, facts)
    metrics = evaluate_model(settings, spec.version, Unreported()).metrics() if evaluate else {}
    _advance(registry, spec.version, ModelEvent.VALIDATED, {"metrics": metrics})
    return spec.version


def _advance(registry: Registry, version: str, event: ModelEvent, facts: dict[str, object]) -> None:
    registry.advance(version, event, by="tests", why="needed", facts=facts)
