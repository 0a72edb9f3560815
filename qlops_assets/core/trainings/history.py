"""What became of a version's trainings, folded from the events of its topic.

An attempt is one pass from the training set to the evaluation. The training set begins one;
``trained_model`` goes on with the one whose training set has just been made, else begins its own;
an evaluation belongs to the last. A fold takes events one by one, so that a reader who keeps it has
only new ones to read.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from qlops_assets.core.journal import Event
from qlops_assets.core.trainings import words

FIT = "fit"


@dataclass(slots=True)
class StepRun:
    """One run of one step (an asset) of an attempt.

    Attributes:
        name: The asset.
        at: When it started.
        listens_after: Requests to cancel after this ``seq`` are meant for it.
        ended_at: None while it runs, and for ever where its process was killed.
        outcome: ``finished``, ``failed``, ``cancelled``; None while it runs.
        run_id: Dagster's run.
    """

    name: str
    at: datetime
    listens_after: int
    ended_at: datetime | None = None
    outcome: str | None = None
    run_id: str | None = None


@dataclass(slots=True)
class Stage:
    """A stage of a step: from its first report to the first of the next, or the step's end."""

    name: str
    step_name: str | None
    at: datetime
    last_at: datetime
    ended_at: datetime | None
    step: int
    total: int | None


