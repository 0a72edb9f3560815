"""Which window a schedule asks for, whatever its runs and the machine do."""

import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.signs import Heart
from qlops_assets.core.trainings.status import sign_path
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent, next_state
from qlops_assets.training.rolling.asks import Ask, ask_for, end_ask
from qlops_assets.training.rolling.outcomes import Observer, WindowState
from qlops_assets.training.rolling.plan import RollingPlan, plan_of
from qlops_assets.training.rolling.retraining import ask_newest
from qlops_assets.training.rolling.series import Series, series_of
from qlops_assets.training.rolling.windows import Window
from qlops_assets_tests.support.market import weekdays

DAYS = weekdays(date(2015, 1, 5), 700)
FIRST = {"train": (DAYS[0], DAYS[99]), "valid": (DAYS[102], DAYS[147]), "test": (DAYS[150],) * 2}
STEP, BEGUN, MOST = 20, 151 + 20, 3
START_S, SILENT_S = 300, 20


class Moving:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 5, 18, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@dataclass
class Run:
    """A run as Dagster and its process know it; where it stands is only here."""

    ask: Ask
    at: datetime
    where: str = "queued"  # lost, queued, between, training_set, trained_model; or an end
    heard: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))

    def is_over(self, now: datetime) -> bool:
        """Whether it is known that nothing can come of it any more."""
        if self.where == "lost":
            return (now - self.at).total_seconds() >= START_S
        if self.where == "gone between steps":
            return (now - self.heard).total_seconds() >= SILENT_S
        return self.where in ("failed", "cancelled", "dead")


class Home:
    """A home whose trainings are played: their events and signs of life are real."""

    def __init__(self, folder: Path) -> None:
        self.clock = Moving()
        training = TrainingSettings(segments=FIRST, min_days=1)
        rolling = RollingSettings(step_days=STEP)
        self.settings = Settings(home=folder, training=training, rolling=rolling)
        self.journal = Journal(self.settings.journal_url, self.clock)
        self.registry = Registry(self.journal)
        self.days = BEGUN
        self.queued: set[str] = set()

    def plan(self) -> RollingPlan:
        calendar = DAYS[: self.days]
        observer = Observer(self.journal, self.settings.models, self.clock.now(), self.queued)
        return plan_of(series_of(self.settings, self.journal, calendar), calendar, observer)

    def name(self, _: Series, window: Window) -> str:
        """Return a version that is named after the last day, as real ones are."""
        return f"v{window.number}-{self.days}"

    def look(self, tick: str) -> Ask | str:
        return ask_newest(self.plan(), self.journal, by="schedule", tick=tick, name=self.name)

    def tell(self, version: str, kind: str, step: str, **data: Any) -> None:
        self.journal.append(words.topic_of(version), kind, {"step": step, **data})

    def advance(self, version: str, event: ModelEvent, **facts: Any) -> None:
        if next_state(self.registry.state(version), event):
            self.registry.advance(version, event, by="tests", why="played", facts=facts)

    def begin(self, version: str, step: str, attempt: int) -> None:
        sign = sign_path(self.settings.models, version)
        sign.parent.mkdir(parents=True, exist_ok=True)
        Heart(sign).begin()
        self.tell(version, words.STARTED, step, attempt=attempt)
        if step == words.TRAINED_MODEL:
            self.advance(version, ModelEvent.STARTED)

    def end(self, version: str, step: str, attempt: int, kind: str) -> None:
        events = {"failed": ModelEvent.FAILED, "cancelled": ModelEvent.CANCELLED}
        if kind in events:
            self.advance(version, events[kind])
        told = {"by": "ann", "why": "no"} if kind == "cancelled" else {}
        failure = {"failure": {"message": "broken"}} if kind == "failed" else {}
        self.tell(version, kind, step, attempt=attempt, **told, **failure)
        sign_path(self.settings.models, version).unlink()

    def kill(self, version: str) -> None:
        """Leave the sign of life of a process that is no more."""
        sign = sign_path(self.settings.models, version)
        text = sign.read_text(encoding="utf-8")
        sign.write_text(text[: text.index('"started"')] + '"started": 1.0}', encoding="utf-8")


