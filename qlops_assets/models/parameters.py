"""Parameters of models: which there are, what they may be, and their defaults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from qlops_assets.core.errors import TrainingError, nearest


@dataclass(frozen=True, slots=True)
class Search:
    """Where tuning looks for the value of a parameter.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether steps are of ratios, as for what spans powers of ten.
        choices: The only values, in place of a range; a list of whole numbers is one of them too.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a model.

    Attributes:
        kind: Type of its value: ``float`` (whole numbers too), ``int``, ``bool``, ``str``, or
            ``list`` of whole numbers.
        default: Value where the user gives none; None leaves it to the library.
        least: Smallest value, or None.
        most: Largest value, or None.
        above: Value that it must be above, or None.
        choices: The only values, where not empty.
        search: Where tuning looks for it; None where it is left as it is.
    """

    kind: type
    default: Any = None
    least: float | None = None
    most: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    search: Search | None = None

    def fault(self, value: Any) -> str | None:
        """Return what a value must be, or None where it may be used."""
        if self.choices:
            return None if value in self.choices else f"one of {', '.join(self.choices)}"
        if self.kind is list:
            whole = isinstance(value, list | tuple) and value
            numbers = whole and all(_is(int, item) and item > 0 for item in value)
            return None if numbers else "a list of whole numbers above 0"
        if not _is(self.kind, value):
            return {float: "a number", int: "a whole number"}.get(self.kind, self.kind.__name__)
        return self._out_of_range(value)

    def _out_of_range(self, value: Any) -> str | None:
        if self.least is not None and value < self.least:
            return f"at least {self.least:g}"
        if self.above is not None and value <= self.above:
            return f"above {self.above:g}"
        if self.most is not None and value > self.most:
            return f"at most {self.most:g}"
        return None


def _is(kind: type, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and not math.isnan(value)
    return isinstance(value, kind)


def checked(title: str, table: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with their defaults.

    Args:
        title: What messages call the model.
        table: The parameters that there are.
        given: Those of the user.

    Raises:
        TrainingError: one is unknown, of the wrong type or out of range.
    """
    for name, value in given.items():
        if name not in table:
            raise TrainingError(
                f"unknown {title} parameter {name!r}{nearest(name, list(table))} "
                f"Known: {', '.join(sorted(table))}"
            )
        if wanted := table[name].fault(value):
            raise TrainingError(f"[training.parameters] {name}: was {value!r}, must be {wanted}")
    defaults = {name: one.default for name, one in table.items() if one.default is not None}
    return {**defaults, **given}


def require_limits(rounds: int, early_stopping_rounds: int) -> None:
    """Refuse a training that would not begin, or stop before it began.

    Raises:
        TrainingError: a number is below 1.
    """
    for name, value in (("rounds", rounds), ("early_stopping_rounds", early_stopping_rounds)):
        if value < 1:
            raise TrainingError(f"[training] {name}: was {value}, must be at least 1")


def require_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        TrainingError: a GPU is asked for and there is none that can be used.
    """
    if device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        raise TrainingError(
            "[training.parameters] device: was 'cuda', but no GPU can be used here "
            "(torch.cuda.is_available() is False); must be 'cpu'"
        )


def share(default: float | None = None, *, least_tried: float | None = None) -> Parameter:
    """Return a parameter that is a share, above 0 and at most 1.

    Args:
        default: Where the user gives none.
        least_tried: Tuning looks from there to 1; nowhere where None.
    """
    search = None if least_tried is None else Search(least_tried, 1.0)
    return Parameter(float, default, above=0, most=1, search=search)


def ratios(low: float, high: float) -> Search:
    """Return a range that is searched by ratios."""
    return Search(low, high, log=True)


def one_of(*choices: Any) -> Search:
    """Return values of which one is taken."""
    return Search(choices=choices)


DEVICE: Final = Parameter(str, "cpu", choices=("cpu", "cuda"))
