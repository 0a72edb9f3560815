"""Workers end with the process that started them, however it ends."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

# Whoever runs the tests may ignore signals, which children inherit: these must be as usual here.
PARENT = """
import multiprocessing, signal, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from concurrent.futures import ProcessPoolExecutor
from qlops_assets.factors.worker import live_with_parent

pool = ProcessPoolExecutor(
    2, mp_context=multiprocessing.get_context("spawn"), initializer=live_with_parent
)
for future in [pool.submit(time.sleep, 0.1) for _ in range(2)]:
    future.result()
sleeping = [pool.submit(time.sleep, 60) for _ in range(2)]
print("ready", flush=True)
sleeping[0].result()
"""


def workers_of(parent: psutil.Process) -> list[psutil.Process]:
    return [p for p in parent.children() if "spawn_main" in " ".join(p.cmdline())]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_their_parent_is_killed(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        workers = workers_of(psutil.Process(process.pid))
        assert len(workers) == 2
        process.send_signal(number)
        process.wait(10)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


def test_workers_end_at_once_and_in_silence_on_ctrl_c() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        workers = workers_of(psutil.Process(process.pid))
        started = time.monotonic()
        workers[0].send_signal(signal.SIGINT)  # the pool then ends the others
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert alive == []
        assert time.monotonic() - started < 10
        _, said = process.communicate(timeout=20)
    assert "KeyboardInterrupt" not in said
    assert "BrokenProcessPool" in said  # of the parent of this test, which catches nothing
