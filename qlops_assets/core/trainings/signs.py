"""Signs of life: a file that a working process touches, and whether to believe that it is alive.

A process that is killed says nothing more. On its own machine the system knows at once that it is
gone; from another machine it is taken for dead when its file has not been touched for a while.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.atomic import read_json, replacing

BEAT_S: Final = 5.0
# Less than half a minute, in which several beats would have come.
SILENT_AFTER_S: Final = 20.0
SIGN: Final = "training.alive.json"

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")
# A start time is told to a hundredth of a second, and moves when the machine's clock is set.
_START_TOLERANCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A process, told from every other also after its number was used again.

    Attributes:
        host: Name of its machine.
        boot: Which start of the machine, and which of its worlds of process numbers.
        pid: Its number there.
        started: When it started, in seconds since 1970.
    """

    host: str
    boot: str
    pid: int
    started: float

    @classmethod
    def own(cls) -> "Worker":
        """Return this process."""
        import psutil

        process = psutil.Process()
        return cls(socket.gethostname(), _world(), process.pid, process.create_time())

    @property
    def is_here(self) -> bool:
        """Whether this machine's numbers of processes are the ones that it was given its from."""
        return self.host == socket.gethostname() and self.boot == _world()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs; only to be asked where it is here."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.started) < _START_TOLERANCE_S
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def _world() -> str:
    # Containers of one machine share its boot and count their processes apart.
    boot = _BOOT.read_text(encoding="ascii").strip()
    return f"{boot} {_NAMESPACE.readlink()}"


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life of a process that trains.

    Attributes:
        worker: The process.
        at: When it was last heard of.
    """

    worker: Worker
    at: datetime

    def is_alive(self, now: datetime) -> bool:
        """Return whether the process still works, as far as can be known from here."""
        if self.worker.is_here:
            return self.worker.is_alive
        return (now - self.at).total_seconds() < SILENT_AFTER_S


class Heart:
    """Gives the signs of life of this process."""

    def __init__(self, path: Path) -> None:
        self._path, self._worker = path, Worker.own()

    def beat(self) -> None:
        """Touch the file; write it where it is gone."""
        try:
            os.utime(self._path)
        except FileNotFoundError:
            self.begin()

    def begin(self) -> None:
        """Write who works."""
        with replacing(self._path) as temporary:
            temporary.write_text(json.dumps(asdict(self._worker)) + "\n", encoding="utf-8")

    def end(self) -> None:
        """Take the file away, unless another process has put its own there."""
        sign = read_sign(self._path)
        if sign is not None and sign.worker == self._worker:
            self._path.unlink(missing_ok=True)


def read_sign(path: Path) -> Sign | None:
    """Return the sign of life in a file, or None where there is none."""
    try:
        value: Any = read_json(path)
        touched = path.stat().st_mtime
        return Sign(Worker(**value), datetime.fromtimestamp(touched, UTC))
    except (FileNotFoundError, ValueError, TypeError):
        return None
