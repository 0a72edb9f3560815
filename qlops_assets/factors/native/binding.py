"""A plan tied to memory: calls of numpy and of kernels, ready to be made one after the other."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np

from qlops_assets.factors.native.families import KERNELS
from qlops_assets.factors.native.graph import Place
from qlops_assets.factors.native.layout import Layout, Numbers
from qlops_assets.factors.native.plan import Family, Plan, Step

Bound = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

# numpy's name -> ours, where a number is the second operand
_MIXED_WITH_NUMBER: Final = {"add": "add_number", "divide": "divide_by_number"}
_MIXED: Final = ("add", "subtract", "multiply", "divide")

_NOTHING: Final[dict[str, Any]] = {}


class Arena:
    """The memory of a plan's slots for up to ``size`` values; one for each thread."""

    def __init__(self, plan: Plan, size: int, longest: int, stride: int = 1) -> None:
        self._slots = [np.empty(slot.rows * size, slot.dtype) for slot in plan.slots]
        self._rows = [slot.rows for slot in plan.slots]
        self.work = np.empty(_kernel("segments:work_size")(longest, stride))

    def rows(self, slot: int, size: int) -> Numbers:
        """Return a slot as rows of ``size`` values."""
        rows = self._rows[slot]
        return self._slots[slot][: rows * size].reshape(rows, size)


def bind(plan: Plan, layout: Layout, arena: Arena, out: Numbers) -> list[Bound]:
    """Return the calls that compute a layout's values into ``out``, a float32 row per factor."""
    return _Binder(plan, layout, arena, out).calls()


def run(calls: list[Bound]) -> None:
    """Make the calls; undefined results are NaN or infinite, as in Qlib, without warnings."""
    with np.errstate(all="ignore"):
        for function, arguments, keywords in calls:
            function(*arguments, **keywords)


