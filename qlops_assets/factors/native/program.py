"""Factors made ready to be computed: parsed, merged into one graph and planned."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock, local
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.factors.grammar.expression import Node
from qlops_assets.factors.native.binding import Arena, bind, run
from qlops_assets.factors.native.graph import DType, Graph
from qlops_assets.factors.native.layout import Integers, Layout, Numbers
from qlops_assets.factors.native.plan import Plan, plan

# Values of one run: so many that Python's share is small, so few that they stay in the cache.
_CHUNK: Final = 40_000

_FLOAT32: Final = np.dtype(np.float32)

Columns = NDArray[Any]


@dataclass(slots=True)
class Program:
    """A set of factors over fields.

    Attributes:
        plan: The order of work.
        fields: The fields that it reads.
    """

    plan: Plan
    fields: tuple[str, ...]
    _lock: Lock = field(default_factory=Lock, repr=False)
    _days: "dict[Any, _Day]" = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, trees: Mapping[str, Node], dtypes: Mapping[str, DType]) -> "Program":
        """Return the program of named trees; types are those of fields that are not float32."""
        graph = Graph.of(trees, dtypes)
        fields = {value.what for value in graph.values if value.kind == "field"}
        return cls(plan(graph), tuple(sorted(fields)))

    def dtypes(self) -> list[DType]:
        """Return the type that each factor has before it is made float32."""
        graph = self.plan.graph
        return [graph.values[node].dtype for node in graph.outputs.values()]

    def compute(
        self,
        fields: Mapping[str, Numbers],
        bounds: Integers,
        *,
        threads: int = 1,
        dtype: DType = _FLOAT32,
    ) -> Columns:
        """Return every factor for every row.

        Args:
            fields: Field -> values by row, instruments one behind the other.
            bounds: Where instruments begin, and the end.
            threads: Threads to spread instruments over.
            dtype: Of the result.

        Returns:
            Factors by rows; each factor is contiguous.
        """
        out = np.empty((len(self.plan.graph.outputs), int(bounds[-1])), dtype)
        chunks = blocks(bounds, _CHUNK)
        size = max((int(bounds[b] - bounds[a]) for a, b in chunks), default=0)
        longest = int(np.diff(bounds).max(initial=0))
        memory = local()

        def work(chunk: tuple[int, int]) -> None:
            if not hasattr(memory, "arena"):
                memory.arena = Arena(self.plan, size, longest)
            begin, end = int(bounds[chunk[0]]), int(bounds[chunk[1]])
            layout = _histories(fields, bounds, chunk)
            run(bind(self.plan, layout, memory.arena, out[:, begin:end]))

        _each(work, chunks, threads)
        return out

    def compute_last_day(self, fields: Mapping[str, Numbers], ages: Integers) -> Columns:
        """Return every factor on the last day of a table.

        Args:
            fields: Field -> table of days by instruments, of at least ``plan.look_back`` days and
                the last.
            ages: For each place its row in the instrument's history, from 1; less where there is
                none.

        Returns:
            Factors by instruments.
        """
        has_gaps = bool(ages.min(initial=1) < 1)
        with self._lock:
            if has_gaps:  # whose they are is part of the calls
                return _Day(self, ages, has_gaps=True).compute(fields)
            if ages.shape not in self._days:
                self._days = {ages.shape: _Day(self, ages, has_gaps=False)}
            return self._days[ages.shape].compute(fields)


class _Day:
    """A program tied to tables of one shape: all that a new day needs is to be filled in."""

    def __init__(self, program: Program, ages: Integers, *, has_gaps: bool) -> None:
        instruments = ages.shape[1]
        self._fields = {
            value.what: np.empty(ages.shape, value.dtype)
            for value in program.plan.graph.values
            if value.kind == "field"
        }
        flat = {name: table.ravel() for name, table in self._fields.items()}
        bounds = np.array([0, ages.size], np.int64)
        layout = Layout(flat, ages.ravel(), bounds, instruments, days=1, has_gaps=has_gaps)
        self._out = np.empty((len(program.plan.graph.outputs), instruments), np.float32)
        arena = Arena(program.plan, ages.size, ages.size, instruments)
        self._calls = bind(program.plan, layout, arena, self._out)

    def compute(self, fields: Mapping[str, Numbers]) -> Columns:
        for name, table in self._fields.items():
            table[:] = fields[name]
        run(self._calls)
        return self._out.copy()


def _each(work: Any, chunks: list[tuple[int, int]], threads: int) -> None:
    if threads <= 1 or len(chunks) < 2:
        for chunk in chunks:
            work(chunk)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, chunks):
            pass


def blocks(bounds: Integers, rows: int) -> list[tuple[int, int]]:
    """Return ranges of whole instruments with at least so many rows each, but for the last."""
    found, begin = [], 0
    for i in range(1, bounds.size):
        if bounds[i] - bounds[begin] >= rows or i == bounds.size - 1:
            found.append((begin, i))
            begin = i
    return found


def _histories(fields: Mapping[str, Numbers], bounds: Integers, chunk: tuple[int, int]) -> Layout:
    own = bounds[chunk[0] : chunk[1] + 1]
    begin, end = int(own[0]), int(own[-1])
    lengths = np.diff(own)
    ages = np.arange(1, end - begin + 1, dtype=np.int64) - np.repeat(own[:-1] - begin, lengths)
    return Layout({name: f[begin:end] for name, f in fields.items()}, ages, own - begin)
