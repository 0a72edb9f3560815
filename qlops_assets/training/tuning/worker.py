"""The process that trials run in, one after the other: ``python -m`` this module.

It is told what to do on stdin and answers on stdout, a JSON document a line (``messages.py``). When
stdin ends, whoever it worked for is gone, and so is it, at once: it keeps nothing that is not told.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO

from qlops_assets.core.metering import collect_garbage_rarely
from qlops_assets.core.settings import keep_freed_memory
from qlops_assets.training.tuning import messages
from qlops_assets.training.tuning.messages import Setup

if TYPE_CHECKING:
    from qlops_assets.training.tuning.shared_data import SharedData


class _StoppedError(Exception):
    """The trial under way is not wanted any more."""


class _Voice:
    """Says messages; Python's own stdout becomes stderr, for whatever libraries print."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def say(self, kind: str, **facts: Any) -> None:
        with self._lock:
            self._out.write(messages.line({"kind": kind, **facts}))
            self._out.flush()


class _Ear(threading.Thread):
    """Hears commands while a trial is computed, and the end of whoever gives them."""

    def __init__(self) -> None:
        super().__init__(name="tuning-ear", daemon=True)
        self.trials: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        self.unwanted: set[int] = set()

    def run(self) -> None:
        for text in sys.stdin:
            command = json.loads(text)
            if "stop" in command:
                self.unwanted.add(command["stop"])
            else:
                self.trials.put(command)
        os._exit(0)


class _TrialProgress:
    """The progress of one fold of one trial."""

    def __init__(self, voice: _Voice, ear: _Ear, trial: int, fold: int) -> None:
        self._voice, self._ear, self._trial, self._fold = voice, ear, trial, fold

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Tell the step.

        Raises:
            _StoppedError: the trial is not wanted any more.
        """
        about = {"stage": stage, "step": step, "total": total}
        measured = {name: float(value) for name, value in (metrics or {}).items()}
        place = {"trial": self._trial, "fold": self._fold}
        self._voice.say(messages.PROGRESS, **place, **about, metrics=measured)
        self.require_wanted()

    def require_wanted(self) -> None:
        """Raise where the trial is not wanted any more."""
        if self._trial in self._ear.unwanted:
            raise _StoppedError


def main() -> None:
    """Run trials until stdin ends."""
    keep_freed_memory()
    collect_garbage_rarely()
    voice = _Voice()
    setup = Setup.of_line(sys.stdin.readline())
    ear = _Ear()
    ear.start()

    from qlops_assets.models.qlib_session import qlib_session
    from qlops_assets.training.tuning.shared_data import SharedData

    with qlib_session(Path(setup.provider), region=setup.region):
        shared = SharedData(Path(setup.study) / "data", keeps=setup.keeps)
        desk = _Desk(setup, shared, voice, ear)
        voice.say(messages.READY)
        while True:
            desk.run(ear.trials.get())


class _Desk:
    """Where trials are computed."""

    def __init__(self, setup: Setup, shared: "SharedData", voice: _Voice, ear: _Ear) -> None:
        self._setup, self._shared, self._voice, self._ear = setup, shared, voice, ear

    def run(self, asked: Mapping[str, Any]) -> None:
        """Run the folds of a trial that are not done yet, and say how it ended."""
        from qlops_assets.core.errors import QlopsError

        trial = asked["trial"]
        try:
            for fold in asked["folds"]:
                self._run_fold(trial, fold, asked["parameters"])
        except _StoppedError:
            self._voice.say(messages.STOPPED, trial=trial)
        except QlopsError as error:  # parameters that cannot be used are a result, not a fault
            self._voice.say(messages.FAILED, trial=trial, error=str(error))
        else:
            self._voice.say(messages.DONE, trial=trial)

    def _run_fold(self, trial: int, fold: int, parameters: Mapping[str, Any]) -> None:
        from qlops_assets.models.catalog import TRAINERS
        from qlops_assets.training.tuning.objective import judge_fold, write_result

        setup = self._setup
        progress = _TrialProgress(self._voice, self._ear, trial, fold)
        progress.require_wanted()
        trainer = TRAINERS.load(setup.model)(
            {**setup.parameters, **parameters},
            seed=setup.seed,
            threads=setup.threads,
            rounds=setup.rounds,
            early_stopping_rounds=setup.early_stopping_rounds,
        )
        result = judge_fold(trainer, self._shared.fold(fold, setup.folds[fold]), progress)
        write_result(Path(setup.study), trial, fold, result)
        self._voice.say(messages.FOLD, trial=trial, fold=fold, **result.to_json())


if __name__ == "__main__":
    main()
