"""What a model version was asked for with: the settings of its training, kept beside it.

A version is named after its settings and its data. With its recipe it can be trained again when
``qlops.toml`` says something else by now, and by another process than the one that was told.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.atomic import read_json, write_json
from qlops_assets.core.errors import SettingsError, TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.overfitting import OverfittingSettings
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.core.settings_file import section

RECIPE: Final = "recipe.json"
_RULES: Final = "overfitting"
_ROLLING: Final = "rolling"
_WINDOWS: Final = ("step_days", "kind")
_SECTIONS: Final = {
    "training": TrainingSettings,
    "backtest": BacktestSettings,
    _RULES: OverfittingSettings,
}


def recipe_of(settings: Settings) -> dict[str, Any]:
    """Return the settings that decide a training, as a document; what is not set is left out.

    Rules of overfitting that cannot reject a version decide nothing about it: those of the day
    hold.
    """
    names = [name for name in _SECTIONS if name != _RULES or settings.overfitting.blocks]
    return {name: _plain(asdict(getattr(settings, name))) for name in names}


def keep_recipe(settings: Settings, version: str) -> None:
    """Keep a version's recipe, once and for all."""
    file = settings.models / version / RECIPE
    if not file.is_file():
        write_json(file, recipe_of(settings))


def with_recipe(settings: Settings, version: str, *, required: bool = False) -> Settings:
    """Return the settings that a version was asked for with; these where it has no recipe.

    Args:
        settings: Of the home.
        version: The version.
        required: Whether it must have one: trainings of before there were recipes have none.

    Raises:
        SettingsError: the recipe is damaged, or of a release with other settings.
        TrainingError: it has none, and must.
    """
    file = settings.models / version / RECIPE
    document = read_json(file)
    if document is None and required:
        raise TrainingError(
            f"model version {version!r} has no recipe: it was trained before they were kept"
        )
    if document is None:
        return settings
    if _RULES not in document:
        settings = replace(settings, overfitting=replace(settings.overfitting, blocks=False))
    return with_sections(settings, document, str(file))


def with_sections(settings: Settings, document: Mapping[str, Any], where: str) -> Settings:
    """Return settings in which sections are replaced whole; of ``[rolling]`` what is given.

    Raises:
        SettingsError: a section or a key is unknown, or a value of the wrong type.
    """
    for name in document:
        if name not in (*_SECTIONS, _ROLLING):
            raise SettingsError(
                f"{where}: unknown section {name!r}; a recipe has "
                f"{', '.join([*_SECTIONS, _ROLLING])}"
            )
    sections = {
        name: section(document[name], kind, f"{where}: [{name}]")
        for name, kind in _SECTIONS.items()
        if name in document
    }
    if _ROLLING in document:
        windows = _windows(document[_ROLLING], f"{where}: [{_ROLLING}]")
        sections[_ROLLING] = replace(settings.rolling, **windows)
    return replace(settings, **sections)


def _windows(table: Any, where: str) -> dict[str, Any]:
    """Return what a recipe may say of its windows; when they are trained is the home's to say."""
    given = section(table, RollingSettings, where)
    for key in table:
        if key not in _WINDOWS:
            raise SettingsError(
                f"{where}: {key!r} belongs into qlops.toml; a recipe has {', '.join(_WINDOWS)}"
            )
    return {key: getattr(given, key) for key in table}


def read_spec(settings: Settings, file: Path) -> tuple[Settings, list[str]]:
    """Return settings with the recipe of a file, and what of it was not taken over.

    Args:
        settings: Of the home.
        file: ``.toml`` with ``[training]`` and ``[backtest]`` as in ``qlops.toml``, for windows
            also ``[rolling]``, or Qlib's task as ``qrun`` takes it, ``.yaml``.

    Raises:
        TrainingError: the file cannot be read, or asks for what is not known.
        SettingsError: a key of it is unknown, or a value of the wrong type.
    """
    from qlops_assets.training.tasks.reading import read_task

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{file}: cannot be read ({error})") from error
    if file.suffix in (".yaml", ".yml"):
        imported = read_task(text, str(file))
        return with_sections(settings, imported.sections, str(file)), imported.notes
    if file.suffix != ".toml":
        raise TrainingError(f"{file}: must end in .toml, or in .yaml for a task of Qlib's")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TrainingError(f"{file}: not TOML: {error}") from error
    return with_sections(settings, document, str(file)), []


def as_toml(document: Mapping[str, Any]) -> str:
    """Return a recipe as TOML, as ``qlops train --spec`` takes it."""
    lines: list[str] = []
    for name, table in document.items():
        lines += [f"[{name}]", *_lines(name, table), ""]
    return "\n".join(lines)


def _lines(path: str, table: Mapping[str, Any]) -> list[str]:
    inner = {k: v for k, v in table.items() if isinstance(v, Mapping)}
    lines = [f"{k} = {_toml(v)}" for k, v in table.items() if k not in inner]
    for key, value in inner.items():
        if value:
            lines += ["", f"[{path}.{key}]", *_lines(f"{path}.{key}", value)]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # a text, a number, true or false


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; None is left out of tables."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value
