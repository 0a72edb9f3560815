"""One process at a time."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from qlops_assets.core.errors import LockedError

_POLL_S: Final = 0.05


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float = 600.0) -> Iterator[None]:
    """Hold a lock that other processes and threads wait for; it is free when its holder is gone.

    Args:
        path: The lock's file; it is made, and stays.
        timeout_s: Give up after so many seconds.

    Raises:
        LockedError: another process held it all that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with path.open("ab") as file:
        while not _taken(file.fileno()):
            if time.monotonic() >= deadline:
                raise LockedError(path, timeout_s)
            time.sleep(_POLL_S)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
