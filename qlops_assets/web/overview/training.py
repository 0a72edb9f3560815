"""The training that runs, else the last one that ran."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.history import Attempt, TrainingHistory
from qlops_assets.core.trainings.status import DEAD, WORKING
from qlops_assets.core.trainings.words import topic_of
from qlops_assets.registry.registry import ModelCard
from qlops_assets.registry.shown import (
    EVALUATION_FAILED,
    heard_at,
    shown_state,
    training_status,
)
from qlops_assets.registry.states import ModelState

_FIT: Final = ("step", "total", "elapsed_s", "metric", "train", "valid", "best_step", "best_valid")
_UNDER_WAY: Final = (*WORKING, DEAD)
_BADLY_ENDED: Final = (str(ModelState.FAILED), str(ModelState.CANCELLED), EVALUATION_FAILED)


def training_overview(
    settings: Settings, journal: Journal, cards: Sequence[ModelCard], now: datetime
) -> dict[str, Any] | None:
    """Return how far the newest training is, or None where nothing was ever trained."""
    looked_at = [_Looked(settings, journal, card, now) for card in _candidates(cards)]
    found = max(looked_at, key=lambda look: (look.is_working, look.heard_at), default=None)
    if found is None:
        return None
    card, attempt = found.card, found.history.last
    failure = card.facts.get("failure") or {}
    return {
        "model_version": card.version,
        "state": _state(shown_state(card.state, found.status)),
        "heard_at": found.heard_at.isoformat(),
        "started_at": card.created_at.isoformat(),
        "error": failure.get("message"),
        "attempt": attempt.number if attempt else None,
        "stage": attempt.last.data.get("stage") if attempt and attempt.last else None,
        "fit": _fit(attempt),
    }


def _candidates(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """Return the version that changed last, and those that may be trained at this moment."""
    last = max(cards, key=lambda card: card.updated_at, default=None)
    return [card for card in cards if card is last or card.state == ModelState.TRAINING]


class _Looked:
    """A version and what the newest attempt at it does."""

    def __init__(
        self, settings: Settings, journal: Journal, card: ModelCard, now: datetime
    ) -> None:
        self.card = card
        self.history = TrainingHistory(journal.read_all(topic_of(card.version)))
        self.heard_at = heard_at(card, self.history)
        self.status = training_status(card.version, card, self.history, settings.models, now)

    @property
    def is_working(self) -> bool:
        return self.status in WORKING


def _state(shown: str) -> str:
    return shown if shown in (*_UNDER_WAY, *_BADLY_ENDED) else "finished"


def _fit(attempt: Attempt | None) -> dict[str, Any]:
    """The attempt's last iteration and its best by validation; None before the first."""
    found = attempt.curve if attempt else None
    best = found[1].best() if found else None
    if attempt is None or found is None or best is None:
        return dict.fromkeys(_FIT)
    stage, curve = found
    best_step, name, best_value = best
    metric = name.removeprefix("valid.")
    total = next((s.total for s in reversed(attempt.stages) if s.name == stage), None)
    trained = [v for v in curve.values.get(f"train.{metric}", ()) if v is not None]
    values = (
        curve.steps[-1],
        total,
        _elapsed(attempt, stage),
        metric,
        trained[-1] if trained else None,
        curve.evaluated()[-1][1],
        best_step,
        best_value,
    )
    return dict(zip(_FIT, values, strict=True))


def _elapsed(attempt: Attempt, name: str) -> float | None:
    stage = next((s for s in reversed(attempt.stages) if s.name == name), None)
    return (stage.last_at - stage.at).total_seconds() if stage else None