class Retraining(RuleBasedStateMachine):
    """Days come, the schedule looks, runs start, end, die and are lost; a person helps."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.home = Home(Path(self.folder.name))
        self.runs: list[Run] = []
        self.ticks = 0
        self.by_hand: set[int] = set()
        self.attempts: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "home"):
            self.home.journal.close()
            self.folder.cleanup()

    def of(self, window: int) -> list[Run]:
        return [run for run in self.runs if run.ask.window == window]

    @property
    def newest(self) -> int:
        """The newest window with all its test days, counted without the code under test."""
        return (self.home.days - 150) // STEP

    def check_asked(self, ask: Ask, *, is_person: bool) -> None:
        now = self.home.clock.now()
        before = self.of(ask.window)
        assert all(run.is_over(now) for run in before), "it is trained, or may yet be"
        assert ask.number == len(before) + 1
        assert is_person or len(before) < MOST
        first = DAYS.index(ask.segments.test[0])
        assert DAYS.index(ask.segments.test[1]) == first + STEP - 1 < self.home.days
        assert first == 150 + STEP * (ask.window - 1)

    @rule(count=st.integers(1, 30))
    def days_come(self, count: int) -> None:
        self.home.days = min(len(DAYS), self.home.days + count)

    @rule(seconds=st.sampled_from([1, 15, 25, 200, 400, 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.home.clock.moment += timedelta(seconds=seconds)

    @rule(is_lost=st.booleans())
    def schedule_looks(self, is_lost: bool) -> None:
        """A daemon that dies after the schedule's answer makes no run of it."""
        self.ticks += 1
        found = self.home.look(f"tick {self.ticks}")
        now, before = self.home.clock.now(), self.of(self.newest)
        may = all(run.is_over(now) for run in before) and len(before) < MOST
        assert isinstance(found, Ask) is may, found
        if isinstance(found, Ask):
            assert found.window == self.newest
            self.check_asked(found, is_person=False)
            run = Run(found, now, "lost" if is_lost else "queued")
            self.runs.append(run)
            if not is_lost:
                self.home.queued.add(found.version)

    @rule()
    def schedule_looks_and_the_run_fails(self) -> None:
        runs = len(self.runs)
        self.schedule_looks(is_lost=False)
        if len(self.runs) > runs:
            run = self.runs[-1]
            self.go_on(run)
            self.go_badly(run, "failed")

    @precondition(lambda self: self.runs and self.runs[-1].where == "lost")
    @rule()
    def same_tick_is_evaluated_again(self) -> None:
        run = self.runs[-1]
        if run.ask.tick != f"tick {self.ticks}" or run.ask.window != self.newest:
            return
        assert self.home.look(f"tick {self.ticks}") == run.ask
        run.where = "queued"
        self.home.queued.add(run.ask.version)

    @rule()
    def person_trains_what_is_due(self) -> None:
        plan = self.home.plan()
        for planned in plan.chosen():
            if planned.is_open:
                version = self.home.name(plan.series, planned.window)
                ask = ask_for(
                    *(self.home.journal, plan.series, planned.window, version),
                    before=planned.asks,
                    by="ann",
                )
                assert ask is not None
                self.check_asked(ask, is_person=True)
                self.runs.append(Run(ask, self.home.clock.now()))
                self.home.queued.add(version)
                plan = self.home.plan()

    @rule()
    def person_interrupts_before_the_run_begins(self) -> None:
        run = next((r for r in self.runs if r.where == "queued" and r.ask.by == "ann"), None)
        if run is not None:
            end_ask(self.home.journal, self.home.plan().series, run.ask)
            run.where = "dead"
            waiting = {r.ask.version for r in self.runs if r.where == "queued"}
            self.home.queued &= waiting  # an interrupted run waits no more

    def run_at(self, *places: str) -> Run | None:
        return next((run for run in self.runs if run.where in places), None)

    @rule()
    def run_goes_on(self) -> None:
        run = self.run_at("queued", "training_set", "trained_model")
        if run is not None:
            self.go_on(run)

    def go_on(self, run: Run) -> None:
        version = run.ask.version
        if run.where == "queued":
            self.home.queued.discard(version)
            self.attempts[version] = self.attempts.get(version, 0) + 1
            self.home.begin(version, "training_set", self.attempts[version])
            run.where = "training_set"
            return
        self.home.end(version, run.where, self.attempts[version], "finished")
        if run.where == "training_set":
            run.where = "trained_model"
            self.home.begin(version, run.where, self.attempts[version])
        else:
            self.home.advance(version, ModelEvent.TRAINED)
            self.home.advance(version, ModelEvent.REJECTED, metrics={"ic": 0.1, "rank_ic": 0.2})
            run.where = "trained"

    @rule(end=st.sampled_from(["failed", "cancelled", "dead", "gone between steps"]))
    def run_ends_badly(self, end: str) -> None:
        run = self.run_at("training_set", "trained_model")
        if run is not None:
            self.go_badly(run, end)

    def go_badly(self, run: Run, end: str) -> None:
        version, attempt = run.ask.version, self.attempts[run.ask.version]
        if end == "dead":
            self.home.kill(version)
        elif end == "gone between steps":
            self.home.end(version, run.where, attempt, "finished")
            run.heard = self.home.clock.now()
        else:
            self.home.end(version, run.where, attempt, end)
        run.where = end

    @invariant()
    def windows_stand_where_their_runs_do(self) -> None:
        now = self.home.clock.now()
        for planned in self.home.plan().whole:
            runs = self.of(planned.number)
            if any(run.where == "trained" for run in runs):
                expected = WindowState.TRAINED
            elif any(not run.is_over(now) for run in runs):
                expected = WindowState.TRAINING
            elif len(runs) >= MOST:
                expected = WindowState.GIVEN_UP
            else:
                expected = WindowState.FAILED if runs else WindowState.DUE
            assert planned.state == expected


