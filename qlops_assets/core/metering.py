"""What a piece of work cost: wall time, CPU time, peak memory; and memory that it leaves alone."""

import atexit
import ctypes
import gc
import math
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType

_SAMPLE_S = 0.05
_CHILDREN_S = 1.0  # looking for them reads every process of the machine
_NEW_OBJECTS = 50_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall seconds, CPU seconds of the process tree, and its peak resident memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


class Meter:
    """A context manager that samples this process and its children while the block runs.

    A child that lives for less than a second may go unseen.
    """

    def __init__(self) -> None:
        self._done = threading.Event()
        self._peak = 0
        self.cost = Cost(0.0, 0.0, 0.0)

    def __enter__(self) -> "Meter":
        import psutil

        self._process = psutil.Process()
        self._children: list[psutil.Process] = []
        self._looked = -math.inf
        self._wall, self._cpu = time.monotonic(), self._cpu_seconds()
        self._sample()
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()
        self.cost = Cost(
            round(time.monotonic() - self._wall, 3),
            round(self._cpu_seconds() - self._cpu, 3),
            round(self._peak / 1e6, 1),
        )

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def _sample(self) -> None:
        import psutil

        if time.monotonic() - self._looked >= _CHILDREN_S:
            self._children = self._process.children(recursive=True)
            self._looked = time.monotonic()
        total = self._process.memory_info().rss
        for child in self._children:
            try:
                total += child.memory_info().rss
            except psutil.Error:  # it ended since it was found
                continue
        self._peak = max(self._peak, total)

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLE_S):
            self._sample()


def collect_garbage_rarely() -> None:
    """Let Python look for cycles of garbage after many new objects only, and not at its end.

    For a process of our own. It looks every 700 objects by itself; what we import and what Dagster
    makes of months are hundreds of thousands, none of them garbage, and it took seconds.
    """
    if gc.get_threshold()[0] < _NEW_OBJECTS:
        gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
        atexit.register(gc.freeze)  # the system takes all of it back at once


def release_freed_memory() -> None:
    """Give back what was freed: to the system, where an allocator would keep it for its own use.

    A process has several (glibc's, Arrow's, Polars's), and what one keeps another cannot take.
    """
    if (arrow := sys.modules.get("pyarrow")) is not None:
        arrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not in musl
        if trim is not None:
            trim(0)
