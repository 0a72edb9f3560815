"""Consoles that really listen, and homes with something in them."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from fastapi import FastAPI

from qlops_assets.core.atomic import write_json, write_text
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent

VERSION = "lightgbm-simulated-7-300x8-20251231-5e1c07"
METRICS = {
    "ic": 0.03,
    "icir": 0.4,
    "rank_ic": 0.04,
    "rank_icir": 0.5,
    "long_short": 0.2138,
    "excess_return_with_cost": 0.0871,
    "excess_return_without_cost": 0.1364,
    "information_ratio": 1.31,
    "max_drawdown": -0.0614,
}
# Daily returns of a backtest of four days; the excess falls on the third.
EQUITY = {
    "date": [date(2025, 1, 2) + timedelta(days=i) for i in range(4)],
    "strategy": [0.01, 0.02, -0.03, 0.01],
    "benchmark": [0.005, 0.01, -0.01, 0.0],
    "excess": [0.005, 0.01, -0.02, 0.01],
    "turnover": [0.2] * 4,
    "cost": [0.0] * 4,
    "drawdown": [0.0, 0.0, -0.02, -0.01],
}


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def report_fit(
    journal: Journal, version: str, steps: range, *, total: int = 1000, attempt: int = 1
) -> None:
    """Append the progress of a fit: train falls for ever, valid has its best at step 60."""
    for step in steps:
        metrics = {"train.l2": 1 - step / 5000, "valid.l2": 0.99 + (step - 60) ** 2 / 1e6}
        data = {"stage": "fit", "step": step, "total": total, "metrics": metrics}
        pace = {
            "elapsed_s": step / 10,
            "eta_s": (total - step) / 10,
            "eta_low_s": 1,
            "eta_high_s": 99,
        }
        facts = {"attempt": attempt, **data, **pace, "memory_mb": 812.4, "rows_per_s": 351_234}
        journal.append(f"training/{version}", "progress", facts)


def add_evaluated_model(
    settings: Settings,
    journal: Journal,
    version: str = VERSION,
    metrics: Mapping[str, Any] = METRICS,
) -> Path:
    """Register a version that was trained and evaluated; return its folder."""
    registry, folder = Registry(journal), settings.models / version
    registry.advance(version, ModelEvent.STARTED, by="test", why="first")
    report_fit(journal, version, range(1, 81))
    registry.advance(version, ModelEvent.TRAINED, by="test", why="stopped early")
    folder.mkdir(parents=True)
    pl.DataFrame(EQUITY).write_parquet(folder / "equity.parquet")
    write_text(folder / "report.html", "<!doctype html><title>report</title><h1>Report</h1>")
    valid = {"ic": 0.035, "icir": 0.45, "rank_ic": 0.05, "rank_icir": 0.6, "long_short": 0.3}
    backtest = {
        "days": 400,
        "strategy": "topk-dropout",
        "topk": 50,
        "n_drop": 5,
        "benchmark": "SIMINDEX",
        "turnover": 0.2,
    }
    write_json(folder / "evaluation.json", {"valid": valid, "backtest": backtest})
    registry.advance(
        version, ModelEvent.VALIDATED, by="test", why="good", facts={"metrics": dict(metrics)}
    )
    return folder


def deploy(journal: Journal, environment: str, version: str = VERSION) -> None:
    """Record a deployment that completed."""
    history = DeploymentHistory(journal)
    for event in (DeploymentEvent.REQUESTED, DeploymentEvent.STARTED, DeploymentEvent.COMPLETED):
        history.record(environment, version, event, by="test")


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application from a thread; yield its address without scheme."""
    import uvicorn

    config = uvicorn.Config(
        app, log_config=None, ws_ping_interval=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


_PROGRAM = """
import sys
from pathlib import Path
from qlops_assets.core.settings import ConsoleSettings, Settings
from qlops_assets.web.run import run_console
home, port, dagster_port = sys.argv[1:]
settings = Settings(home=Path(home), console=ConsoleSettings(dagster_port=int(dagster_port)))
run_console(settings, port=int(port))
"""


@dataclass
class ConsoleProcess:
    """A console in a process of its own, which can be killed and started again on its port."""

    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Address of the overview."""
        return f"http://{self.address}/"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        command = [sys.executable, "-c", _PROGRAM, str(self.home), str(self.port)]
        self.process = subprocess.Popen([*command, str(free_port())])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{self.url}healthz", trust_env=False).raise_for_status()
                return
            time.sleep(0.03)
        raise TimeoutError(f"the console on port {self.port} does not answer")

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        self.kills += 1
        status = self.process.wait(10)
        self.process = None
        return status


@contextlib.contextmanager
def console_process(home: Path) -> Iterator[ConsoleProcess]:
    """Yield a running console of a home; it is killed in the end."""
    console = ConsoleProcess(home)
    console.start()
    try:
        yield console
    finally:
        if console.process is not None:
            console.end()


_WRITER = """
import sys
from qlops_assets.core.journal import Journal
url, name, count, pause = sys.argv[1:]
import time
journal = Journal(url)
for i in range(int(count)):
    journal.append(f"work/{name}" if i % 2 else "other", "progress", {"writer": name, "i": i})
    time.sleep(float(pause))
"""


@contextlib.contextmanager
def writers(journal: Journal, names: str, count: int, pause_s: float) -> Iterator[None]:
    """Let one process per name append events while the block runs; wait for them in the end."""
    command = [sys.executable, "-c", _WRITER, journal.url]
    processes = [
        subprocess.Popen([*command, name, str(count), str(pause_s)], stdout=subprocess.DEVNULL)
        for name in names
    ]
    try:
        yield
        assert [process.wait(30) for process in processes] == [0] * len(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rows_of(journal: Journal, where: str = "1 = 1") -> list[tuple[int, str, str, Any]]:
    """Return what SQLite itself says the journal holds: seq, topic, kind, data."""
    import sqlite3

    path = journal.url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = f"SELECT seq, topic, kind, data FROM events WHERE {where} ORDER BY seq"
        return [(s, t, k, json.loads(d)) for s, t, k, d in connection.execute(query)]
