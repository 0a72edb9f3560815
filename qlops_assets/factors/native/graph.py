"""From expression trees to one graph in which equal sub-expressions are one node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from qlops_assets.core.errors import FactorError
from qlops_assets.factors.grammar.expression import Call, Constant, Field, Node, Number, walk
from qlops_assets.factors.grammar.operators import OPERATORS, Kind
from qlops_assets.factors.native.families import WHOLE, Request, request

DType = np.dtype[Any]
_FLOAT32: Final = np.dtype(np.float32)
_FLOAT64: Final = np.dtype(np.float64)
_BOOL: Final = np.dtype(np.bool_)


@dataclass(frozen=True, slots=True)
class Value:
    """A node of the graph.

    Attributes:
        kind: ``field``, ``ufunc``, ``cast``, ``where``, ``shift`` or ``window``.
        what: The field's name, the ufunc's, the days of a shift, or the window's request.
        inputs: Places of nodes, or plain numbers, in the order of the operands.
        dtype: Of its values: the one that numpy and pandas give in Qlib.
    """

    kind: str
    what: Any
    inputs: tuple[Any, ...]
    dtype: DType

    def nodes(self) -> list[int]:
        """Return the places of the nodes among its inputs."""
        return [i.place for i in self.inputs if isinstance(i, Place)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is in the graph."""

    place: int


@dataclass(slots=True)
class Graph:
    """Nodes, inputs before what is computed from them, and the node of each factor.

    numpy itself says which type an element-wise operator gives, so that a float32 stays one.
    """

    values: list[Value] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    _known: dict[Any, Place] = field(default_factory=dict)

    @classmethod
    def of(cls, trees: Mapping[str, Node], dtypes: Mapping[str, DType]) -> "Graph":
        """Return the graph of named trees.

        Args:
            trees: Factor name -> expression.
            dtypes: Of fields that are not float32.

        Raises:
            FactorError: numpy has no such operation on such values.
        """
        graph = cls()
        for name, tree in trees.items():
            try:
                place = graph._add_tree(tree, dtypes)
            except (TypeError, ValueError) as error:
                raise FactorError(f"factor {name!r}: {error}") from error
            graph.outputs[name] = place.place
        return graph

    def _add_tree(self, tree: Node, dtypes: Mapping[str, DType]) -> Place:
        done: list[Place | Number] = []
        for node in walk(tree):
            if isinstance(node, Constant):
                done.append(node.value)
            elif isinstance(node, Field):
                dtype = dtypes.get(node.name, _FLOAT32)
                done.append(self._intern("field", node.name, (), dtype))
            else:
                count = len(node.operands)
                inputs = tuple(done[len(done) - count :])
                del done[len(done) - count :]
                done.append(self._call(node, inputs))
        place = done.pop()
        if not isinstance(place, Place):
            raise TypeError("found a number; needs an expression with a field")
        return place

    def _call(self, node: Call, inputs: tuple[Any, ...]) -> Place:
        kind = OPERATORS[node.operator].kind
        if kind in (Kind.ELEMENT, Kind.PAIR):
            return self._element(node.operator, inputs)
        if kind is Kind.CHOICE:
            return self._choice(inputs)
        if kind is Kind.SHIFT:
            return self._shift(node, inputs[0])
        return self._window(node, inputs)

    def _element(self, operator: str, inputs: tuple[Any, ...]) -> Place:
        name = OPERATORS[operator].numpy
        if operator == "Sign":  # as Qlib does, which spares it booleans
            inputs = (self._cast(inputs[0], _FLOAT32),)
        return self._ufunc(str(name), inputs)

    def _ufunc(self, name: str, inputs: tuple[Any, ...]) -> Place:
        with np.errstate(all="ignore"):
            result = getattr(np, name)(*(self._sample(i) for i in inputs))
        return self._intern("ufunc", name, inputs, result.dtype)

    def _choice(self, inputs: tuple[Any, ...]) -> Place:
        condition, left, right = inputs
        if self._dtype(condition) != _BOOL:  # what numpy takes for true: anything but zero
            condition = self._ufunc("not_equal", (condition, 0))
        result = np.where(np.ones(1, np.bool_), self._sample(left), self._sample(right))
        return self._intern("where", None, (condition, left, right), result.dtype)

    def _shift(self, node: Call, operand: Any) -> Place:
        shifted_dtype = self._dtype(operand)
        if shifted_dtype.kind != "f":  # missing days have no other sign than NaN
            shifted_dtype = _FLOAT64
        operand_in = self._cast(operand, shifted_dtype)
        shifted = self._intern("shift", int(node.parameters[0]), (operand_in,), shifted_dtype)
        return shifted if node.operator == "Ref" else self._ufunc("subtract", (operand, shifted))

    def _window(self, node: Call, inputs: tuple[Any, ...]) -> Place:
        asked = request(node.operator, node.parameters, self._dtype(inputs[0]))
        if node.operator == "Count":
            equal = self._ufunc("equal", (inputs[0], inputs[0]))  # NaN is not equal to itself
            inputs = (equal,)
        operands = tuple(self._cast(operand, _FLOAT64) for operand in inputs)
        return self._intern("window", asked, operands, _FLOAT64)

    def _cast(self, operand: Any, dtype: DType) -> Any:
        if self._dtype(operand) == dtype:
            return operand
        return self._intern("cast", None, (operand,), dtype)

    def _dtype(self, operand: Any) -> DType:
        if isinstance(operand, Place):
            return self.values[operand.place].dtype
        return np.asarray(operand).dtype

    def _sample(self, operand: Any) -> Any:
        return np.ones(1, self._dtype(operand)) if isinstance(operand, Place) else operand

    def _intern(self, kind: str, what: Any, inputs: tuple[Any, ...], dtype: DType) -> Place:
        # 1 and 1.0, 0.0 and -0.0 are equal to Python, and not to numpy.
        same = tuple(i if isinstance(i, Place) else repr(i) for i in inputs)
        key = (kind, what, same, dtype)
        if key not in self._known:
            self._known[key] = Place(len(self.values))
            self.values.append(Value(kind, what, inputs, dtype))
        return self._known[key]


def history(value: Value) -> int | None:
    """Return the days before a day that a node's value needs of its inputs; None for all."""
    if value.kind == "shift":
        return None if value.what == 0 else max(0, int(value.what))
    if value.kind == "window":
        asked: Request = value.what
        is_recursive = asked.family == "weighted" and asked.statistic != 0
        return None if is_recursive or asked.window >= WHOLE else asked.window - 1
    return 0
