"""A training's events over a connection that breaks again and again."""

import json
import signal
import socket
import threading
import time
from pathlib import Path

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.progress import TrainingProgress
from qlops_assets_tests.support.consoles import ConsoleProcess, console_process, rows_of

VERSION = "alpha-1"
TOPIC = f"training/{VERSION}"
ITERATIONS = 2500
CUTS = 100


def train(journal: Journal, sign: Path) -> None:
    """Report many iterations, about one in two milliseconds."""
    progress = TrainingProgress(journal, VERSION, "trained_model", sign=sign, run_id="r")
    for step in range(1, ITERATIONS + 1):
        progress.report("fit", step, ITERATIONS, {"valid.l2": 1 / step})
        time.sleep(0.002)
    progress.end("finished", {})


def opened(console: ConsoleProcess, after: int) -> ClientConnection | None:
    """Return a connection, or None where the server is just away."""
    uri = f"ws://{console.address}/ws/events?topic={TOPIC}&after={after}"
    try:
        return connect(uri, proxy=None, close_timeout=1)
    except (OSError, WebSocketException):
        return None


def break_off(stream: ClientConnection) -> None:
    """End a connection as a cable that is pulled does: without a goodbye."""
    stream.socket.shutdown(socket.SHUT_RDWR)
    stream.close()


class Client:
    """A client that goes on after the last ``seq`` that it saw."""

    def __init__(self, console: ConsoleProcess) -> None:
        self.console = console
        self.taken: list[dict] = []
        self.cuts = 0

    @property
    def is_done(self) -> bool:
        return bool(self.taken) and self.taken[-1]["kind"] == "finished"

    def listen(self, count: int) -> None:
        """Take some events over a new connection and break it."""
        stream = opened(self.console, self.taken[-1]["seq"] if self.taken else 0)
        if stream is None:
            time.sleep(0.05)
            return
        try:
            while count and not self.is_done:
                event = json.loads(stream.recv(timeout=20))
                if "seq" in event:
                    self.taken.append(event)
                    count -= 1
        except ConnectionClosed:
            return
        break_off(stream)
        self.cuts += 1


def test_training_is_seen_whole_over_a_hundred_broken_connections_and_two_killed_servers(
    settings: Settings, journal: Journal
) -> None:
    with console_process(settings.home) as console:
        client = Client(console)
        training = threading.Thread(target=train, args=(journal, settings.home / "sign.json"))
        training.start()
        for turn in range(1, CUTS + 1):
            client.listen(1 + turn * 7 % 23)
            if turn in (30, 60):
                console.end(signal.SIGKILL)
                console.start()
        while not client.is_done:
            client.listen(ITERATIONS)
        training.join()
    assert client.cuts >= CUTS
    taken = [(e["seq"], e["topic"], e["kind"], e["data"]) for e in client.taken]
    assert taken == rows_of(journal, f"topic = '{TOPIC}'")
    steps = [e["data"]["step"] for e in client.taken if e["kind"] == "progress"]
    assert steps == list(range(1, ITERATIONS + 1))
