"""The registry of model versions: which one, in what state, and how it came there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qlops_assets.core.errors import IllegalTransitionError, UnknownModelError
from qlops_assets.core.journal import Event, Journal
from qlops_assets.registry.states import ModelEvent, ModelState, allowed_events, next_state

_TOPIC = "model/"


@dataclass(frozen=True, slots=True)
class StateChange:
    """One line of a version's history: who, when, from, to, why."""

    seq: int
    at: datetime
    event: ModelEvent
    source: ModelState | None
    target: ModelState
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model version with everything known of it.

    ``facts`` merges what each event recorded: ``spec_digest``, ``data_version``, ``metrics``,
    ``libraries``, ``artifact_sha256``, ``dagster_run`` and so on; later events win.
    """

    version: str
    state: ModelState
    created_at: datetime
    updated_at: datetime
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the document that the command line and the console show."""
        return {
            "model_version": self.version,
            "state": str(self.state),
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            **self.facts,
        }


class Registry:
    """Reads and advances model versions. All state is in the journal; this object holds none."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def advance(
        self,
        version: str,
        event: ModelEvent,
        *,
        by: str,
        why: str,
        facts: Mapping[str, Any] | None = None,
    ) -> ModelState:
        """Apply an event to a version and record who did it, why, and what became known.

        Two processes that advance the same version at once cannot both win: each change claims
        the next number in the version's history, and the loser is judged again from the new state.

        Raises:
            IllegalTransitionError: the version's state does not take this event.
        """
        while True:
            history = self._events(version)
            state = _state(history)
            target = next_state(state, event)
            if target is None:
                found = str(state) if state else "unregistered"
                raise IllegalTransitionError(version, found, event, allowed_events(state))
            data = {"from": state, "to": target, "by": by, "why": why, "facts": dict(facts or {})}
            key = f"{_TOPIC}{version}#{len(history)}"
            if self._journal.claim(_TOPIC + version, event, data, once=key):
                return target

    def state(self, version: str) -> ModelState | None:
        """Return a version's state, or None where it was never registered."""
        return _state(self._events(version))

    def card(self, version: str) -> ModelCard:
        """Return a version's card.

        Raises:
            UnknownModelError: the version is not registered; the nearest one is named.
        """
        events = self._events(version)
        if not events:
            raise UnknownModelError(version, self.versions())
        return _card(version, events)

    def history(self, version: str) -> list[StateChange]:
        """Return every state change of a version, oldest first.

        Raises:
            UnknownModelError: the version is not registered.
        """
        self.card(version)
        return [_change(event) for event in self._events(version)]

    def cards(self) -> list[ModelCard]:
        """Return every version's card, oldest first."""
        by_version: dict[str, list[Event]] = {}
        for event in self._journal.read_all(_TOPIC + "*"):
            by_version.setdefault(event.topic.removeprefix(_TOPIC), []).append(event)
        return [_card(version, events) for version, events in by_version.items()]

    def versions(self) -> list[str]:
        """Return every registered version, oldest first."""
        return [card.version for card in self.cards()]

    def _events(self, version: str) -> list[Event]:
        return self._journal.read_all(_TOPIC + version)


def _state(events: list[Event]) -> ModelState | None:
    return ModelState(events[-1].data["to"]) if events else None


def _card(version: str, events: list[Event]) -> ModelCard:
    facts: dict[str, Any] = {}
    for event in events:
        facts.update(event.data["facts"])
    state = ModelState(events[-1].data["to"])
    return ModelCard(version, state, events[0].at, events[-1].at, facts)


def _change(event: Event) -> StateChange:
    source = event.data["from"]
    return StateChange(
        event.seq,
        event.at,
        ModelEvent(event.kind),
        ModelState(source) if source else None,
        ModelState(event.data["to"]),
        event.data["by"],
        event.data["why"],
    )
