"""The registry against an independent model of the life of a version, and against itself."""

import json
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from qlops_assets.core.errors import IllegalTransitionError, UnknownModelError
from qlops_assets.core.journal import Journal
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import NEXT, ModelEvent, ModelState
from qlops_assets_tests.support.advance_process import CHAIN

# Written from the description of the life of a version, not from the table under test: from each
# state, what can happen and where it leads.
LIFE = {
    None: {"started": "training", "failed": "failed", "cancelled": "cancelled"},
    "training": {
        "started": "training",
        "trained": "trained",
        "failed": "failed",
        "cancelled": "cancelled",
    },
    "trained": {
        "started": "training",
        "validated": "validated",
        "rejected": "rejected",
        "failed": "failed",
        "evaluation_failed": "trained",
        "cancelled": "cancelled",
    },
    "failed": {
        "started": "training",
        "failed": "failed",
        "cancelled": "cancelled",
        "retired": "retired",
    },
    "cancelled": {
        "started": "training",
        "failed": "failed",
        "cancelled": "cancelled",
        "retired": "retired",
    },
    "rejected": {"retired": "retired"},
    "validated": {"staged": "staging", "retired": "retired"},
    "staging": {"promoted": "production", "superseded": "archived"},
    "production": {"superseded": "archived"},
    "archived": {"staged": "staging", "promoted": "production", "retired": "retired"},
    "retired": {},
}
# Of every version it may become known where its training is recorded; it goes nowhere by that.
for registered in filter(None, LIFE):
    LIFE[registered]["recorded"] = registered


