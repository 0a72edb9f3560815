"""What a study writes while somebody works on it: its events, its signs of life."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from qlops_assets.core.errors import StudyCancelledError
from qlops_assets.core.journal import Event, Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import StudyHistory
from qlops_assets.core.studies.status import sign_path
from qlops_assets.core.trainings.batches import BatchJournal, Unwritten
from qlops_assets.core.trainings.pace import Pace
from qlops_assets.core.trainings.pulse import Pulse
from qlops_assets.core.trainings.signs import Heart

TRIALS: Final = "trials"


class StudyRecord:
    """The record of one start of a study; ``history`` knows an event as soon as it was said."""

    def __init__(
        self, journal: Journal, settings: Settings, study: str, about: Mapping[str, Any]
    ) -> None:
        """Begin: a sign of life, the event ``started``, and the thread that writes.

        Args:
            journal: Of the home.
            settings: Of the home.
            study: Its name.
            about: What it is; ``trials`` is how many are asked for.
        """
        self._study, self._topic, self._journal = study, words.topic_of(study), journal
        self.history = StudyHistory(journal.read_all(self._topic))
        self._heart = Heart(sign_path(settings.studies, study))
        self._heart.begin()
        started = journal.append(self._topic, words.STARTED, dict(about))
        self.history.take(started)
        self._writing = BatchJournal.beside(journal)
        self._pulse = Pulse(self._writing, self._topic, self._heart, after=started.seq)
        self._began, self._pace, self._stage = time.monotonic(), Pace(), ""

    def say(self, kind: str, **facts: Any) -> None:
        """Have an event written, and take it to be true."""
        at = self._writing.now()
        self._pulse.put(Unwritten(kind, at, facts))
        self.history.take(Event(self.history.seq, self._topic, kind, at, facts))

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Say how far the study is, as all long work does.

        Raises:
            StudyCancelledError: somebody asked for it to stop.
        """
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._pace, self._began = stage, Pace(), now
        self._pace.reached(step, now)
        eta = self._pace.left(total)
        ahead = (
            {"eta_s": round(eta.seconds, 3), "eta_low_s": round(eta.low, 3)}
            | {"eta_high_s": round(eta.high, 3)}
            if eta
            else {}
        )
        about = {"stage": stage, "step": step, "total": total, "metrics": dict(metrics or {})}
        self.say(words.PROGRESS, **about, elapsed_s=round(now - self._began, 3), **ahead)
        self.require_wanted()

    def require_wanted(self) -> None:
        """Raise where somebody asked for the study to stop.

        Raises:
            StudyCancelledError: so it is.
        """
        if (seq := self._pulse.request) is None:
            return
        asked = self._journal.read(self._topic, after=seq - 1, limit=1)[0].data
        raise StudyCancelledError(
            self._study,
            by=str(asked.get("by") or "somebody"),
            why=str(asked.get("why") or ""),
            ended=len(self.history.ended),
            trials=self.history.target,
        )

    def __enter__(self) -> "StudyRecord":
        """Go on; whatever ends the block is written down."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Write how the block ended where it did not say so itself: also Ctrl-C ends a study."""
        if isinstance(error, StudyCancelledError):
            self.end(words.CANCELLED, by=error.by, why=error.why)
        elif error is not None:
            self.end(words.FAILED, error=str(error) or type(error).__name__)

    def end(self, kind: str, **facts: Any) -> None:
        """Write how this start ended, after everything that was said; it is over then."""
        try:
            self._pulse.close()
            self.history.take(self._journal.append(self._topic, kind, facts))
        finally:
            self._heart.end()
