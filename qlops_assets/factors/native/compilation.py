"""Numba's compiler with a cache on disk where there is a place for one.

Compiling all kernels takes seconds, loading them a fraction of one. Numba keeps machine code beside
the source, else in the user's cache folder (or ``NUMBA_CACHE_DIR``); where it can write to neither,
it refuses to decorate at all, and then every process compiles for itself.

Numba takes machine code for current while the file of its function is unchanged, but kernels call
those of other files, whose code is inside theirs. So it is marked with the sources of all.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])

_OPTIONS: Final = {"nogil": True, "error_model": "numpy"}

_KERNELS: Final = Path(__file__).parent / "kernels"

_LOG = logging.getLogger(__name__)


def compiled(function: F) -> F:
    """Return the function as machine code that runs without Python's lock.

    No relaxed arithmetic: IEEE results, whatever the vector width, so that a value does not depend
    on where in a loop it was computed. Division follows IEEE too: Python's check for zero would
    keep loops from being vector instructions.
    """
    try:
        machine_code = numba.njit(function, cache=True, **_OPTIONS)
        _mark(machine_code, Path(function.__code__.co_filename).parent)
    except RuntimeError as error:  # Numba's "no locator available": nowhere to write
        _LOG.warning("compiling %s anew in each process: %s", function.__name__, error)
        machine_code = numba.njit(function, **_OPTIONS)
    return machine_code  # type: ignore[no-any-return]


def _mark(machine_code: Callable[..., object], folder: Path) -> None:
    """Add to the stamp of what is kept of a function the sources that it may call."""
    # Numba has no public way to say it; test_compilation sees whether this one still works.
    kept = machine_code._cache._cache_file  # type: ignore[attr-defined]
    kept._source_stamp = (kept._source_stamp, _digest(_KERNELS), _digest(folder))


@cache
def _digest(folder: Path) -> str:
    sources = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        sources.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return sources.hexdigest()
