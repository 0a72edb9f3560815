"""The user's own indicators: Qlib expressions and Python functions, by name. Light.

They come from ``[indicators.own]`` of ``qlops.toml`` and from ``Settings(indicators=…)``. An
expression reads the fields of the bars and any indicator, one's own too; a function is given bars.
"""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

from qlops_assets.core.columns import BARS, DATE, FIELDS, INSTRUMENT, LABEL, OPTIONAL
from qlops_assets.core.digests import file_digest
from qlops_assets.core.errors import ExpressionError, IndicatorError, nearest
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.factors.custom import custom_factors
from qlops_assets.factors.grammar.look_back import fields, look_back
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.grammar.tokens import field_positions
from qlops_assets.indicators.families.catalog import INDICATORS
from qlops_assets.indicators.names import KNOWN, column, is_indicator

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,63}", re.ASCII)
_FUNCTION: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", re.ASCII)
_TAKEN: Final = {*(name.lower() for name in (*BARS, *OPTIONAL, *FIELDS, LABEL)), "alpha158"}
_SETS: Final = {"custom", "indicators"}


@dataclass(frozen=True, slots=True)
class OwnIndicator:
    """An indicator of the user's own.

    Attributes:
        name: Of its column.
        definition: A Qlib expression, or ``package.module:function``.
        where: Where it was written.
    """

    name: str
    definition: str
    where: str = "own indicator"

    @property
    def is_function(self) -> bool:
        """Whether it is a Python function."""
        return _FUNCTION.fullmatch(self.definition) is not None

    @property
    def reads(self) -> tuple[str, ...]:
        """The indicators that it is computed from, in order."""
        if self.is_function:
            return ()
        return tuple(sorted(fields(parse(self.definition)).difference(FIELDS)))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the bars that its expression reads, in order."""
        if self.is_function:
            return ()
        return tuple(sorted(fields(parse(self.definition)).intersection(FIELDS)))

    @property
    def place(self) -> str:
        """Where it was written, and its name."""
        return f"{self.where} {self.name}"

    @property
    def version(self) -> str:
        """What its values depend on: the expression, or the digest of the function's module.

        Raises:
            IndicatorError: there is no such module.
        """
        if not self.is_function:
            return self.definition
        return f"{self.definition}@{file_digest(self._module_file())}"

    def _module_file(self) -> Path:
        module = self.definition.partition(":")[0]
        spec = _spec_of(module)
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            raise IndicatorError(
                self.place,
                f"there is no Python module {module!r}",
                "name a module that is installed or on PYTHONPATH",
            )
        return Path(spec.origin)


def _spec_of(module: str) -> ModuleSpec | None:
    """Return where a module is, without importing the packages around it: they are users' code."""
    name, *inside = module.split(".")
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # the program itself has none
        return None
    for part in inside:
        folders = spec.submodule_search_locations if spec is not None else None
        if folders is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, folders)
    return spec


def own_indicators(settings: Settings) -> dict[str, OwnIndicator]:
    """Return the user's own indicators by name, in an order in which they can be computed.

    Raises:
        IndicatorError: one of them cannot be used; says where it was written.
        FactorError: a factor of the user's own cannot be used.
    """
    where = place(settings, "own")
    found = {
        name: OwnIndicator(name, definition, where)
        for name, definition in settings.indicators.own.items()
    }
    if found:
        factors = {name.lower(): name for name in (*ALPHA158_NAMES, *custom_factors(settings))}
        for one in found.values():
            _require_free(one, factors)
    return require_usable(found)


def place(settings: Settings, key: str) -> str:
    """Return where a key of ``[indicators]`` was written."""
    file = settings.config_file
    if file is None:
        return f"Settings(indicators=…) {key}"
    return f"{file}: [indicators.own]" if key == "own" else f"{file}: [indicators] {key}"


def require_usable(own: Mapping[str, OwnIndicator]) -> dict[str, OwnIndicator]:
    """Return own indicators in an order in which they can be computed.

    Raises:
        IndicatorError: a name is none or is taken, a definition is neither an expression nor a
            function, looks ahead, reads what is not there, or depends on itself.
    """
    for one in own.values():
        _require_name(one)
        if not one.is_function:
            _require_expression(one, own)
    return _ordered(own)


