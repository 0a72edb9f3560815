"""What became of an ask, from what the journal tells of the version's training."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from qlops_assets.core.journal import Journal
from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.history import Attempt, TrainingHistory
from qlops_assets.core.trainings.status import DEAD, WORKING, is_recent
from qlops_assets.registry.registry import ModelCard, Registry
from qlops_assets.registry.shown import training_status
from qlops_assets.registry.states import ModelState
from qlops_assets.training.rolling.asks import Ask

# Between the ask and the first word of the run, Dagster makes the run and starts its process. One
# that waits in its queue is known to wait, however long.
START_WITHIN_S: Final = 300.0


class Outcome(StrEnum):
    """What became of an ask."""

    WAITING = "waiting"
    RUNNING = "running"
    TRAINED = "trained"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"
    LOST = "lost"


class WindowState(StrEnum):
    """Where a window stands."""

    NOT_YET = "not yet"
    DUE = "due"
    TRAINING = "training"
    TRAINED = "trained"
    FAILED = "failed"
    GIVEN_UP = "given up"


# Outcome of the last ask, None where nobody asked -> state of the window. What failed is due again.
STATES: Mapping[Outcome | None, WindowState] = MappingProxyType(
    {
        None: WindowState.DUE,
        Outcome.WAITING: WindowState.TRAINING,
        Outcome.RUNNING: WindowState.TRAINING,
        Outcome.TRAINED: WindowState.TRAINED,
        Outcome.FAILED: WindowState.FAILED,
        Outcome.CANCELLED: WindowState.FAILED,
        Outcome.DEAD: WindowState.FAILED,
        Outcome.LOST: WindowState.FAILED,
    }
)
# So often a window is tried before it is left to a person.
MOST_ASKS: Final = 3

_NOT_JUDGED: Final = {
    ModelState.TRAINING,
    ModelState.TRAINED,
    ModelState.FAILED,
    ModelState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What became of an ask.

    Attributes:
        outcome: In a word.
        why: In a sentence; empty where there is nothing to explain.
        card: Of the version, where it was trained.
    """

    outcome: Outcome
    why: str = ""
    card: ModelCard | None = None


@dataclass(frozen=True, slots=True)
class Observer:
    """Finds out what became of asks, at one moment.

    Attributes:
        journal: Of the home.
        models: Folder of model versions.
        now: The moment to judge by.
        queued: Versions whose run waits, or has only just been started.
    """

    journal: Journal
    models: Path
    now: datetime
    queued: Collection[str] = ()

    def found(self, ask: Ask) -> Found:
        """Return what became of an ask."""
        registry = Registry(self.journal)
        card = registry.card(ask.version) if registry.state(ask.version) else None
        if card is not None and is_judged(card):
            return Found(Outcome.TRAINED, card=card)
        topic = words.topic_of(ask.version)
        # Its iterations, of which there can be many, say nothing that its sign of life does not.
        history = TrainingHistory(self.journal.read_all(topic, leaving_out=words.PROGRESS))
        if history.last is None or history.seq < ask.seq:
            return self._unheard(ask)
        status = training_status(ask.version, card, history, self.models, self.now)
        return self._heard(ask, history.last, status)

    def _heard(self, ask: Ask, attempt: Attempt, status: str | None) -> Found:
        if status in WORKING:
            return Found(Outcome.RUNNING)
        if status == words.FAILED:
            return Found(Outcome.FAILED, str((attempt.failure or {}).get("message", "")))
        if status == words.CANCELLED:
            told = attempt.cancelled.data if attempt.cancelled else {}
            return Found(Outcome.CANCELLED, f"by {told.get('by')}: {told.get('why')}")
        is_between_steps = is_recent(attempt.heard_at, self.now) or ask.version in self.queued
        if status != DEAD and is_between_steps and not ask.has_ended:
            return Found(Outcome.RUNNING)
        return Found(Outcome.DEAD, "the process that trained it is gone")

    def _unheard(self, ask: Ask) -> Found:
        is_new = (self.now - ask.at).total_seconds() < START_WITHIN_S
        if (is_new or ask.version in self.queued) and not ask.has_ended:
            return Found(Outcome.WAITING)
        return Found(Outcome.LOST, "its run never began")


def is_judged(card: ModelCard) -> bool:
    """Return whether a version was trained and evaluated, whatever became of it since."""
    return card.state not in _NOT_JUDGED and "metrics" in card.facts


def state_of(found: Found | None, asks: int) -> WindowState:
    """Return where a whole window stands.

    Args:
        found: What became of the last ask; of any that was trained. None where nobody asked.
        asks: How often it was asked for.
    """
    state = STATES[found.outcome if found else None]
    return WindowState.GIVEN_UP if state == WindowState.FAILED and asks >= MOST_ASKS else state
