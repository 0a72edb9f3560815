"""What holds for all tests: hypothesis, and which share a worker (``pytest -n 2``)."""

import gc
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from qlops_assets.core.metering import collect_garbage_rarely

# How long an example takes says something about the machine's other work, nothing about the code.
settings.register_profile("qlops", deadline=None)
settings.load_profile("qlops")

collect_garbage_rarely()

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

JOURNEYS = "journeys"
# What takes longest, longest first: begun last, it would be waited for by an idle worker. Some
# have few tests, by whose number xdist orders otherwise.
LONGEST = (
    JOURNEYS,
    *("training/tuning/test_study.py", "defs/test_odd_trainings.py", "defs/test_trainings.py"),
    *("factors/native/test_compilation.py", "factors/native/test_operators.py"),
    *("cli/test_reproduce.py", "cli/test_rolling.py", "cli/test_factor_analysis.py"),
    *("defs/test_automation_table.py", "defs/test_sensor.py", "defs/test_automation_runs.py"),
    *("factors/test_analysis_alphalens.py", "defs/test_rolling.py", "cli/test_tune.py"),
    *("training/recording/test_attempt.py", "defs/test_factors.py"),
)


def scope_of(nodeid: str) -> str:
    """Return what a test shares a worker with: its file's tests, or all journeys."""
    file = nodeid.partition("::")[0]
    return JOURNEYS if "/acceptance/" in file else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: "Producer | None"
) -> "LoadScopeScheduling":
    """Keep a file's tests together, for their fixtures, and all journeys, for their homes.

    ``--dist loadgroup`` would say so by marks, but xdist 3.8 hands them on in an attribute that
    pytest 9.2 no longer has: there the marks do nothing. To be removed when they do again.
    """
    from xdist.scheduler import LoadScopeScheduling

    class LongestFirst(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    config.option.loadscopereorder = False  # the order is that of the collection, see below
    return LongestFirst(config, log)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected, thousands of tests, to no collection of garbage."""
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker: put the scopes that take longest first, then those of the most tests."""
    if not hasattr(config, "workerinput"):
        return
    tests = Counter(scope_of(item.nodeid) for item in items)

    def place(item: pytest.Item) -> tuple[int, int]:
        scope = scope_of(item.nodeid)
        place = next((n for n, end in enumerate(LONGEST) if scope.endswith(end)), len(LONGEST))
        return place, -tests[scope]

    items.sort(key=place)
