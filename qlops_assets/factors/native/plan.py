"""The order in which a graph is computed, and where its values are kept meanwhile."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from qlops_assets.factors.native.families import Request
from qlops_assets.factors.native.graph import DType, Graph, history

# More days than any history has.
ALL_DAYS: Final = 2**40


@dataclass(frozen=True, slots=True)
class Family:
    """Windows over the same operands that one scan serves.

    Attributes:
        kernel: A name of ``families.KERNELS``.
        operands: Nodes that are scanned.
        members: Nodes that it computes, a row of its output each.
        windows: Ascending lengths.
        requests: For each member its statistic and the place of its window.
        scores: For each member its further number.
    """

    kernel: str
    operands: tuple[int, ...]
    members: tuple[int, ...]
    windows: np.ndarray[Any, np.dtype[np.int64]]
    requests: np.ndarray[Any, np.dtype[np.int64]]
    scores: np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Slot:
    """Memory for values: ``rows`` of one type, one behind the other."""

    dtype: DType
    rows: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        what: ``node`` (compute it), ``family`` (compute all of its members) or ``output``.
        place: Of the node, the family or the output.
        slot: Where the values go; None where straight into the output.
    """

    what: str
    place: int
    slot: int | None = None


@dataclass(slots=True)
class Plan:
    """A graph made ready to run.

    Attributes:
        graph: What is computed.
        families: Its window scans.
        steps: In order.
        slots: The memory that the steps need; values that are done with make room for others.
        kept: Node -> slot, and row in it, of every node that is not a field.
        needs: For every node how many days before the first wanted day it is needed.
        straight: Output -> node that is written straight into it.
    """

    graph: Graph
    families: list[Family] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    kept: dict[int, tuple[int, int]] = field(default_factory=dict)
    needs: list[int] = field(default_factory=list)
    straight: dict[int, int] = field(default_factory=dict)

    @property
    def look_back(self) -> int | None:
        """Days before a day that its values depend on; None for all."""
        most = max(self.needs, default=0)
        return None if most >= ALL_DAYS else most


def plan(graph: Graph) -> Plan:
    """Return the plan of a graph."""
    made = Plan(graph)
    member_of = _families(made)
    made.needs = _needs(made)
    uses = _uses(graph)
    for place, node in enumerate(graph.outputs.values()):
        value = graph.values[node]
        if value.kind == "ufunc" and uses[node] == 1 and value.dtype.kind == "f":
            made.straight[place] = node
    order = list(_ordered(made, member_of))
    _assign_slots(made, order)
    return made


