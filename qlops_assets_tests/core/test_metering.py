"""What a step cost: its own peak memory and that of its children."""

import subprocess
import sys

import psutil

from qlops_assets.core.metering import Meter
from qlops_assets_tests.support.waiting import wait_for

MB = 1_000_000
HOLDS = "held = bytearray(200_000_000); held[::4096] = b'x' * len(held[::4096]); print(flush=True)"


def test_the_peak_counts_what_was_freed_before_the_end() -> None:
    before = psutil.Process().memory_info().rss / MB
    with Meter() as meter:
        held = bytearray(300 * MB)
        held[::4096] = b"x" * len(held[::4096])
        wait_for(lambda: meter._peak >= (before + 250) * MB)
        del held
    assert meter.cost.peak_mb >= before + 250


def test_the_peak_counts_a_child_that_came_later_and_is_gone() -> None:
    before = psutil.Process().memory_info().rss / MB
    with Meter() as meter:
        child = subprocess.Popen(
            [sys.executable, "-c", f"{HOLDS}; input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()
        wait_for(lambda: meter._peak >= (before + 150) * MB)
        child.communicate(b"\n")
    assert child.returncode == 0
    assert meter.cost.peak_mb >= before + 150
    assert meter.cost.cpu_s > 0


def test_garbage_is_looked_for_rarely_and_less_often_where_the_user_wants_it_so() -> None:
    asked = (
        "import gc, sys; from qlops_assets.core.metering import collect_garbage_rarely as rarely;"
        "gc.set_threshold(int(sys.argv[1]), 7, 5); rarely(); rarely(); print(*gc.get_threshold())"
    )
    for own, expected in (("700", "50000 7 5\n"), ("90000", "90000 7 5\n")):
        done = subprocess.run(
            [sys.executable, "-c", asked, own], capture_output=True, text=True, check=True
        )
        assert done.stdout == expected
