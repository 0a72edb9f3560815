"""What became of a study's trials, folded from the events of its topic.

A trial is named by its number, from 0. It can be started several times: what was running when the
study was killed, or lost its process, starts again with the same parameters and goes on after the
folds that it had finished. It ends once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from qlops_assets.core.journal import Event
from qlops_assets.core.studies import words


@dataclass(slots=True)
class Trial:
    """One choice of parameters and how good it was.

    Attributes:
        number: From 0.
        parameters: What it changes of the recipe; nothing for the recipe itself.
        searched: The same as the search names them.
        is_baseline: Whether it is the recipe as it is.
        state: ``running``, ``waiting`` to be started again, or how it ended: ``complete``,
            ``pruned``, ``failed``.
        starts: How often it was started.
        started_at: The first time.
        ended_at: None until it ended.
        folds: Fold, from 0 -> what came of it: ``rank_ic``, ``days``, ``best_iteration``, …
        value: Mean Rank IC of its folds; None before it ended, and where it failed.
        error: Why it failed.
        last: Its last progress.
        seconds: That its folds took.
    """

    number: int
    parameters: Mapping[str, Any]
    searched: Mapping[str, Any]
    is_baseline: bool
    started_at: datetime
    state: str = words.RUNNING
    starts: int = 1
    ended_at: datetime | None = None
    folds: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    value: float | None = None
    error: str | None = None
    last: Mapping[str, Any] | None = None

    @property
    def seconds(self) -> float:
        """Seconds of work in its folds."""
        return float(sum(fold.get("seconds") or 0.0 for fold in self.folds.values()))

    @property
    def rank_ics(self) -> list[float]:
        """The Rank IC of each fold that is done, in the order of the folds."""
        return [float(self.folds[fold]["rank_ic"]) for fold in sorted(self.folds)]

    @property
    def has_ended(self) -> bool:
        """Whether it will not be started again."""
        return self.state in (words.COMPLETE, words.PRUNED, words.FAILED)


class StudyHistory:
    """A study; ``take`` every event of its topic in order.

    Attributes:
        trials: By number.
        about: What the study is, as it told when it last started.
        target: How many trials it was last asked for.
        importance: Parameter -> share of what the values differ by, as last told.
        outcome: ``finished``, ``failed``, ``cancelled``; None while it runs, and where it was
            killed.
        started_at: When it first started.
        begun_at: When it last did.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.trials: dict[int, Trial] = {}
        self.about: Mapping[str, Any] = {}
        self.target = 0
        self.importance: Mapping[str, float] = {}
        self.outcome: str | None = None
        self.end: Mapping[str, Any] = {}
        self.request: Event | None = None
        self.last: Event | None = None  # the last progress
        self.starts = 0
        self.started_at: datetime | None = None
        self.begun_at: datetime | None = None
        self.heard_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.seq = 0
        self._worked_s = 0.0  # until it last started
        for event in events:
            self.take(event)

    @property
    def is_open(self) -> bool:
        """Whether it began and has not said that it ended."""
        return self.starts > 0 and self.outcome is None

    @property
    def ended(self) -> list[Trial]:
        """The trials that ended, by number."""
        return [trial for _, trial in sorted(self.trials.items()) if trial.has_ended]

    @property
    def interrupted(self) -> list[Trial]:
        """The trials that began and did not end, by number."""
        return [trial for _, trial in sorted(self.trials.items()) if not trial.has_ended]

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest value, the earliest of equal ones."""
        complete = [trial for trial in self.ended if trial.state == words.COMPLETE]
        return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)

    def count(self, state: str) -> int:
        """Return how many trials are in a state."""
        return sum(trial.state == state for trial in self.trials.values())

    def take(self, event: Event) -> None:
        """Take the next event."""
        self.seq = event.seq
        if event.kind == words.CANCEL_REQUESTED:
            self.request = event
            return
        if event.kind == words.STARTED:
            self._start(event)
        self.heard_at = event.at
        if event.kind in (words.FINISHED, words.FAILED, words.CANCELLED):
            self.outcome, self.end, self.ended_at = event.kind, event.data, event.at
        elif event.kind == words.PROGRESS:
            self.last = event
        elif event.kind == words.IMPORTANCE:
            self.importance = dict(event.data["importance"])
        elif "trial" in event.data:
            self._of_trial(event, event.data["trial"], event.data)

    def worked_s(self, until: datetime) -> float:
        """Return the seconds that somebody has worked on it, over all its starts.

        Args:
            until: Where the last start reaches to if it has not said that it ended.
        """
        if self.begun_at is None:
            return 0.0
        end = until if self.is_open else self.ended_at or until
        return self._worked_s + max(0.0, (end - self.begun_at).total_seconds())

    def _start(self, event: Event) -> None:
        self._worked_s = self.worked_s(self.heard_at or event.at)
        self.starts, self.begun_at = self.starts + 1, event.at
        self.started_at = self.started_at or event.at
        self.about, self.target = event.data, event.data["trials"]
        self.outcome, self.ended_at, self.end, self.request, self.last = None, None, {}, None, None
        for trial in self.interrupted:
            trial.state = words.WAITING

    def _of_trial(self, event: Event, number: int, data: Mapping[str, Any]) -> None:
        trial = self.trials.get(number)
        if event.kind == words.TRIAL_STARTED:
            self._start_trial(event, trial)
        elif trial is None:
            return
        elif event.kind == words.TRIAL_PROGRESS:
            trial.last = {**data, "at": event.at.isoformat()}
        elif event.kind == words.FOLD_FINISHED:
            trial.folds[data["fold"]] = data
        elif event.kind == words.TRIAL_LOST:
            trial.state = words.WAITING
        elif event.kind == words.TRIAL_ENDED:
            trial.state, trial.value = data["state"], data["value"]
            trial.error, trial.ended_at = data.get("error"), event.at

    def _start_trial(self, event: Event, known: Trial | None) -> None:
        if known is not None:
            known.state, known.starts = words.RUNNING, known.starts + 1
            return
        data = event.data
        self.trials[data["trial"]] = Trial(
            number=data["trial"],
            parameters=data["parameters"],
            searched=data["searched"],
            is_baseline=data["is_baseline"],
            started_at=event.at,
        )
