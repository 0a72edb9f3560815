"""The tree of a factor expression."""

from collections.abc import Iterator
from dataclasses import dataclass

Number = int | float


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the bars, ``$close``; the name is in lower case and without the dollar."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A number; its Python type decides the precision of what it meets, as in numpy."""

    value: Number


@dataclass(frozen=True, slots=True)
class Call:
    """An operator over operands.

    Attributes:
        operator: Qlib's class name: ``Add`` for ``+``, ``Gt`` for ``>``, ``Mean``, ``Corr`` …
        operands: What it is computed from, in Qlib's order; at least one holds a field.
        parameters: Window, quantile or instrument; empty for element-wise operators.
    """

    operator: str
    operands: "tuple[Node, ...]"
    parameters: tuple[Number | str, ...] = ()


Node = Field | Constant | Call


def walk(node: Node) -> Iterator[Node]:
    """Yield every node once per occurrence, operands before what is computed from them."""
    stack: list[tuple[Node, bool]] = [(node, False)]
    while stack:
        current, expanded = stack.pop()
        if expanded or not isinstance(current, Call):
            yield current
            continue
        stack.append((current, True))
        stack.extend((operand, False) for operand in reversed(current.operands))
