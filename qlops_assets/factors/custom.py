"""The user's own factors: Qlib expressions by name.

They come from ``[factors]`` of ``qlops.toml``, from ``Settings(factors=…)`` and, through
``qlops factor add``, from a file of the home. Light: Dagster's graph and the command line load it.
"""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qlops_assets.core.atomic import read_json, write_json
from qlops_assets.core.columns import FIELDS
from qlops_assets.core.errors import CustomFactorError, FactorError, SettingsError, nearest
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.factors.grammar.names import check_name, require_fields, require_free
from qlops_assets.factors.grammar.parser import parse

TOPIC: Final = "factors"


@dataclass(frozen=True, slots=True)
class CustomFactor:
    """A factor of the user's own: its Qlib expression, and where that was written."""

    name: str
    expression: str
    where: str


def custom_factors(settings: Settings) -> dict[str, str]:
    """Return name -> expression of the user's own factors, by name.

    Raises:
        CustomFactorError: one of them cannot be used; says where it was written.
        SettingsError: the file of the home that keeps some of them is damaged.
    """
    return {factor.name: factor.expression for factor in defined_factors(settings)}


def defined_factors(settings: Settings) -> list[CustomFactor]:
    """Return the user's own factors with where they were written, by name.

    Raises:
        CustomFactorError: one of them cannot be used.
        SettingsError: the file of the home that keeps some of them is damaged.
    """
    return _merged({_place(settings): settings.factors, str(settings.factors_file): kept(settings)})


def kept(settings: Settings) -> dict[str, str]:
    """Return the factors that ``qlops factor add`` keeps in this home.

    Raises:
        SettingsError: their file is damaged.
    """
    file = settings.factors_file
    try:
        found = read_json(file)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not JSON: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise SettingsError(f"{file}: must be one object of expressions by name")
    return found


def require_expression(expression: str) -> None:
    """Refuse what is no expression over the fields of the bars, or looks ahead.

    Raises:
        ExpressionError: it is none; the error points at the character.
    """
    parse(expression)
    require_fields(expression, FIELDS)


def require_new(settings: Settings, name: str) -> None:
    """Refuse a name that no new factor can have.

    Raises:
        FactorError: it is no name, or there is a factor of that name in whatever case.
    """
    _require_name(name)
    for factor in defined_factors(settings):
        if factor.name == name:
            raise FactorError(
                f"factor {name!r} is {factor.expression!r} in {factor.where} already; "
                "choose another name, or remove that one first"
            )
        require_free(name, [factor.name])


def _require_name(name: str) -> None:
    check_name(name)
    require_free(name, ALPHA158_NAMES)


def add_factor(
    settings: Settings, journal: Journal, name: str, expression: str, *, by: str
) -> CustomFactor:
    """Keep a factor in the home and record who added it.

    Raises:
        FactorError: it cannot be used, or there is one of that name already.
    """
    require_expression(expression)
    with _locked(settings):
        require_new(settings, name)
        write_json(settings.factors_file, {**kept(settings), name: expression})
        journal.append(TOPIC, "factor_added", {"name": name, "expression": expression, "by": by})
    return CustomFactor(name, expression, str(settings.factors_file))


def remove_factor(settings: Settings, journal: Journal, name: str, *, by: str) -> CustomFactor:
    """Forget a factor that the home keeps and record who removed it; return what it was.

    Raises:
        FactorError: the home keeps none of that name.
    """
    with _locked(settings):
        factors = kept(settings)
        if name not in factors:
            raise FactorError(_not_kept(settings, name, list(factors)))
        expression = factors.pop(name)
        write_json(settings.factors_file, factors)
        journal.append(TOPIC, "factor_removed", {"name": name, "expression": expression, "by": by})
    return CustomFactor(name, expression, str(settings.factors_file))


def _not_kept(settings: Settings, name: str, known: list[str]) -> str:
    if name in settings.factors:
        return f"factor {name!r} is defined in {_place(settings)}; remove it there"
    if name in ALPHA158_NAMES:
        return f"factor {name!r} is one of Alpha158, which is Qlib's; only one's own is removed"
    listed = ", ".join(sorted(known)) or "none"
    return f"no factor {name!r} in {settings.factors_file}{nearest(name, known)} There: {listed}"


def _place(settings: Settings) -> str:
    """Return where the factors of the settings were written."""
    file = settings.config_file
    return f"{file}: [factors]" if file is not None else "Settings(factors=…)"


def _merged(sources: Mapping[str, Mapping[str, str]]) -> list[CustomFactor]:
    found: dict[str, CustomFactor] = {}
    for where, factors in sources.items():
        for name, expression in factors.items():
            factor = CustomFactor(name, expression, where)
            try:
                _require_new(factor, found)
            except FactorError as error:
                raise CustomFactorError(f"{where} {name}", error) from error
            found[name] = factor
    return [found[name] for name in sorted(found)]


def _require_new(factor: CustomFactor, found: Mapping[str, CustomFactor]) -> None:
    if not isinstance(factor.expression, str):  # Python's settings are not checked by a reader
        raise FactorError(f"was {factor.expression!r}, must be the text of an expression")
    _require_name(factor.name)
    require_expression(factor.expression)
    other = found.get(factor.name)
    if other is None:
        require_free(factor.name, found)
    elif parse(other.expression) != parse(factor.expression):
        raise FactorError(
            f"was {factor.expression!r}, and {other.expression!r} in {other.where}; "
            "remove one of them, or name it otherwise"
        )


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Let one process at a time change the file."""
    path: Path = settings.factors_file.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
