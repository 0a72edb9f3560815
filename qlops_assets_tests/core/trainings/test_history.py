"""Attempts folded from events, against a grammar of attempts and hand-made histories."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.journal import Event
from qlops_assets.core.trainings.history import Curve, TrainingHistory
from qlops_assets.core.trainings.status import past_status

START = datetime(2026, 1, 5, tzinfo=UTC)
STEPS = {"t": "training_set", "m": "trained_model", "e": "model_evaluation"}
# A training set begins an attempt; a model goes on with it if it was made, else begins its own;
# evaluations belong to what is before them. Capitals are steps that did not end well.
ATTEMPT = re.compile(r"(?:t[mM]?|T|[mM])[eE]*|^[eE]+")


class Story:
    """Events of a topic, told one after another."""

    def __init__(self) -> None:
        self.history = TrainingHistory()
        self.events: list[Event] = []

    def tell(self, kind: str, **data: Any) -> Event:
        at = START + timedelta(seconds=len(self.events))
        event = Event(len(self.events) + 1, "training/v", kind, at, data)
        self.events.append(event)
        self.history.take(event)
        return event

    def run(self, step: str, outcome: str | None) -> int:
        number = self.history.number_for(step)
        self.tell("started", attempt=number, step=step)
        self.tell("progress", attempt=number, stage=step, step=0, total=None, metrics={})
        if outcome:
            self.tell(outcome, attempt=number, step=step)
        return number


BAD = st.sampled_from(["failed", "cancelled", None])


@given(st.lists(st.tuples(st.sampled_from("tme"), st.booleans(), BAD), max_size=25))
def test_attempts_are_those_of_the_grammar(runs: list[tuple[str, bool, str | None]]) -> None:
    story = Story()
    numbers = [story.run(STEPS[s], "finished" if good else bad) for s, good, bad in runs]
    letters = "".join(s if good else s.upper() for s, good, _ in runs)
    attempts = ATTEMPT.findall(letters)
    assert "".join(attempts) == letters
    wanted = [number for number, part in enumerate(attempts, start=1) for _ in part]
    assert numbers == wanted
    assert [a.number for a in story.history.attempts] == list(range(1, len(attempts) + 1))
    assert [len(a.runs) for a in story.history.attempts] == [len(part) for part in attempts]
    outcomes = ["finished" if good else bad for _, good, bad in runs]
    assert [r.outcome for a in story.history.attempts for r in a.runs] == outcomes
    # A fold that is taken up again is the fold from the beginning.
    assert TrainingHistory(story.events).attempts == story.history.attempts


STEPS_OF_FITS = st.lists(st.integers(1, 12), min_size=1, max_size=4)
LOSSES = st.floats(0.0, 2.0)


@given(STEPS_OF_FITS, st.data())
def test_curve_is_of_the_last_pass_and_its_best_is_the_first_lowest(
    lengths: list[int], data: st.DataObject
) -> None:
    curve = Curve()
    for length in lengths:
        losses = data.draw(st.lists(LOSSES, min_size=length, max_size=length))
        for step, loss in enumerate(losses, start=1):
            curve.take(step, {"train.l2": 0.0, "valid.l2": loss, "valid.ic": -loss})
    assert curve.steps == list(range(1, lengths[-1] + 1))
    assert curve.values["valid.l2"] == losses
    assert curve.best() == (losses.index(min(losses)) + 1, "valid.l2", min(losses))


def test_curve_without_a_number_has_no_best_and_keeps_the_place() -> None:
    curve = Curve()
    curve.take(1, {"valid.l2": float("nan"), "train.l2": 0.5})
    assert curve.best() is None
    curve.take(2, {"train.l2": 0.4, "valid.l1": 0.9})
    assert curve.values == {
        "valid.l2": [None, None],
        "train.l2": [0.5, 0.4],
        "valid.l1": [None, 0.9],
    }


def test_request_to_cancel_is_meant_for_the_attempt_that_runs_and_for_no_later() -> None:
    story = Story()
    story.tell("started", attempt=1, step="training_set")
    asked = story.tell("cancel_requested", attempt=1, by="ann")
    assert story.history.attempts[0].cancel_request == asked
    story.tell("finished", attempt=1, step="training_set")
    assert story.history.attempts[0].cancel_request is None
    story.tell("started", attempt=1, step="trained_model")  # it is heard by the next step
    assert story.history.attempts[0].cancel_request == asked
    story.tell("cancelled", attempt=1, by="ann")
    again = story.tell("started", attempt=2, step="trained_model")
    last = story.history.last
    assert last is not None
    assert last.cancel_request is None
    assert last.runs[-1].listens_after == again.seq


def test_request_that_a_killed_evaluation_did_not_hear_is_not_for_its_second_run() -> None:
    story = Story()
    story.run("trained_model", "finished")
    story.tell("started", attempt=1, step="model_evaluation")
    story.tell("cancel_requested", attempt=1, by="ann")
    story.tell("started", attempt=1, step="model_evaluation")
    assert story.history.attempts[0].cancel_request is None


def test_stages_end_where_the_next_begins_and_with_their_step() -> None:
    story = Story()
    story.tell("started", attempt=1, step="trained_model")
    for stage, step in (("load", 0), ("fit", 1), ("fit", 2), ("predict", 0)):
        story.tell("progress", attempt=1, stage=stage, step=step, total=None)
    story.tell("finished", attempt=1, step="trained_model")
    stages = story.history.attempts[0].stages
    spans = [
        (s.name, s.step_name, (s.at - START).seconds, ((s.ended_at or s.at) - START).seconds)
        for s in stages
    ]
    assert spans == [
        ("load", "trained_model", 1, 2),
        ("fit", "trained_model", 2, 4),
        ("predict", "trained_model", 4, 5),
    ]


def test_attempt_that_never_ended_and_was_followed_by_another_is_dead() -> None:
    story = Story()
    story.run("trained_model", None)
    story.run("trained_model", "finished")
    assert [past_status(a) for a in story.history.attempts] == ["dead", "finished"]


def test_recording_that_failed_is_known_of_its_attempt_until_it_is_run_again() -> None:
    story = Story()
    story.tell("started", attempt=1, step="trained_model", run_id="r1")
    story.tell("finished", attempt=1, step="trained_model")
    story.tell("started", attempt=1, step="model_evaluation", run_id="r2")
    story.tell("finished", attempt=1, step="model_evaluation")
    story.tell("recording_failed", attempt=1, error="disk full")
    (attempt,) = story.history.attempts
    assert attempt.recording_error == "disk full"
    assert attempt.outcome == "finished"
    assert [run.run_id for run in attempt.runs] == ["r1", "r2"]
    story.tell("started", attempt=1, step="model_evaluation", run_id="r3")
    assert attempt.recording_error is None


def test_events_of_unknown_kinds_and_odd_data_are_passed_over() -> None:
    story = Story()
    story.tell("surprise", attempt=7)
    story.tell("cancel_requested", by="nobody listens")
    story.tell("finished")
    story.tell("progress", stage=None, step=None)
    assert [a.number for a in story.history.attempts] == [1]
    assert story.history.seq == 4