@dataclass(slots=True)
class Curve:
    """The metrics of a stage by step, those of its last pass."""

    steps: list[int] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)

    def take(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Add a step; one that is not after the last begins another pass."""
        if self.steps and step <= self.steps[-1]:
            self.steps.clear()
            self.values.clear()
        for name in metrics:
            self.values.setdefault(name, [None] * len(self.steps))
        self.steps.append(step)
        for name, values in self.values.items():
            values.append(_finite(metrics.get(name)))

    def best(self) -> tuple[int, str, float] | None:
        """Return the step with the lowest loss on validation, its name, and its value.

        The first metric of ``valid`` is the loss, as every trainer reports it; of equal ones the
        earliest is the best, as early stopping has it.
        """
        name, values = self.loss, self.evaluated()
        value, step = min(((v, s) for s, v in values), default=(None, 0))
        return None if value is None or name is None else (step, name, value)

    @property
    def loss(self) -> str | None:
        """The name of the loss on validation, None where none was told."""
        return next((name for name in self.values if name.startswith("valid.")), None)

    def evaluated(self) -> list[tuple[int, float]]:
        """Return the steps at which validation was looked at, with its loss: the iterations."""
        if self.loss is None:
            return []
        pairs = zip(self.steps, self.values[self.loss], strict=True)
        return [(step, value) for step, value in pairs if value is not None]


@dataclass(slots=True)
class Attempt:
    """One pass at training a version."""

    number: int
    at: datetime
    runs: list[StepRun] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)
    last: Event | None = None
    failure: Mapping[str, Any] | None = None
    request: Event | None = None
    cancelled: Event | None = None
    recording_error: str | None = None

    @property
    def run(self) -> StepRun | None:
        """The step that ran last."""
        return self.runs[-1] if self.runs else None

    @property
    def is_open(self) -> bool:
        """Whether its last step has not said that it ended."""
        return self.run is not None and self.run.outcome is None

    @property
    def outcome(self) -> str | None:
        """How its last step ended."""
        return self.run.outcome if self.run else None

    @property
    def cancel_request(self) -> Event | None:
        """What the step that runs was asked and has not answered."""
        run, request = self.run, self.request
        is_meant = self.is_open and run and request and request.seq > run.listens_after
        return request if is_meant else None

    @property
    def heard_at(self) -> datetime:
        """When it last said anything."""
        times = [self.at, *(t for run in self.runs[-1:] for t in (run.at, run.ended_at) if t)]
        return max([*times, *([self.last.at] if self.last else [])])

    @property
    def curve(self) -> tuple[str, Curve] | None:
        """The stage whose curves tell how the fit goes: ``fit``, else the last with metrics."""
        if not self.curves:
            return None
        name = FIT if FIT in self.curves else list(self.curves)[-1]
        return name, self.curves[name]


class TrainingHistory:
    """The attempts at one version; ``take`` every event of its topic in order."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.attempts: list[Attempt] = []
        self.seq = 0
        for event in events:
            self.take(event)

    @property
    def last(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    def attempt(self, number: int) -> Attempt | None:
        """Return an attempt by its number, or None where there is none."""
        return next((a for a in self.attempts if a.number == number), None)

    def number_for(self, step: str) -> int:
        """Return the number of the attempt that a step would belong to if it started now."""
        last = self.last
        if last is None:
            return 1
        run = last.run
        has_training_set = (
            run is not None and run.name == words.TRAINING_SET and run.outcome == words.FINISHED
        )
        goes_on = step == words.MODEL_EVALUATION or (
            step == words.TRAINED_MODEL and has_training_set
        )
        return last.number if goes_on else last.number + 1

    def take(self, event: Event) -> None:
        """Fold one event; kinds that are not known are passed over."""
        self.seq = event.seq
        takers = {
            words.STARTED: self._started,
            words.PROGRESS: self._progress,
            words.CANCEL_REQUESTED: self._requested,
            words.FINISHED: self._ended,
            words.FAILED: self._ended,
            words.CANCELLED: self._ended,
            words.RECORDING_FAILED: self._unrecorded,
        }
        if taker := takers.get(event.kind):
            taker(event)

    def _of(self, event: Event) -> Attempt:
        last = self.last
        number = event.data.get("attempt") or (last.number if last else 1)
        found = self.attempt(number)
        if found is None:
            found = Attempt(number, event.at)
            self.attempts.append(found)
        return found

    def _started(self, event: Event) -> None:
        attempt, name = self._of(event), str(event.data.get("step"))
        before = attempt.run
        # What was asked during a step that ended well is answered by the next.
        goes_on = before and before.outcome == words.FINISHED and before.name != name
        after = before.listens_after if before and goes_on else event.seq
        if attempt.stages:  # a step that was killed was not heard of after its last report
            _close_stage(attempt, attempt.stages[-1].last_at)
        attempt.runs.append(StepRun(name, event.at, after, run_id=event.data.get("run_id")))
        attempt.failure = attempt.cancelled = attempt.recording_error = None

    def _progress(self, event: Event) -> None:
        attempt, data = self._of(event), event.data
        attempt.last = event
        name, step = str(data.get("stage")), int(data.get("step") or 0)
        stage = attempt.stages[-1] if attempt.stages else None
        if stage is None or stage.name != name or stage.ended_at is not None:
            _close_stage(attempt, event.at)
            of_step = attempt.run.name if attempt.run else None
            stage = Stage(name, of_step, event.at, event.at, None, step, data.get("total"))
            attempt.stages.append(stage)
        stage.last_at, stage.step, stage.total = event.at, step, data.get("total")
        if metrics := data.get("metrics"):
            attempt.curves.setdefault(name, Curve()).take(step, metrics)

    def _requested(self, event: Event) -> None:
        if self.last is not None:
            self._of(event).request = event

    def _ended(self, event: Event) -> None:
        attempt = self._of(event)
        _close_stage(attempt, event.at)
        if run := attempt.run:
            run.ended_at, run.outcome = event.at, event.kind
        if event.kind == words.FAILED:
            attempt.failure = event.data.get("failure")
        if event.kind == words.CANCELLED:
            attempt.cancelled = event

    def _unrecorded(self, event: Event) -> None:
        self._of(event).recording_error = str(event.data.get("error"))


def _close_stage(attempt: Attempt, at: datetime) -> None:
    if attempt.stages and attempt.stages[-1].ended_at is None:
        attempt.stages[-1].ended_at = at


def _finite(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if is_number else None
