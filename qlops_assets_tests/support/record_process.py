"""Records a run in a home, and holds it open until it is told to go on, or killed.

Arguments: the home, a name for the run, a file that it touches while it holds the run open, and a
file that it waits for.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from qlops_assets.core.settings import Settings
from qlops_assets.training.recording.store import FINISHED, RunKey, opened
from qlops_assets_tests.support.waiting import wait_for


def main(home: str, name: str, holding: str, going_on: str) -> None:
    """Record one run of the experiment ``trials``."""
    now = datetime.now(UTC)
    with (
        opened(Settings(home=Path(home))) as store,
        store.run("trials", RunKey(name, 1, None), began=now) as recorder,
    ):
        Path(holding).touch()
        wait_for(lambda: Path(going_on).exists())
        store.log(recorder.id, parameters={}, tags={}, metrics=[("IC", 0.5, 0)], at=now)
        store.close(recorder.id, FINISHED, now)


if __name__ == "__main__":
    main(*sys.argv[1:])
