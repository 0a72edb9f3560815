"""Runs a few child processes in the foreground: starts, restarts, and stops them together."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qlops_assets.core.errors import ServerError

_POLL_S = 0.3
_GRACE_S = 20.0
_LEFTOVERS_S = 3.0
_LONGEST_PAUSE_S = 30.0
_HEALTHY_AFTER_S = 60.0
_MOST_RESTARTS = 8
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One supervised process.

    Attributes:
        name: Shown in messages; its output goes to ``<logs>/<name>.log``.
        command: What to run.
        url: Where it answers, for the list that is printed.
    """

    name: str
    command: Sequence[str]
    url: str
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    restarts: int = 0
    start_at: float = field(default=0.0)


class Supervisor:
    """Keeps children running until told to stop; none of them outlives it."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        logs: Path,
        environment: dict[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._children, self._logs, self._say = list(children), logs, say
        self._environment = environment
        self._stopping = False

    def run(self) -> None:
        """Start every child and watch until SIGINT or SIGTERM; then stop them all.

        Raises:
            ServerError: a child died again and again; the end of its log is in the message.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        previous = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._stopping:
                for child in self._children:
                    self._keep(child)
                time.sleep(_POLL_S)
        finally:
            self._end_all()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _keep(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None:
            code = child.process.poll()
            if code is None:
                return
            _end_group(child.process)  # what it started may have outlived it
            child.process = None
            if now - child.started_at > _HEALTHY_AFTER_S:
                child.restarts = 0
            child.restarts += 1
            if child.restarts > _MOST_RESTARTS:
                raise ServerError(f"{child.name} ended {child.restarts} times: {self._end(child)}")
            pause = min(_LONGEST_PAUSE_S, 0.5 * 2**child.restarts)
            child.start_at = now + pause
            self._say(f"{child.name} ended with {code}; starting it again in {pause:.0f} s")
        if now >= child.start_at:
            self._start(child)

    def _start(self, child: Child) -> None:
        with (self._logs / f"{child.name}.log").open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which asks nicely
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread runs here
            )
        child.started_at = time.monotonic()

    def _end(self, child: Child) -> str:
        text = (self._logs / f"{child.name}.log").read_text(errors="replace")
        return " ".join(text[-600:].split())

    def _end_all(self) -> None:
        running = [child.process for child in self._children if child.process]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _end_group(process)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End what a child left behind in the session that we made for it."""
    deadline = time.monotonic() + _LEFTOVERS_S
    number = signal.SIGTERM
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):  # nothing is left
            return
        time.sleep(_POLL_S)  # nobody tells us of processes that are not our children
        number = signal.SIGKILL


def _die_with_parent() -> None:
    """Let the kernel end this child when the supervisor is killed; Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