def own_look_back(own: Mapping[str, OwnIndicator], name: str) -> int | None:
    """Return the trading days before its own that an own indicator's value depends on.

    None is the whole history, and whatever a function reads.
    """
    one = own[name]
    if one.is_function:
        return None
    days = look_back(parse(one.definition))
    reached = [
        own_look_back(own, read) if read in own else column(read).look_back for read in one.reads
    ]
    known = [reach for reach in reached if reach is not None]
    if days is None or len(known) < len(reached):
        return None
    return days + max(known, default=0)


def _require_name(one: OwnIndicator) -> None:
    name = one.name
    if not _NAME.fullmatch(name):
        found = "is no name of an indicator"
        accepted = "a name has 1 to 64 small letters, digits and _, and begins with no digit"
        raise IndicatorError(one.place, found, accepted)
    if name in _TAKEN or name in _SETS:
        what = "the key" if name in {INSTRUMENT, DATE} else "a field, the label or a set"
        raise IndicatorError(one.place, f"is the name of {what}", "choose another")
    if name in INDICATORS or is_indicator(name):
        raise IndicatorError(one.place, "is the name of an indicator of ours", "choose another")
    if not isinstance(one.definition, str):  # Python's settings are not checked by a reader
        raise IndicatorError(one.place, f"was {one.definition!r}", "must be a text")


def _require_free(one: OwnIndicator, factors: Mapping[str, str]) -> None:
    factor = factors.get(one.name.lower())
    if factor is not None:
        raise IndicatorError(one.place, f"there is a factor {factor!r}", "choose another name")


def _require_expression(one: OwnIndicator, own: Mapping[str, OwnIndicator]) -> None:
    text = one.definition
    if "$" not in text and ":" in text:
        accepted = "write package.module:function, or an expression over fields such as $close"
        raise IndicatorError(one.place, f"{text[:80]!r} is no Python function", accepted)
    try:
        parse(text)
        for name, position in field_positions(text):
            _require_field(text, name, position, own)
    except ExpressionError as error:
        found = f"character {error.position + 1}: {error.found}"
        raise IndicatorError(one.place, found, error.accepted, error.excerpt) from error


def _require_field(text: str, name: str, position: int, own: Mapping[str, OwnIndicator]) -> None:
    if name in FIELDS or name in own:
        return
    try:
        column(name)
    except IndicatorError as error:
        known = [*FIELDS, *own, *KNOWN]
        hint = nearest(name, known).removeprefix("; ").replace("did you mean '", "did you mean '$")
        listed = f"the fields are {', '.join(f'${field}' for field in FIELDS)}, and indicators"
        near = error.found == "is unknown"
        accepted = (hint or listed) if near else error.accepted
        found = f"unknown field '${name[:60]}'" if near else f"${name[:60]}: {error.found}"
        raise ExpressionError(text, position, found, accepted) from error


def _ordered(own: Mapping[str, OwnIndicator]) -> dict[str, OwnIndicator]:
    """Return what is read before what reads it, and otherwise the order given."""
    done: dict[str, OwnIndicator] = {}
    waiting = list(own.values())
    while waiting:
        ready = [one for one in waiting if all(r in done or r not in own for r in one.reads)]
        if not ready:
            raise _cycle(waiting, own)
        done |= {one.name: one for one in ready}
        waiting = [one for one in waiting if one.name not in done]
    return done


def _cycle(waiting: Sequence[OwnIndicator], own: Mapping[str, OwnIndicator]) -> IndicatorError:
    """Return the error for indicators that all wait for one another; one path is shown."""
    left = {one.name for one in waiting}
    path = [waiting[0].name]
    while path.count(path[-1]) == 1:
        path.append(next(name for name in own[path[-1]].reads if name in left))
    path = path[path.index(path[-1]) :]
    found = f"depends on itself: {' → '.join(path)}"
    return IndicatorError(own[path[0]].place, found, "take it out of one of them")
