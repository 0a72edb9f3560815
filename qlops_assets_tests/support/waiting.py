"""Waiting for what comes about by itself, and not for ever."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(
    condition: Callable[[], Any], timeout_s: float = 60.0, *, pause_s: float = 0.02
) -> Any:
    """Return what a condition gives, once it gives something.

    A longer pause leaves the core to the processes that are waited for, where a look takes much of
    one and what is waited for does not pass.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(pause_s)
    raise TimeoutError(f"nothing came of {condition} in {timeout_s:g} s")
