"""What holds for all tests: hypothesis, and which share a worker (``pytest -n 2``)."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# How long an example takes says something about the machine's other work, nothing about the code.
settings.register_profile("qlops", deadline=None)
settings.load_profile("qlops")

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: "Producer | None"
) -> "LoadScopeScheduling":
    """Keep a file's tests together, for their fixtures, and all journeys, for their homes.

    ``--dist loadgroup`` would say so by marks, but xdist 3.8 hands them on in an attribute that
    pytest 9.2 no longer has: there the marks do nothing. To be removed when they do again.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFileOrJourney(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "journeys" if "/acceptance/" in file else file

    return ByFileOrJourney(config, log)