class _Binder:
    def __init__(self, plan: Plan, layout: Layout, arena: Arena, out: Numbers) -> None:
        self._plan, self._layout, self._arena, self._out = plan, layout, arena, out
        self._graph = plan.graph
        self._nodes = list(plan.graph.outputs.values())
        self._written: dict[int, int] = {node: out for out, node in plan.straight.items()}
        self._fields: Mapping[str, Numbers] = layout.fields
        self._arrays: dict[int, Numbers] = {}
        self._watched = _history_operands(plan) if layout.has_gaps else set()
        self._calls: list[Bound] = []

    def calls(self) -> list[Bound]:
        for step in self._plan.steps:
            if step.what == "output":
                self._output(step.place)
            elif step.what == "family":
                self._family(self._plan.families[step.place], step)
            else:
                self._node(step.place, step)
        return self._calls

    def _size(self, place: int) -> int:
        return self._layout.values_of(self._plan.needs[place])

    def _array(self, place: int) -> Numbers:
        """Return the values of a node, all that are kept of it."""
        value = self._graph.values[place]
        return self._fields[value.what] if value.kind == "field" else self._arrays[place]

    def _last(self, operand: Any, size: int) -> Any:
        """Return the last values of an operand; a number as it is."""
        if not isinstance(operand, Place):
            return operand
        array: Numbers = self._array(operand.place)
        return array if array.size == size else array[array.size - size :]

    def _target(self, place: int, step: Step) -> Numbers:
        if step.slot is None:
            target: Numbers = self._out[self._written[place]]
        else:
            target = self._arena.rows(step.slot, self._size(place))[0]
        self._arrays[place] = target
        return target

    def _node(self, place: int, step: Step) -> None:
        value, size = self._graph.values[place], self._size(place)
        target = self._target(place, step)
        if value.kind == "shift":
            self._shift(value.inputs[0].place, int(value.what), target)
        else:
            inputs = tuple(self._last(operand, size) for operand in value.inputs)
            if value.kind == "ufunc":
                self._ufunc(value.what, inputs, target)
            elif value.kind == "cast":
                self._call(_kernel("elements:assign"), inputs[0], target)
            else:
                condition, left, right = inputs
                self._call(np.copyto, target, right, "unsafe")
                self._call(np.copyto, target, left, "unsafe", condition)
        self._blank(place)

    def _ufunc(self, name: str, inputs: tuple[Any, ...], target: Numbers) -> None:
        """Call numpy, or our own loop where numpy would convert through a buffer."""
        mixed = any(isinstance(i, np.ndarray) and i.dtype != target.dtype for i in inputs)
        has_double = any(isinstance(i, np.ndarray) and i.dtype == np.float64 for i in inputs)
        if mixed and has_double and target.dtype.kind == "f" and name in _MIXED:
            arrays = [i for i in inputs if isinstance(i, np.ndarray)]
            if len(arrays) == 2:
                self._call(_kernel(f"elements:{name}"), *inputs, target)
                return
            if inputs[0] is arrays[0] and name in _MIXED_WITH_NUMBER:
                kernel = _kernel(f"elements:{_MIXED_WITH_NUMBER[name]}")
                self._call(kernel, inputs[0], float(inputs[1]), target)
                return
        self._calls.append((getattr(np, name), inputs, {"out": target}))

    def _shift(self, operand: int, days: int, target: Numbers) -> None:
        layout = self._layout
        size = min(target.size + max(days, 0) * layout.stride, self._array(operand).size)
        source, bounds = self._history(operand, size)
        arguments = (source, bounds, layout.stride, size - target.size, days, target)
        self._call(_kernel("shifts:shift"), *arguments)

    def _history(self, operand: int, size: int) -> tuple[Numbers, Numbers]:
        """Return the last values of an operand and the bounds of segments in them."""
        whole = self._layout.days is None
        bounds = self._layout.bounds if whole else np.array([0, size], np.int64)
        return self._last(Place(operand), size), bounds

    def _family(self, family: Family, step: Step) -> None:
        size = self._size(family.members[0])
        assert step.slot is not None
        out = self._arena.rows(step.slot, size)
        for row, member in enumerate(family.members):
            self._arrays[member] = out[row]
        layout = self._layout
        before = (int(family.windows[-1]) - 1) * layout.stride
        length = min([size + before, *(self._array(o).size for o in family.operands)])
        operands, bounds = [], layout.bounds
        for operand in family.operands:
            values, bounds = self._history(operand, length)
            operands.append(values)
        ages = layout.ages[layout.size - length :]
        settings = (bounds, layout.stride, length - size, family.windows)
        arguments = (
            *operands,
            ages,
            *settings,
            family.requests,
            family.scores,
            self._arena.work,
            out,
        )
        self._call(_kernel(KERNELS[family.kernel]), *arguments)
        for member in family.members:
            self._blank(member)

    def _blank(self, place: int) -> None:
        """Take out what a history operand says of days on which an instrument had no row yet."""
        if place in self._watched:
            array = self._arrays[place]
            none = self._layout.ages[self._layout.size - array.size :] < 1
            self._call(np.putmask, array, none, np.nan)

    def _output(self, place: int) -> None:
        if place in self._plan.straight:
            return
        row = self._out[place]
        self._call(_kernel("elements:assign"), self._last(Place(self._nodes[place]), row.size), row)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._calls.append((function, arguments, _NOTHING))


def _history_operands(plan: Plan) -> set[int]:
    """Return the float nodes whose earlier days are looked at."""
    looked_at = {
        node
        for value in plan.graph.values
        if value.kind in ("shift", "window")
        for node in value.nodes()
    }
    return {n for n in looked_at if plan.graph.values[n].kind != "field"}


@cache
def _kernel(name: str) -> Callable[..., Any]:
    """Return ``"module:function"`` of the kernels."""
    module, _, function = name.partition(":")
    kernel: Callable[..., Any] = getattr(
        import_module(f"qlops_assets.factors.native.kernels.{module}"), function
    )
    return kernel
