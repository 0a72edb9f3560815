"""A home that is used as a person would: ``qlops`` as a process, on ports of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from qlops_assets.core.journal import Event, Journal
from qlops_assets_tests.support.waiting import wait_for

LONGEST_S = 240.0

CONFIGURATION = """
[source]
quiet_seconds = 0.3

[features]
jobs = 1

[recorder]
enabled = false

[training]
rounds = 40
early_stopping_rounds = 10
threads = 1
account = 1e7

[training.parameters]
lambda_l1 = 1.0
lambda_l2 = 1.0
num_leaves = 8
learning_rate = 0.1

[environments.staging]
port = {staging}

[environments.production]
port = {production}
needs_approval = true
after = "staging"

[console]
port = {console}
dagster_port = {dagster}
"""


@dataclass(frozen=True)
class Finished:
    """A command that ended: its exit status, what it said, how long it took."""

    status: int
    out: str
    err: str
    wall_s: float

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        value: dict[str, Any] = json.loads(self.out)
        return value

    @property
    def error(self) -> str:
        """The last line of stderr: the error, where it failed."""
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


def free_ports(*names: str) -> dict[str, int]:
    """Return a free port for each name, all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in names]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {name: s.getsockname()[1] for name, s in zip(names, sockets, strict=True)}


@dataclass
class Journey:
    """A folder with a home in it, and every process that was started for it."""

    folder: Path
    configuration: str = CONFIGURATION
    ports: Mapping[str, int] = field(
        default_factory=lambda: free_ports("staging", "production", "console", "dagster")
    )
    _started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        text = self.configuration.format(**self.ports)
        (self.home / "qlops.toml").write_text(text, encoding="utf-8")

    @property
    def home(self) -> Path:
        """The home."""
        return self.folder / "home"

    @property
    def source(self) -> Path:
        """The folder of the user's bars."""
        return self.folder / "source"

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of ``qlops`` for this home."""
        return [sys.executable, "-m", "qlops_assets.cli", "--home", str(self.home), *arguments]

    def qlops(self, *arguments: str, timeout_s: float = LONGEST_S) -> Finished:
        """Run a command to its end."""
        started = time.monotonic()
        process = self.start(*arguments)
        out, err = process.communicate(timeout=timeout_s)
        return Finished(process.returncode, out, err, time.monotonic() - started)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command in a session of its own, as a terminal would."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def environment(self, **more: str) -> dict[str, str]:
        """Return an environment without settings of whoever runs the tests."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("QLOPS_", "DAGSTER_"))}
        return {**ours, **more}

    def events(self, topic: str = "*", after: int = 0) -> list[Event]:
        """Return events of the home's journal."""
        if not (self.home / "journal.db").is_file():
            return []
        journal = Journal(f"sqlite:///{self.home / 'journal.db'}")
        try:
            return [e for e in journal.read_all(topic) if e.seq > after]
        finally:
            journal.close()

    @contextlib.contextmanager
    def _new_events(self, after: int) -> Iterator[Callable[[], list[Event]]]:
        """Yield what returns the events since it was last called.

        One reader for the whole wait: to open the journal and read all of it twenty times a second
        would take much of a core from the process that is waited for.
        """
        file = self.home / "journal.db"
        with contextlib.closing(Journal(f"sqlite:///{file}")) as journal:
            last = after

            def new_events() -> list[Event]:
                nonlocal last
                found: list[Event] = []
                while file.is_file() and (events := journal.read(after=last)):
                    found += events
                    last = events[-1].seq
                return found

            yield new_events

    def signalled(
        self, number: signal.Signals, when: Callable[[Event], bool], *arguments: str
    ) -> Finished:
        """Run a command, and signal it as soon as an event of its own meets a condition.

        SIGINT goes to the whole group, as Ctrl-C in a terminal does.
        """
        before = max((e.seq for e in self.events()), default=0)
        process = self.start(*arguments)
        with self._new_events(before) as new_events:
            wait_for(
                lambda: process.poll() is not None or any(map(when, new_events())),
                LONGEST_S,
                pause_s=0.05,
            )
        signalled_at = time.monotonic()
        assert process.poll() is None, process.communicate()
        (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
        out, err = process.communicate(timeout=60)
        return Finished(process.returncode, out, err, time.monotonic() - signalled_at)

    def server_pid(self, environment: str) -> int:
        """Return the process that serves an environment."""
        record = json.loads((self.home / "servers" / f"{environment}.json").read_text())
        return int(record["pid"])

    def url(self, name: str) -> str:
        """Return the address of one of the home's processes."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def post(self, name: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a process and return its answer."""
        with httpx.Client(timeout=30, trust_env=False) as client:
            response = client.post(self.url(name) + path, json=body)
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def answers(self, name: str, path: str) -> bool:
        """Return whether a process answers with success."""
        try:
            with httpx.Client(timeout=5, trust_env=False) as client:
                return client.get(self.url(name) + path).is_success
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        """Stop everything that was started for this home."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for record in sorted((self.home / "servers").glob("*.json")):
            with contextlib.suppress(psutil.Error, ValueError, KeyError):
                server = psutil.Process(int(json.loads(record.read_text())["pid"]))
                if str(self.home) in server.cmdline():
                    server.kill()
                    server.wait(10)


@contextlib.contextmanager
def dagster_instance(journey: Journey) -> Iterator[Any]:
    """Open the Dagster instance of a home."""
    import dagster as dg

    names = {"DAGSTER_HOME", "QLOPS_STATE"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(journey.home / "dagster")))
    try:
        with dg.DagsterInstance.get() as instance:
            yield instance
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_states(journey: Journey) -> list[tuple[str, str]]:
    """Return (job, status) of every Dagster run of a home, oldest first."""
    with dagster_instance(journey) as instance:
        return [(run.job_name, run.status.value) for run in reversed(instance.get_runs())]
