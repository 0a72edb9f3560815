"""One command at a time that does the work of a home."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qlops_assets.core.errors import QlopsError


class HomeBusyError(QlopsError):
    """Another process does the work of this home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(
            f"{home}: another `qlops demo` or `qlops features refresh` is at work on this home; "
            "wait for it, or give another --home"
        )


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the home's work, which the system lets go when a process dies.

    Raises:
        HomeBusyError: another process holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "demo.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HomeBusyError(home) from error
        yield
