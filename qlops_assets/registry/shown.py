"""Where a version and its training stand, in the one word that people are shown."""

from datetime import datetime
from pathlib import Path
from typing import Final

from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.history import TrainingHistory
from qlops_assets.core.trainings.status import DEAD, RUNNING, WORKING, is_recent, status_of
from qlops_assets.registry.registry import ModelCard
from qlops_assets.registry.states import ModelState

PREPARED: Final = "prepared"
EVALUATION_FAILED: Final = "evaluation failed"


def training_status(
    version: str,
    card: ModelCard | None,
    history: TrainingHistory | None,
    models: Path,
    now: datetime,
) -> str | None:
    """Return what the newest attempt at a version does.

    Args:
        version: Its name.
        card: Of the registry; None where the version is not registered.
        history: Of its trainings; None where the journal knows none.
        models: The folder of model versions.
        now: The moment to judge by.

    Returns:
        As :func:`qlops_assets.core.trainings.status.attempt_status`. A version in training whose
        steps did not say that they began is judged by when it was last heard of.
    """
    status = status_of(history, models, version, now) if history else None
    if status is None and card is not None and card.state == ModelState.TRAINING:
        return RUNNING if is_recent(heard_at(card, history), now) else DEAD
    return status


def heard_at(card: ModelCard, history: TrainingHistory | None) -> datetime:
    """Return when a version or its training last said anything."""
    last = history.last if history else None
    return max(last.heard_at, card.updated_at) if last else card.updated_at


def shown_state(state: ModelState | None, status: str | None) -> str:
    """Return what to call a version.

    Args:
        state: In the registry; None where it is not registered.
        status: Of :func:`training_status`.

    Returns:
        ``running``, ``cancelling`` or ``dead`` while a step of its training has not ended;
        ``evaluation failed`` of a trained model; ``prepared`` where only its training set is made;
        otherwise the state.
    """
    if status in (*WORKING, DEAD):
        return str(status)
    if state is None:
        return PREPARED
    if state == ModelState.TRAINED and status == words.FAILED:
        return EVALUATION_FAILED
    return str(state)
