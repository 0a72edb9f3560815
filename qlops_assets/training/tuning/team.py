"""The worker processes of a study."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from qlops_assets.core.settings import child_environment
from qlops_assets.training.tuning import messages
from qlops_assets.training.tuning.messages import Setup

_END_S: Final = 10.0
_WORKER: Final = "qlops_assets.training.tuning.worker"


@dataclass(slots=True)
class Worker:
    """A process, and the trial that it is at.

    Attributes:
        number: Of the worker.
        process: What runs.
        trial: None while it waits.
        is_ready: Whether it has opened the data.
    """

    number: int
    process: "subprocess.Popen[str]"
    trial: int | None = None
    is_ready: bool = False

    def tell(self, text: str) -> None:
        """Give it a line; one that is gone is heard of by its silence."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.write(text)
                self.process.stdin.flush()

    def dismiss(self) -> None:
        """Tell it that nothing more will come, whereupon it ends."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()


class Team:
    """Workers that are started when they are needed, and read all at once."""

    def __init__(self, setup: Setup, *, jobs: int) -> None:
        self._setup, self.jobs = setup, jobs
        self.workers: dict[int, Worker] = {}
        self._heard: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._count = 0

    def fill(self, wanted: int) -> None:
        """Start workers until there are as many as there may be, or as are wanted."""
        while len(self.workers) < min(self.jobs, wanted):
            self._start()

    def idle(self) -> list[Worker]:
        """Return the workers that could take a trial."""
        return [w for w in self.workers.values() if w.is_ready and w.trial is None]

    def give(self, worker: Worker, trial: int, parameters: Mapping[str, Any], folds: Any) -> None:
        """Have a worker do the folds of a trial."""
        worker.trial = trial
        asked = {"trial": trial, "parameters": dict(parameters), "folds": list(folds)}
        worker.tell(messages.line(asked))

    def stop(self, trial: int) -> None:
        """Have a trial end after the iteration under way."""
        for worker in self.workers.values():
            if worker.trial == trial:
                worker.tell(messages.line({"stop": trial}))

    def hear(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Yield what was said, waiting for the first message so long; ``gone`` ends a worker."""
        try:
            message = self._heard.get(timeout=timeout_s)
        except Empty:
            return
        while True:
            worker = self.workers[message["worker"]]
            if message["kind"] == messages.READY:
                worker.is_ready = True
            elif message["kind"] == messages.GONE:
                message["trial"] = worker.trial
                message["status"] = worker.process.wait()
                del self.workers[worker.number]
            elif message["kind"] in (messages.DONE, messages.STOPPED, messages.FAILED):
                worker.trial = None
            yield message
            if self._heard.empty():
                return
            message = self._heard.get()

    def close(self) -> None:
        """End every worker: its work is not wanted any more."""
        for worker in self.workers.values():
            worker.dismiss()
        deadline = time.monotonic() + _END_S
        for worker in self.workers.values():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def _start(self) -> None:
        number = self._count
        self._count += 1
        log = Path(self._setup.study) / f"worker-{number % self.jobs}.log"
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env=child_environment(OMP_NUM_THREADS=str(self._setup.threads)),
                start_new_session=True,  # Ctrl-C is for the one who decides, who then ends them
            )
        worker = Worker(number, process)
        self.workers[number] = worker
        worker.tell(self._setup.to_line())
        threading.Thread(target=self._read, args=(worker,), daemon=True).start()

    def _read(self, worker: Worker) -> None:
        for text in worker.process.stdout or ():
            self._heard.put({**json.loads(text), "worker": worker.number})
        self._heard.put({"kind": messages.GONE, "worker": worker.number})


@contextmanager
def team_of(setup: Setup, *, jobs: int) -> Iterator[Team]:
    """Yield a team; however the block ends, its processes do too."""
    team = Team(setup, jobs=jobs)
    try:
        yield team
    finally:
        team.close()


def last_words(study: Path, worker: int, jobs: int) -> str:
    """Return the last line that a worker left in its log."""
    log = study / f"worker-{worker % jobs}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
