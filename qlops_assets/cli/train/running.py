"""What ``qlops train`` does, and how it is told."""

import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from qlops_assets.cli.demo.alone import alone
from qlops_assets.cli.demo.watching import progress_shown
from qlops_assets.cli.instance import Runs
from qlops_assets.cli.shell import Shell
from qlops_assets.core.errors import DatasetMissingError
from qlops_assets.core.settings import Settings


def run_training(
    shell: Shell, model: str | None, file: Path | None, changes: Sequence[str]
) -> None:
    """Train, evaluate and register a version, and print what came of it.

    Args:
        shell: The command's surroundings.
        model: A name of the model catalog; as the recipe or ``qlops.toml`` says where None.
        file: A recipe.
        changes: ``KEY=VALUE`` of ``[training]``.

    Raises:
        QlopsError: the recipe cannot be used, or the training failed; the registry says why.
    """
    settings, notes = asked_settings(shell, model, file, changes)
    document = {**train_version(shell, settings), "notes": notes}
    shell.emit(document, lambda out: render_version(out, document))


def asked_settings(
    shell: Shell, model: str | None, file: Path | None, changes: Sequence[str]
) -> tuple[Settings, list[str]]:
    """Return the settings of what is asked for, and what of a recipe was not taken over.

    Raises:
        QlopsError: the home has no features, or the recipe cannot be used.
    """
    from qlops_assets.training.recipes import read_spec

    require_feature_table(shell.settings)
    settings, notes = read_spec(shell.settings, file) if file else (shell.settings, [])
    settings = with_changes(settings, model, changes)
    for note in notes:
        shell.log().print(note, markup=False, style="yellow")
    return settings, notes


def train_version(shell: Shell, settings: Settings) -> dict[str, Any]:
    """Train the version that settings name, unless it was; return what is known of it.

    Raises:
        QlopsError: the training failed; the registry says why.
    """
    from qlops_assets.defs.automation import TRAINING_JOB
    from qlops_assets.registry.registry import Registry
    from qlops_assets.registry.states import ModelEvent, next_state
    from qlops_assets.training.recipes import keep_recipe
    from qlops_assets.training.spec import training_spec

    version, started = training_spec(settings).version, time.monotonic()
    registry = Registry(shell.journal)
    is_new = next_state(registry.state(version), ModelEvent.STARTED) is not None
    if is_new:
        shell.log().print(f"training {version}", markup=False)
        with alone(shell.settings.home), progress_shown(shell):
            keep_recipe(settings, version)
            runs = Runs(settings)
            runs.add_model_version(version)
            runs.run(TRAINING_JOB, partition=version)
    return {
        **registry.card(version).to_json(),
        "trained_now": is_new,
        "report": str(settings.models / version / "report.html"),
        "wall_s": round(time.monotonic() - started, 1),
    }


def require_feature_table(settings: Settings) -> None:
    """Refuse a home without features.

    Raises:
        DatasetMissingError: it has none.
    """
    from qlops_assets.features.store import FeatureStore

    if FeatureStore(settings).latest() is None:
        accepted = "run `qlops demo` once, or `qlops up` and `qlops features refresh`"
        raise DatasetMissingError("feature_table", [], accepted)


def with_changes(settings: Settings, model: str | None, changes: Sequence[str]) -> Settings:
    """Return settings with another model and other keys; its parameters are then its own.

    Raises:
        click.BadParameter: a change is not ``KEY=VALUE``.
        SettingsError: a key is unknown, or a value of the wrong type.
    """
    from qlops_assets.training.recipes import recipe_of, with_sections

    training = recipe_of(settings)["training"]
    if model is not None and model != training["model"]:
        training = {k: v for k, v in training.items() if k not in ("parameters", "processors")}
        training["model"] = model
    for change in changes:
        _set(training, change)
    changed = with_sections(settings, {"training": training}, "--set")
    return replace(settings, training=changed.training)


def _set(training: dict[str, Any], change: str) -> None:
    key, found, text = change.partition("=")
    if not found or not key.strip():
        raise click.BadParameter(f"--set: was {change!r}, must be KEY=VALUE")
    names = key.strip().split(".")
    table = training
    for name in names[:-1]:
        table = table.setdefault(name, {})
    table[names[-1]] = _value(text.strip())


def _value(text: str) -> Any:
    """Return a value as TOML has it; what is none is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def render_version(out: Any, document: Mapping[str, Any]) -> None:
    """Print what came of a training."""
    if not document["trained_now"]:
        out.print(f"{document['model_version']} was trained before and is {document['state']}")
    metrics = document.get("metrics") or {}
    out.print(f"version      {document['model_version']}", markup=False)
    out.print(f"state        {document['state']}")
    if metrics:
        out.print(
            f"test         Rank IC {metrics['rank_ic']:.4f}, ICIR {metrics['icir']:.3f}, "
            f"information ratio {metrics['information_ratio']:.2f}"
        )
    if "best_iteration" in document:
        out.print(f"iterations   best {document['best_iteration']} of {document['iterations']}")
    out.print(f"report       {document['report']}", markup=False)
    if document["trained_now"]:
        out.print(f"time         {document['wall_s']:.1f} s")
