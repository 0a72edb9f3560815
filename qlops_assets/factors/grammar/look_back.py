"""Which rows, fields and instruments a factor is computed from."""

import math
from typing import Final

from qlops_assets.factors.grammar.expression import Call, Field, Node, Number, walk
from qlops_assets.factors.grammar.operators import OPERATORS, Kind

_Reach = tuple[float, int]  # rows before, rows after
_HERE: Final[_Reach] = (0, 0)
_ALL_BEFORE: Final[_Reach] = (math.inf, 0)


def look_back(node: Node) -> int | None:
    """Return how many rows before a row its value is computed from.

    0 for a field; ``Ref`` and ``Delta`` by n add n, a window of n adds n - 1. ``None`` is the whole
    history: a window of 0, ``EMA``, which forgets but never entirely, and ``$change``, which is
    since the last traded day, however long ago that was.
    """
    back, _ = _reach(node)
    return None if math.isinf(back) else int(back)


def look_ahead(node: Node) -> int:
    """Return how many rows after a row its value is computed from; 0 for everything but labels."""
    _, ahead = _reach(node)
    return ahead


def fields(node: Node) -> frozenset[str]:
    """Return the names of the fields that a factor reads, without the dollar."""
    return frozenset(part.name for part in walk(node) if isinstance(part, Field))


def instruments(node: Node) -> frozenset[str]:
    """Return the instruments that a factor reads for every other one, in upper case."""
    return frozenset(
        str(part.parameters[0])
        for part in walk(node)
        if isinstance(part, Call) and OPERATORS[part.operator].kind is Kind.REFERENCE
    )


def _reach(node: Node) -> _Reach:
    done: list[_Reach] = []
    for part in walk(node):
        if not isinstance(part, Call):
            is_change = isinstance(part, Field) and part.name == "change"
            done.append(_ALL_BEFORE if is_change else _HERE)
            continue
        first = len(done) - len(part.operands)
        back = max(reach[0] for reach in done[first:])
        ahead = max(reach[1] for reach in done[first:])
        done[first:] = [_reach_of(part, back, ahead)]
    return done.pop()


def _reach_of(call: Call, back: float, ahead: int) -> _Reach:
    kind = OPERATORS[call.operator].kind
    if kind is Kind.SHIFT:
        return _shifted(call, back, ahead)
    if kind in {Kind.WINDOW, Kind.PAIR_WINDOW}:
        days = _days(call)
        return (back + days - 1 if days and call.operator != "EMA" else math.inf), ahead
    return back, ahead


def _shifted(call: Call, back: float, ahead: int) -> _Reach:
    days = _days(call)
    if days == 0:  # the first row of all
        return math.inf, ahead
    there = max(0, back + days), max(0, ahead - days)
    if call.operator == "Ref":
        return there
    return max(back, there[0]), max(ahead, there[1])


def _days(call: Call) -> int:
    days: Number | str = call.parameters[0]
    return math.ceil(days) if not isinstance(days, str) else 0
