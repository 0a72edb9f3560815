"""The fold of a study's events, driven by a machine that starts, is killed and goes on."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from qlops_assets.core.journal import Event
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import StudyHistory

FOLDS, TARGET = 3, 6


class AStudy(RuleBasedStateMachine):
    """Does what a study does; ``truth`` is what a plain record of it would say."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.history = StudyHistory()
        self.running: set[int] = set()
        self.is_working = False
        self.folds: dict[int, list[float]] = {}
        self.ended: dict[int, tuple[str, float | None]] = {}

    def say(self, kind: str, **data: Any) -> None:
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self.events))
        event = Event(len(self.events) + 1, "study/s", kind, at, data)
        self.events.append(event)
        self.history.take(event)

    @precondition(lambda self: not self.is_working)
    @rule()
    def start(self) -> None:
        self.say(words.STARTED, trials=TARGET)
        self.is_working = True

    @precondition(lambda self: self.is_working)
    @rule()
    def give(self) -> None:
        waiting = [t for t in self.history.interrupted if t.state == words.WAITING]
        number = waiting[0].number if waiting else len(self.folds)
        if number >= TARGET:
            return
        self.folds.setdefault(number, [])
        self.running.add(number)
        about = {"parameters": {"x": number}, "searched": {"x": number}}
        self.say(words.TRIAL_STARTED, trial=number, is_baseline=number == 0, **about)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), rank_ic=st.floats(-0.1, 0.1))
    def finish_a_fold(self, data: st.DataObject, rank_ic: float) -> None:
        number = data.draw(st.sampled_from(sorted(self.running)))
        fold = len(self.folds[number])
        if fold == FOLDS:
            return
        self.folds[number].append(rank_ic)
        self.say(words.FOLD_FINISHED, trial=number, fold=fold, rank_ic=rank_ic, seconds=1.0)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), state=st.sampled_from([words.COMPLETE, words.PRUNED, words.FAILED]))
    def end_a_trial(self, data: st.DataObject, state: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.running)))
        ics = self.folds[number]
        if state == words.COMPLETE and len(ics) < FOLDS:
            return
        value = sum(ics) / len(ics) if ics and state != words.FAILED else None
        self.running.discard(number)
        self.ended[number] = (state, value)
        self.say(words.TRIAL_ENDED, trial=number, state=state, value=value)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def lose_a_worker(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(number)
        self.say(words.TRIAL_LOST, trial=number, error="killed")

    @precondition(lambda self: self.is_working)
    @rule()
    def be_killed(self) -> None:
        self.running.clear()
        self.is_working = False

    @precondition(lambda self: self.is_working)
    @rule(kind=st.sampled_from([words.FAILED, words.CANCELLED]))
    def stop(self, kind: str) -> None:
        self.be_killed()
        self.say(kind, error="it was stopped")

    @invariant()
    def it_knows_what_ended_and_what_did_not(self) -> None:
        found = {t.number: (t.state, t.value) for t in self.history.ended}
        assert found == self.ended
        assert {t.number for t in self.history.interrupted} == set(self.folds) - set(self.ended)
        assert {n: t.rank_ics for n, t in self.history.trials.items()} == self.folds
        if self.is_working:
            running = {n for n, t in self.history.trials.items() if t.state == words.RUNNING}
            assert running == self.running

    @invariant()
    def the_best_is_the_complete_one_of_most_worth(self) -> None:
        complete = [(v, -n) for n, (s, v) in self.ended.items() if s == words.COMPLETE]
        best = self.history.best
        assert (best.number if best else None) == (-max(complete)[1] if complete else None)

    @invariant()
    def it_is_the_same_when_it_is_read_anew(self) -> None:
        again = StudyHistory(self.events)
        assert again.trials == self.history.trials
        assert (again.outcome, again.target) == (self.history.outcome, self.history.target)


TestAStudy = AStudy.TestCase
TestAStudy.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
