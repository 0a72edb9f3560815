"""Values of another instrument inside an expression: Mask and ChangeInstrument."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qlops_assets.factors.grammar.expression import Call, Constant, Field, Node, walk
from qlops_assets.factors.grammar.operators import OPERATORS, Kind
from qlops_assets.factors.grammar.render import render


@dataclass(slots=True)
class References:
    """Expressions over one named instrument, taken out of others.

    Everything above ``Mask(x, 'SH000300')`` that meets no other series is that instrument's too:
    the window in ``Mean(Mask($close, 'SH000300'), 5)`` runs over the index's own history. Where it
    meets another series, or at the top, its value of the same day is taken.

    Attributes:
        columns: Name of the column that stands for it -> instrument and expression.
    """

    columns: dict[str, tuple[str, Node]] = field(default_factory=dict)

    def take_out(self, trees: Mapping[str, Node]) -> dict[str, Node]:
        """Return the trees with a column in place of every expression over another instrument."""
        return {name: self._taken_out(tree) for name, tree in trees.items()}

    def _taken_out(self, tree: Node) -> Node:
        # (tree, instrument that it is of; "" where it is a number, None where each its own)
        done: list[tuple[Node, str | None]] = []
        for node in walk(tree):
            if not isinstance(node, Call):
                done.append((node, "" if isinstance(node, Constant) else None))
                continue
            count = len(node.operands)
            operands = done[len(done) - count :]
            del done[len(done) - count :]
            done.append(self._combined(node, operands))
        return self._aligned(*done.pop())

    def _combined(
        self, node: Call, operands: list[tuple[Node, str | None]]
    ) -> tuple[Node, str | None]:
        if OPERATORS[node.operator].kind is Kind.REFERENCE:
            inner, instrument = operands[0]
            return inner, instrument or str(node.parameters[0])
        whose = {instrument for _, instrument in operands if instrument != ""}
        if len(whose) == 1:
            trees = tuple(tree for tree, _ in operands)
            return Call(node.operator, trees, node.parameters), whose.pop()
        trees = tuple(self._aligned(tree, instrument) for tree, instrument in operands)
        return Call(node.operator, trees, node.parameters), None

    def _aligned(self, tree: Node, instrument: str | None) -> Node:
        if not instrument:
            return tree
        for name, known in self.columns.items():
            # By text: 1 and 1.0 are equal to Python, and not to numpy.
            if known[0] == instrument and render(known[1]) == render(tree):
                return Field(name)
        name = f"{instrument}#{len(self.columns)}"  # no field of the grammar has such a name
        self.columns[name] = (instrument, tree)
        return Field(name)
