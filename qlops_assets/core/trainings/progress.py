"""The progress of one step of a training: every report is an event, and where it may be stopped."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.errors import TrainingCancelledError
from qlops_assets.core.journal import Journal
from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.batches import BatchJournal, Unwritten
from qlops_assets.core.trainings.history import TrainingHistory
from qlops_assets.core.trainings.pace import Pace
from qlops_assets.core.trainings.pulse import Pulse
from qlops_assets.core.trainings.signs import Heart

_MEMORY_S: Final = 0.05  # between two looks at the memory of the process


class TrainingProgress:
    """Reports of one step, as :class:`qlops_assets.core.progress.Progress` takes them.

    An event of kind ``progress`` holds, beside what was reported: ``attempt``, ``elapsed_s`` since
    the stage's first report, ``memory_mb`` of this process (resident), and where they are known
    ``eta_s`` until all steps are done with its 95 % interval ``eta_low_s`` to ``eta_high_s``,
    ``eta_earliest_s`` until early stopping ends the fit if validation does not improve any more,
    and ``rows_per_s``.
    """

    def __init__(
        self,
        journal: Journal,
        version: str,
        step: str,
        *,
        sign: Path,
        run_id: str,
        rows: Mapping[str, int] | None = None,
        patience: int | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin the step: a sign of life, an event ``started``, and the thread beside it.

        Args:
            journal: Of the home.
            version: What is trained.
            step: The asset.
            sign: The file of the signs of life.
            run_id: Dagster's.
            rows: Rows that one step of a stage handles, by stage.
            patience: Evaluations of the validation without improvement, after which early stopping
                ends the fit.
            timer: Tells seconds that never go back.
        """
        import psutil

        self._version, self._step, self._topic = version, step, words.topic_of(version)
        self._journal, self._writing = journal, BatchJournal.beside(journal)
        self._rows, self._patience, self._timer = dict(rows or {}), patience, timer
        history = TrainingHistory(journal.read_all(self._topic))
        self.attempt = history.number_for(step)
        self._heart = Heart(sign)
        self._heart.begin()
        self._began = timer()
        about = {"attempt": self.attempt, "step": step, "run_id": run_id}
        started = journal.append(self._topic, words.STARTED, about)
        history.take(started)
        run = history.attempts[-1].run
        after = run.listens_after if run else started.seq
        self._pulse = Pulse(self._writing, self._topic, self._heart, after=after)
        self._process = psutil.Process()
        self._memory, self._looked_at = 0.0, -math.inf
        self._enter("", 0.0)
        self.last: dict[str, Any] | None = None

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Say that ``stage`` has done ``step`` of ``total`` steps (None where unknown).

        Raises:
            TrainingCancelledError: somebody asked for this attempt to stop.
        """
        now = self._timer()
        if stage != self._stage:
            self._enter(stage, now)
        self._pace.reached(step, now)
        measured = {name: float(value) for name, value in (metrics or {}).items()}
        at = self._writing.now()
        data = {
            "attempt": self.attempt,
            "stage": stage,
            "step": step,
            "total": total,
            "metrics": measured,
            "elapsed_s": round(now - self._since, 3),
            "memory_mb": self._memory_mb(now),
            **self._ahead(stage, step, total, measured),
        }
        self.last = {**data, "at": at.isoformat()}
        self._pulse.put(Unwritten(words.PROGRESS, at, data))
        if (request := self._pulse.request) is not None:
            raise self._cancelled(request)

    def end(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Write how the step ended, after everything that it reported; it is over then.

        Args:
            kind: ``finished``, ``failed`` or ``cancelled``.
            facts: What there is to say.
        """
        try:
            self._pulse.close()
            wall_s = round(self._timer() - self._began, 3)
            about = {"attempt": self.attempt, "step": self._step, "wall_s": wall_s}
            self._journal.append(self._topic, kind, {**about, **facts})
        finally:
            self._heart.end()

    def _enter(self, stage: str, now: float) -> None:
        self._stage, self._since, self._pace = stage, now, Pace()
        self._best: tuple[int, float] | None = None
        # Some models look at the validation every so many steps; patience counts these.
        self._evaluated, self._every = 0, 1

    def _memory_mb(self, now: float) -> float:
        if now - self._looked_at >= _MEMORY_S:
            self._memory = round(self._process.memory_info().rss / 1e6, 1)
            self._looked_at = now
        return self._memory

    def _ahead(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float]
    ) -> dict[str, float]:
        """Return what is known of the time to come, and how fast rows go."""
        known: dict[str, float] = {}
        if eta := self._pace.left(total):
            known |= {"eta_s": eta.seconds, "eta_low_s": eta.low, "eta_high_s": eta.high}
        seconds = self._pace.step_seconds
        loss = next((v for name, v in metrics.items() if name.startswith("valid.")), None)
        if loss is not None:
            self._every, self._evaluated = max(1, step - self._evaluated), step
            if self._best is None or loss < self._best[1]:
                self._best = (step, loss)
        if self._patience and self._best and seconds is not None:
            last = self._best[0] + self._patience * self._every
            ahead = max(0, (last if total is None else min(last, total)) - step)
            known["eta_earliest_s"] = ahead * seconds
        if seconds and stage in self._rows:
            known["rows_per_s"] = round(self._rows[stage] / seconds)
        return {name: round(value, 3) for name, value in known.items()}

    def _cancelled(self, seq: int) -> TrainingCancelledError:
        asked = self._journal.read(self._topic, after=seq - 1, limit=1)[0].data
        last = self.last or {}
        of = f" of {last['total']}" if last.get("total") else ""
        step = f" {last['step']}{of}" if last.get("step") else ""
        return TrainingCancelledError(
            self._version,
            by=str(asked.get("by") or "somebody"),
            why=str(asked.get("why") or ""),
            reached=f"{last.get('stage')}{step}",
        )
