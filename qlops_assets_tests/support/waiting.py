"""Waiting for what comes about by itself, and not for ever."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Return what a condition gives, once it gives something."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError(f"nothing came of {condition} in {timeout_s:g} s")
