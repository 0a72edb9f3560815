"""Advances many versions through one chain of events, against whoever does the same."""

import json
import sys
import time
from pathlib import Path

from qlops_assets.core.errors import IllegalTransitionError
from qlops_assets.core.journal import Journal
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent

CHAIN = (ModelEvent.TRAINED, ModelEvent.VALIDATED, ModelEvent.STAGED, ModelEvent.PROMOTED)


def main(url: str, barrier: str, by: str, against: str, *versions: str) -> None:
    """Print the (version, event) pairs that this process brought about."""
    registry, won = Registry(Journal(url)), []
    for version in versions:
        for event in CHAIN:
            _meet(Path(barrier), by, against, f"{version}-{event}")
            try:
                registry.advance(version, event, by=by, why="race")
                won.append([version, event])
            except IllegalTransitionError:
                pass
    sys.stdout.write(json.dumps(won))


def _meet(folder: Path, by: str, against: str, step: str) -> None:
    (folder / f"{by}-{step}").touch()
    deadline = time.monotonic() + 30
    while not (folder / f"{against}-{step}").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(step)


if __name__ == "__main__":
    main(*sys.argv[1:])
