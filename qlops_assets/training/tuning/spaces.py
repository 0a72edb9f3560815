"""Where a study looks: the model's own search space, or the user's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from qlops_assets.core.errors import TrainingError, nearest
from qlops_assets.models.parameters import Parameter, Search

_RANGE: Final = ("low", "high", "log")
_ACCEPTED: Final = "{low = …, high = …} with low below high, log = true where wanted, or a list"
Space = dict[str, "Dimension"]


@dataclass(frozen=True, slots=True)
class Dimension:
    """Where one parameter is looked for.

    Attributes:
        whole: Whether a range has whole numbers only.
        search: The range or the choices.
    """

    whole: bool
    search: Search

    def to_json(self) -> dict[str, Any]:
        """Return the dimension as a document: ``choices``, or ``low``, ``high`` and the rest."""
        if self.search.choices:
            return {"choices": list(self.search.choices)}
        return {**{k: v for k, v in asdict(self.search).items() if k in _RANGE}, "int": self.whole}

    def holds(self, value: Any) -> bool:
        """Return whether a value lies in it."""
        low, high = self.search.low, self.search.high
        if low is None or high is None:
            return value in self.search.choices
        return isinstance(value, int | float) and low <= value <= high


def space_of(
    title: str, table: Mapping[str, Parameter], own: Mapping[str, Any] | None = None
) -> Space:
    """Return the space of a study.

    Args:
        title: What messages call the model.
        table: The model's parameters.
        own: ``[tuning.space]``; the model's own space where empty.

    Raises:
        TrainingError: a parameter is unknown, its range or a value of it is not one that it takes.
    """
    if not own:
        declared = {name: one for name, one in table.items() if one.search is not None}
        return {
            n: Dimension(one.kind is int, one.search) for n, one in declared.items() if one.search
        }
    found = {}
    for name, value in own.items():
        if name not in table:
            raise TrainingError(
                f"[tuning.space] {name}: unknown {title} parameter{nearest(name, list(table))} "
                f"Known: {', '.join(sorted(table))}"
            )
        found[name] = Dimension(table[name].kind is int, _read(name, value))
        _require(name, table[name], found[name].search)
    return found


def _read(name: str, value: Any) -> Search:
    where = f"[tuning.space] {name}: was {value!r}, must be {_ACCEPTED}"
    if isinstance(value, list | tuple) and value:
        return Search(choices=tuple(value))
    if not isinstance(value, Mapping) or set(value) - {*_RANGE} or not {"low", "high"} <= {*value}:
        raise TrainingError(where)
    low, high, log = value["low"], value["high"], value.get("log", False)
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (low, high))
    if not numbers or not isinstance(log, bool) or not low < high or (log and low <= 0):
        raise TrainingError(where + (" (log needs low above 0)" if log is True else ""))
    return Search(low, high, log)


def _require(name: str, parameter: Parameter, search: Search) -> None:
    """Refuse a space with a value that the model does not take."""
    tried = search.choices or (search.low, search.high)
    if not search.choices and parameter.kind not in (int, float):
        raise TrainingError(
            f"[tuning.space] {name}: was a range, must be a list of values: it is no number"
        )
    for value in tried:
        if wanted := parameter.fault(value):
            raise TrainingError(f"[tuning.space] {name}: has {value!r}, must be {wanted}")
