"""The training that runs, else the last one that ran."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from qlops_assets.core.journal import Event, Journal
from qlops_assets.registry.registry import ModelCard
from qlops_assets.registry.states import ModelState

# A training reports every iteration; one that was killed stops reporting and says nothing more.
STALLED_AFTER: Final = timedelta(minutes=3)

_FIT: Final = (
    "step",
    "total",
    "elapsed_s",
    "metric",
    "train",
    "valid",
    "best_step",
    "best_valid",
)


def training_status(
    journal: Journal, cards: Sequence[ModelCard], now: datetime
) -> dict[str, Any] | None:
    """Return how far the newest training is, or None where nothing was ever trained."""
    running = [card for card in cards if card.state == ModelState.TRAINING]
    card = max(running or cards, key=lambda card: card.updated_at, default=None)
    if card is None:
        return None
    reports = [e for e in journal.read_all(f"training/{card.version}") if e.kind == "progress"]
    last = reports[-1] if reports else None
    heard_at = max(last.at, card.updated_at) if last else card.updated_at
    return {
        "model_version": card.version,
        "state": _state(card, heard_at, now),
        "heard_at": heard_at.isoformat(),
        "started_at": card.created_at.isoformat(),
        "error": card.facts.get("error"),
        "stage": last and last.data.get("stage"),
        "fit": _fit(reports),
    }


def _state(card: ModelCard, heard_at: datetime, now: datetime) -> str:
    if card.state == ModelState.TRAINING:
        return "stalled" if now - heard_at > STALLED_AFTER else "running"
    return "failed" if card.state == ModelState.FAILED else "finished"


def _fit(reports: Sequence[Event]) -> dict[str, Any]:
    """The newest attempt's last iteration and its best by validation; None before the first."""
    fits = [e.data for e in reports if e.data.get("stage") == "fit" and e.data.get("metrics")]
    if not fits:
        return dict.fromkeys(_FIT)
    first = max((i for i, data in enumerate(fits) if data["step"] == 1), default=0)
    attempt, last = fits[first:], fits[-1]
    name = next((key for key in last["metrics"] if key.startswith("valid.")), "valid.")
    best = min(attempt, key=lambda data: data["metrics"].get(name, float("inf")))
    metric = name.removeprefix("valid.")
    values = (
        last["step"],
        last["total"],
        last["elapsed_s"],
        metric,
        last["metrics"].get(f"train.{metric}"),
        last["metrics"].get(name),
        best["step"],
        best["metrics"].get(name),
    )
    return dict(zip(_FIT, values, strict=True))
