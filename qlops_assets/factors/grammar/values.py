"""What kind of values an expression gives, which decides where Qlib can use it.

numpy and pandas treat true/false, whole and other numbers differently, and refuse some of them in
places that a user would not expect. These are their rules, found by running Qlib.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from qlops_assets.factors.grammar.expression import Constant, Node
from qlops_assets.factors.grammar.operators import Kind, Operator


class Values(StrEnum):
    """What an operand is."""

    NUMBERS = "a series of numbers"
    WHOLE = "a series of whole numbers"
    CONDITION = "a condition"
    CONSTANT = "a number"
    TEXT = "a quoted text"


@dataclass(slots=True)
class Operand:
    """A part of an expression that has been read: its tree, and what is known about it."""

    node: Node
    values: Values
    position: int
    depth: int = 1

    @property
    def is_whole(self) -> bool:
        """Whether numpy holds it in integers."""
        if isinstance(self.node, Constant):
            return isinstance(self.node.value, int)
        return self.values is Values.WHOLE


class UnfitError(Exception):
    """An operand is of no use to an operator; for ``building``, which knows the text."""

    def __init__(self, operand: Operand, accepted: str) -> None:
        super().__init__(accepted)
        self.operand, self.accepted = operand, accepted


_COMPARISONS: Final = frozenset(["Gt", "Ge", "Lt", "Le", "Eq", "Ne"])
_LOGIC: Final = frozenset(["And", "Or", "Not"])
_OF_NUMBERS: Final = frozenset(["Sign", "Log", "Div", "Sub", "Power"])
_AS_NUMBER: Final = "needs a number, such as If(condition, 1, 0)"
_AS_CONDITION: Final = "needs a condition, such as ($close > $open), in parentheses"


def values_of(operator: Operator, operands: Sequence[Operand], days: object = None) -> Values:
    """Return what an operator over operands gives.

    Args:
        operator: The operator.
        operands: What it is computed from, at least one of them a series.
        days: The first parameter of an operator with a window.

    Raises:
        UnfitError: Qlib cannot compute that; the error names the operand.
    """
    kind = operator.kind
    if kind is Kind.PAIR or kind is Kind.ELEMENT:
        return _element_wise(operator.name, operands)
    if kind is Kind.WINDOW or kind is Kind.PAIR_WINDOW:
        return Values.NUMBERS
    if kind is Kind.SHIFT:
        return _shifted(operands[0], days)
    return _common(operands[1:]) if kind is Kind.CHOICE else operands[0].values


def _shifted(operand: Operand, days: object) -> Values:
    if operand.values is Values.CONDITION:  # pandas would shift it into a column of objects
        raise UnfitError(operand, _AS_NUMBER)
    return operand.values if days == 0 else Values.NUMBERS


def _element_wise(name: str, operands: Sequence[Operand]) -> Values:
    if name in _COMPARISONS:
        return Values.CONDITION
    if name in _LOGIC:
        for operand in operands:
            if operand.values is not Values.CONDITION:
                raise UnfitError(operand, _AS_CONDITION)
        return Values.CONDITION
    if name in _OF_NUMBERS:
        return _of_numbers(name, operands)
    return _common(operands)


def _of_numbers(name: str, operands: Sequence[Operand]) -> Values:
    """Return the values of an operator that numpy does not have for conditions."""
    conditions = [operand for operand in operands if operand.values is Values.CONDITION]
    if conditions and (name in {"Log", "Power"} or len(conditions) == 2):
        raise UnfitError(conditions[0], _AS_NUMBER)
    if name == "Power":
        _require_possible_power(*operands)
    return Values.NUMBERS if name in {"Sign", "Log", "Div"} else _common(operands)


def _require_possible_power(base: Operand, exponent: Operand) -> None:
    """Refuse whole numbers to a power that may be negative: numpy has no result for those."""
    if not (base.is_whole and exponent.is_whole):
        return
    node = exponent.node
    if not isinstance(node, Constant) or node.value < 0:
        raise UnfitError(exponent, "needs a float where the base is whole, such as 1.0 * x or -1.0")


def _common(operands: Sequence[Operand]) -> Values:
    """Return what numpy makes of values together: the widest of them."""
    for operand in operands:
        if operand.values is Values.NUMBERS:  # as nearly always
            return Values.NUMBERS
    if all(operand.values is Values.CONDITION for operand in operands):
        return Values.CONDITION
    if all(operand.is_whole or operand.values is Values.CONDITION for operand in operands):
        return Values.WHOLE
    return Values.NUMBERS
