"""What was trained: Qlib's task and our spec, as parameters and as files."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.atomic import read_json
from qlops_assets.core.errors import QlopsError
from qlops_assets.core.settings import Settings
from qlops_assets.registry.used_data import TRAINING_SET

# MLflow cuts what is longer than its limit in silence, and Qlib lowers that limit to 1000.
_LONGEST: Final = 500
_NOT_IN_A_NAME: Final = re.compile(r"[^-_./ \w]")
_TOP: Final = ("universe", "label", "source", "simulated", "last_day")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration of a training.

    Attributes:
        parameters: Flat, by Qlib's names where Qlib has them: ``model.kwargs.learning_rate``.
        task: Qlib's task, as ``qrun`` takes it; None where it cannot be said in Qlib's words.
        yaml: That task with where its data is.
        spec: Everything that decides the training; None where it failed before that was known.
        note: Why there is no task of Qlib's; empty where there is one.
    """

    parameters: dict[str, str]
    task: dict[str, Any] | None = None
    yaml: str | None = None
    spec: Mapping[str, Any] | None = None
    note: str = ""


@dataclass
class _Found:
    task: dict[str, Any] | None = None
    yaml: str | None = None
    note: str = field(default="")


def configuration_of(
    settings: Settings, version: str, failure: Mapping[str, Any] | None
) -> Configuration:
    """Return the configuration of a version's training.

    Args:
        settings: Of the home.
        version: The model version.
        failure: The record of the failure, which knows the model where nothing else does.
    """
    spec = read_json(settings.models / version / TRAINING_SET)
    found = _qlib_task(settings, version) if spec else _Found(note="the training set was not made")
    model = (failure or {}).get("task")
    document = _document(spec or {}, found.task, model)
    return Configuration(_flat(document), found.task, found.yaml, spec, found.note)


def _qlib_task(settings: Settings, version: str) -> _Found:
    from qlops_assets.lake.qlib_bin import build_provider
    from qlops_assets.training.fit import require_version
    from qlops_assets.training.recipes import with_recipe
    from qlops_assets.training.tasks.writing import qlib_task, task_yaml

    try:
        settings = with_recipe(settings, version)
        spec, provider = require_version(settings, version), build_provider(settings)
        document = qlib_task(settings, spec, provider)
        return _Found(document["task"], task_yaml(settings, spec, provider))
    except QlopsError as error:  # an indicator is no expression; or the lake has moved on
        return _Found(note=str(error))


def _document(
    spec: Mapping[str, Any], task: Mapping[str, Any] | None, model: Any
) -> dict[str, Any]:
    """Return what is logged as parameters, nested."""
    if task is None:
        task = {"model": spec.get("task") or model or {}}
        if spec:
            task["dataset"] = {"kwargs": {"segments": spec["segments"]}}
            task["processors"] = spec["processors"]
    ours = {name: spec[name] for name in _TOP if name in spec}
    if spec:
        ours |= {"features": len(spec["feature_names"]), "fitting": spec["fitting"]}
        ours |= {"backtest": spec["backtest"]}
    return {**{name: part for name, part in task.items() if name != "record"}, **ours}


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a nested document by dotted names, as Qlib's ``flatten_dict`` names them."""
    found: dict[str, str] = {}
    for name, value in document.items():
        key = prefix + _NOT_IN_A_NAME.sub("_", str(name))
        if isinstance(value, Mapping):
            found |= _flat(value, f"{key}.")
        else:
            found[key] = _short(value)
    return found


def _short(value: Any) -> str:
    text = str(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}… ({len(text)} characters, whole in the artifacts)"


def write_configuration(folder: Path, configuration: Configuration) -> None:
    """Write the files of a configuration: Qlib's task as YAML and as Qlib's trainer has it."""
    from qlib.utils.serial import Serializable

    if configuration.yaml is not None:
        (folder / "task.yaml").write_text(configuration.yaml, encoding="utf-8")
        Serializable.general_dump(configuration.task, folder / "task")
    if configuration.spec is not None:
        text = json.dumps(configuration.spec, indent=2, ensure_ascii=False)
        (folder / TRAINING_SET).write_text(text + "\n", encoding="utf-8")
