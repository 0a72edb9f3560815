"""Numba's compiler with a cache on disk where there is a place for one.

Compiling all kernels takes seconds, loading them a fraction of one. Numba keeps machine code beside
the source, else in the user's cache folder (or ``NUMBA_CACHE_DIR``); where it can write to neither,
it refuses to decorate at all, and then every process compiles for itself.
"""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])

_OPTIONS: Final = {"nogil": True, "error_model": "numpy"}

_LOG = logging.getLogger(__name__)


def compiled(function: F) -> F:
    """Return the function as machine code that runs without Python's lock.

    No relaxed arithmetic: IEEE results, whatever the vector width, so that a value does not depend
    on where in a loop it was computed. Division follows IEEE too: Python's check for zero would
    keep loops from being vector instructions.
    """
    try:
        machine_code = numba.njit(function, cache=True, **_OPTIONS)
    except RuntimeError as error:  # Numba's "no locator available": nowhere to write
        _LOG.warning("compiling %s anew in each process: %s", function.__name__, error)
        machine_code = numba.njit(function, **_OPTIONS)
    return machine_code  # type: ignore[no-any-return]