def _families(made: Plan) -> dict[int, int]:
    """Group the window nodes; return node -> family."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, value in enumerate(made.graph.values):
        if value.kind == "window":
            groups[value.what.family, tuple(value.nodes())].append(place)
    member_of = {}
    for (kernel, operands), members in groups.items():
        asked: list[Request] = [made.graph.values[m].what for m in members]
        windows = sorted({request.window for request in asked})
        rows = [(request.statistic, windows.index(request.window)) for request in asked]
        scores = [request.score for request in asked]
        member_of.update(dict.fromkeys(members, len(made.families)))
        made.families.append(
            Family(
                kernel,
                operands,
                tuple(members),
                np.array(windows, np.int64),
                np.array(rows, np.int64),
                np.array(scores, np.float64),
            )
        )
    return member_of


def _needs(made: Plan) -> list[int]:
    """Return the days before the first wanted one on which each node is needed.

    All members of a family are computed for the days of the neediest.
    """
    values = made.graph.values
    needs = [0] * len(values)
    together = {m: family for family in made.families for m in family.members}
    for place in range(len(values) - 1, -1, -1):
        if place in together:
            members = together[place].members
            needs[place] = max(needs[m] for m in members)
        days = history(values[place])
        for node in values[place].nodes():
            wanted = ALL_DAYS if days is None else min(needs[place] + days, ALL_DAYS)
            needs[node] = max(needs[node], wanted)
    for family in made.families:
        most = max(needs[m] for m in family.members)
        for member in family.members:
            needs[member] = most
        days = max(_or_all(history(values[m])) for m in family.members)
        for operand in family.operands:
            needs[operand] = max(needs[operand], min(most + days, ALL_DAYS))
    return needs


def _or_all(days: int | None) -> int:
    return ALL_DAYS if days is None else days


def _uses(graph: Graph) -> dict[int, int]:
    uses: dict[int, int] = defaultdict(int)
    for value in graph.values:
        for node in value.nodes():
            uses[node] += 1
    for node in graph.outputs.values():
        uses[node] += 1
    return uses


def _ordered(made: Plan, member_of: dict[int, int]) -> Iterator[tuple[str, int]]:
    """Yield what to compute in an order in which few values wait at a time.

    As soon as a scan has been done, every factor that needs no other scan is finished.
    """
    values, done = made.graph.values, set[int]()
    outputs = list(enumerate(made.graph.outputs.values()))

    def compute(root: int) -> Iterator[tuple[str, int]]:
        stack = [root]
        while stack:
            place = stack[-1]
            if place in done or values[place].kind == "field":
                stack.pop()
                continue
            family = made.families[member_of[place]] if place in member_of else None
            before = family.operands if family else tuple(values[place].nodes())
            missing = [n for n in before if n not in done and values[n].kind != "field"]
            if missing:
                stack.extend(reversed(missing))
                continue
            done.update(family.members if family else [place])
            yield ("family", member_of[place]) if family else ("node", place)

    scans = [_scans(values, node, member_of, done) for _, node in outputs]
    while outputs:
        ready = [o for o, s in zip(outputs, scans, strict=True) if not s - done]
        for place, node in ready or outputs[:1]:
            yield from compute(node)
            yield "output", place
        taken = {place for place, _ in ready or outputs[:1]}
        scans = [s for s, (place, _) in zip(scans, outputs, strict=True) if place not in taken]
        outputs = [o for o in outputs if o[0] not in taken]


def _scans(values: list[Any], root: int, member_of: dict[int, int], done: set[int]) -> set[int]:
    """Return the window nodes below a node."""
    found, seen, stack = set(), set[int](), [root]
    while stack:
        place = stack.pop()
        if place in seen:
            continue
        seen.add(place)
        if place in member_of:
            found.add(place)
        stack.extend(values[place].nodes())
    return found


def _assign_slots(made: Plan, order: list[tuple[str, int]]) -> None:
    """Give every computed value memory that no other value still needs."""
    outputs = list(made.graph.outputs.values())
    last = _last_uses(made, order, outputs)
    free: dict[Slot, list[int]] = defaultdict(list)
    ending: dict[int, list[int]] = defaultdict(list)
    straight = set(made.straight.values())
    for at, (what, place) in enumerate(order):
        if what == "output" or (what == "node" and place in straight):
            made.steps.append(Step(what, place))
        else:
            members = made.families[place].members if what == "family" else (place,)
            slot = _take(made, Slot(made.graph.values[members[0]].dtype, len(members)), free)
            made.kept.update({node: (slot, row) for row, node in enumerate(members)})
            made.steps.append(Step(what, place, slot))
            ending[max(last[node] for node in members)].append(slot)
        for slot in ending.pop(at, []):
            free[made.slots[slot]].append(slot)


def _take(made: Plan, wanted: Slot, free: dict[Slot, list[int]]) -> int:
    if free[wanted]:
        return free[wanted].pop()
    made.slots.append(wanted)
    return len(made.slots) - 1


def _last_uses(made: Plan, order: list[tuple[str, int]], outputs: list[int]) -> dict[int, int]:
    last: dict[int, int] = {}
    for at, (what, place) in enumerate(order):
        if what == "output":
            used = [outputs[place]]
        elif what == "family":
            used = [*made.families[place].operands, *made.families[place].members]
        else:
            used = [*made.graph.values[place].nodes(), place]
        last.update(dict.fromkeys(used, at))
    return last