Retraining.TestCase.settings = profile(max_examples=30, stateful_step_count=40, deadline=None)
test_windows_are_asked_for_once_and_again_until_trained_or_given_up = Retraining.TestCase


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def play(home: Home, ask: Ask | str, end: str) -> None:
    assert isinstance(ask, Ask), ask
    home.begin(ask.version, "training_set", ask.number)
    home.end(ask.version, "training_set", ask.number, end)


def test_every_answer_of_a_schedule_names_the_window_and_the_reason(home: Home) -> None:
    asked_for = home.settings
    home.settings = replace(asked_for, rolling=RollingSettings(step_days=30))
    assert home.look("1") == "window 1: 21 of 30 test days are there"
    home.settings = asked_for
    asked = home.look("2")
    assert isinstance(asked, Ask)
    told = f"window 1 is in training as v1-{BEGUN}, asked for by schedule on 2026-01-05 18:30 UTC"
    assert home.look("3") == told
    play(home, asked, "failed")
    for tick in ("4", "5"):
        play(home, home.look(tick), "cancelled")
    assert home.look("6") == (
        "window 1 is given up: tried 3 times; cancelled: by ann: no; `qlops train rolling` tries "
        "it again"
    )
    home.days = BEGUN + STEP + 3
    asked = home.look("7")
    assert isinstance(asked, Ask)
    assert (asked.window, asked.number, asked.by, asked.tick) == (2, 1, "schedule", "7")
    for event in (ModelEvent.STARTED, ModelEvent.TRAINED, ModelEvent.VALIDATED):
        home.advance(asked.version, event, metrics={"ic": 0.1, "rank_ic": 0.1})
    assert home.look("8") == (
        f"window 2 is trained as {asked.version}; window 3: 4 of 20 test days are there"
    )


def test_version_that_was_trained_by_other_means_is_taken_as_it_is(home: Home) -> None:
    version = f"v1-{BEGUN}"
    for event in (ModelEvent.STARTED, ModelEvent.TRAINED, ModelEvent.VALIDATED):
        home.advance(version, event, metrics={"ic": 0.1, "rank_ic": 0.1})
    assert home.look("1") == f"window 1 is {version}, which is validated already"
    (planned,) = home.plan().whole
    assert (planned.state, planned.version) == (WindowState.TRAINED, version)
    assert planned.card is not None


def test_retired_version_counts_as_trained_only_if_it_was(home: Home) -> None:
    asked = home.look("1")
    play(home, asked, "failed")
    assert isinstance(asked, Ask)
    home.advance(asked.version, ModelEvent.RETIRED)
    assert home.plan().whole[0].state == WindowState.FAILED
    home.days += 1
    again = home.look("2")
    assert isinstance(again, Ask)
    for event in (
        *(ModelEvent.STARTED, ModelEvent.TRAINED, ModelEvent.REJECTED),
        ModelEvent.RETIRED,
    ):
        home.advance(again.version, event, metrics={"ic": 0.1, "rank_ic": 0.1})
    assert home.plan().whole[0].state == WindowState.TRAINED


def test_windows_that_a_person_means_are_counted_from_the_newest(home: Home) -> None:
    home.days = 150 + 5 * STEP + 7
    plan = home.plan()
    numbers = lambda chosen: [one.number for one in chosen]  # noqa: E731
    assert numbers(plan.chosen()) == [5]
    assert numbers(plan.chosen(2)) == [4, 5]
    assert numbers(plan.chosen(every=True)) == [1, 2, 3, 4, 5]
    for count in (0, -1, 6):
        with pytest.raises(TrainingError, match=r"must be 1 to 5; so many have all days"):
            plan.chosen(count)
    version = "other"
    assert ask_for(home.journal, plan.series, plan.whole[1].window, version, before=0, by="ann")
    for event in (ModelEvent.STARTED, ModelEvent.TRAINED, ModelEvent.VALIDATED):
        home.advance(version, event, metrics={"ic": 0.1, "rank_ic": 0.1})
    assert numbers(home.plan().chosen()) == [3, 4, 5]
    home.settings = replace(home.settings, rolling=RollingSettings(step_days=200))
    with pytest.raises(TrainingError, match="window 1 is not whole yet: 107 of 200 test days"):
        home.plan().chosen(1)
    assert home.plan().chosen() == []


def test_window_that_was_trained_shows_the_days_it_was_trained_on(home: Home) -> None:
    asked = home.look("1")
    assert isinstance(asked, Ask)
    for event in (ModelEvent.STARTED, ModelEvent.TRAINED, ModelEvent.VALIDATED):
        home.advance(asked.version, event, metrics={"ic": 0.1, "rank_ic": 0.2})
    document = home.plan().whole[0].to_json()
    assert document["test"] == [str(DAYS[150]), str(DAYS[169])]
    series = home.plan().series
    # The source takes a day of the past back: every window of now is a day later.
    calendar = [day for day in DAYS[:BEGUN] if day != DAYS[120]]
    observer = Observer(home.journal, home.settings.models, home.clock.now())
    moved = plan_of(replace(series), calendar, observer).windows[0]
    assert moved.state == WindowState.TRAINED
    assert moved.to_json()["test"] == document["test"]
    assert (document["ic"], document["rank_ic"], document["attempts"]) == (0.1, 0.2, 1)