class Ticking:
    """A clock that moves a second each time it is read."""

    def __init__(self) -> None:
        self._now = datetime(2024, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


class RegistryMachine(RuleBasedStateMachine):
    """Random events on a few versions; every step through a registry opened anew."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Ticking()
        self.journal = Journal(f"sqlite:///{self.folder / 'journal.db'}", self.clock)
        self.states: dict[str, str] = {}
        self.done: dict[str, list[tuple[str, str | None, str, str]]] = {}
        self.facts: dict[str, dict[str, int]] = {}

    @property
    def registry(self) -> Registry:
        return Registry(self.journal)

    @rule(
        version=st.sampled_from(["alpha-1", "alpha-2", "alpha-10"]),
        event=st.sampled_from(list(ModelEvent)),
        facts=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=2),
    )
    def advance(self, version: str, event: ModelEvent, facts: dict[str, int]) -> None:
        source = self.states.get(version)
        target = LIFE[source].get(str(event))
        why = f"step {len(self.done.get(version, []))}"
        if target is None:
            with pytest.raises(IllegalTransitionError) as caught:
                self.registry.advance(version, event, by="ann", why=why, facts=facts)
            assert caught.value.state == (source or "unregistered")
            for allowed in LIFE[source]:
                assert allowed in str(caught.value)
            return
        assert self.registry.advance(version, event, by="ann", why=why, facts=facts) == target
        self.states[version] = target
        self.done.setdefault(version, []).append((str(event), source, target, why))
        self.facts.setdefault(version, {}).update(facts)

    @rule()
    def crash(self) -> None:
        """Forget everything that is not in the journal."""
        self.journal.close()

    @invariant()
    def state_and_facts_are_what_was_done(self) -> None:
        cards = {card.version: card for card in self.registry.cards()}
        assert {v: str(card.state) for v, card in cards.items()} == self.states
        assert {v: dict(card.facts) for v, card in cards.items()} == self.facts
        assert self.registry.versions() == list(self.states)
        for version in ("alpha-1", "alpha-2", "alpha-10"):
            assert self.registry.state(version) == self.states.get(version)

    @invariant()
    def history_is_what_was_done_in_order(self) -> None:
        for version, done in self.done.items():
            history = self.registry.history(version)
            told = [
                (str(c.event), c.source and str(c.source), str(c.target), c.why) for c in history
            ]
            assert told == done
            assert [c.at for c in history] == sorted(c.at for c in history)
            card = self.registry.card(version)
            assert (card.created_at, card.updated_at) == (history[0].at, history[-1].at)

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)


RegistryMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
test_registry_under_random_events_equals_the_model = RegistryMachine.TestCase


def test_table_of_states_equals_the_life_written_by_hand() -> None:
    by_hand = {
        (source, event): target
        for source, events in LIFE.items()
        for event, target in events.items()
    }
    table = {(s and str(s), str(e)): str(t) for (s, e), t in NEXT.items()}
    assert table == by_hand
    assert {str(state) for state in ModelState} == set(LIFE) - {None}


def test_advancing_from_two_processes_lets_exactly_one_win_each_step(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    registry = Registry(Journal(url))
    versions = [f"alpha-{i}" for i in range(15)]
    for version in versions:
        registry.advance(version, ModelEvent.STARTED, by="ann", why="prepared")
    script = "qlops_assets_tests.support.advance_process"
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", script, url, str(tmp_path), by, against, *versions],
            stdout=subprocess.PIPE,
        )
        for by, against in (("ann", "bob"), ("bob", "ann"))
    ]
    won = [tuple(pair) for racer in racers for pair in json.loads(racer.communicate(timeout=30)[0])]
    assert sorted(won) == sorted((version, event) for version in versions for event in CHAIN)
    winners = set()
    for version in versions:
        history = registry.history(version)
        assert [change.event for change in history] == [ModelEvent.STARTED, *CHAIN]
        assert [c.source for c in history[1:]] == [c.target for c in history[:-1]]
        winners |= {change.by for change in history[1:]}
    assert winners == {"ann", "bob"}  # else there was no race


def test_unknown_version_names_the_nearest_and_the_known(tmp_path: Path) -> None:
    registry = Registry(Journal(f"sqlite:///{tmp_path / 'journal.db'}"))
    with pytest.raises(UnknownModelError, match="none yet"):
        registry.card("alpha-1")
    registry.advance("alpha-20240105", ModelEvent.STARTED, by="ann", why="new")
    registry.advance("beta-7", ModelEvent.STARTED, by="ann", why="new")
    for ask in (registry.card, registry.history):
        with pytest.raises(UnknownModelError, match=r"did you mean 'alpha-20240105'\?") as caught:
            ask("alpha-20240106")
        assert caught.value.known == ["alpha-20240105", "beta-7"]
    assert registry.state("alpha-20240106") is None


def test_card_as_json_is_flat_with_later_facts_over_earlier(tmp_path: Path) -> None:
    registry = Registry(Journal(f"sqlite:///{tmp_path / 'journal.db'}", Ticking()))
    one = {"spec_digest": "s", "metrics": {"rank_ic": 0.01}}
    registry.advance("alpha-1", ModelEvent.STARTED, by="ann", why="new", facts=one)
    two = {"metrics": {"rank_ic": 0.04}, "artifact_sha256": "x"}
    registry.advance("alpha-1", ModelEvent.TRAINED, by="ann", why="done", facts=two)
    assert registry.card("alpha-1").to_json() == {
        "model_version": "alpha-1",
        "state": "trained",
        "created_at": "2024-01-01T00:00:01+00:00",
        "updated_at": "2024-01-01T00:00:02+00:00",
        "spec_digest": "s",
        "metrics": {"rank_ic": 0.04},
        "artifact_sha256": "x",
    }


def test_versions_whose_names_begin_alike_do_not_mix(tmp_path: Path) -> None:
    registry = Registry(Journal(f"sqlite:///{tmp_path / 'journal.db'}"))
    for version in ("alpha", "alpha-1", "alpha-10"):
        registry.advance(version, ModelEvent.STARTED, by="ann", why="new")
    registry.advance("alpha-1", ModelEvent.TRAINED, by="ann", why="done")
    assert [len(registry.history(v)) for v in ("alpha", "alpha-1", "alpha-10")] == [1, 2, 1]
