"""Tree to text, in the one form that Qlib reads back to exactly this tree.

The Qlib engine evaluates this text and never the user's: it holds fields, numbers, quoted
instruments and names of our table, and nothing else.
"""

from qlops_assets.factors.grammar.expression import Call, Constant, Field, Node, walk


def render(node: Node) -> str:
    """Return the canonical text of a tree: operators by name, no spaces.

    ``parse(render(node))`` is ``node``, and so is what Qlib makes of the text.
    """
    parts: list[str] = []
    for current in walk(node):
        if isinstance(current, Field):
            parts.append(f"${current.name}")
        elif isinstance(current, Constant):
            parts.append(repr(current.value))
        else:
            first = len(parts) - len(current.operands)
            parts[first:] = [_written(current, parts[first:])]
    return parts.pop()


def _written(call: Call, operands: list[str]) -> str:
    arguments = [*operands, *map(repr, call.parameters)]
    if call.operator == "ChangeInstrument":
        arguments.reverse()
    return f"{call.operator}({','.join(arguments)})"
