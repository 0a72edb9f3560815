"""What a training does now, from its events and its signs of life; and the request to stop it."""

from datetime import datetime
from pathlib import Path
from typing import Final

from qlops_assets.core.clock import Clock, SystemClock
from qlops_assets.core.errors import NothingToCancelError
from qlops_assets.core.journal import Event, Journal
from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.history import Attempt, TrainingHistory
from qlops_assets.core.trainings.signs import SIGN, SILENT_AFTER_S, Sign, read_sign

RUNNING: Final = "running"
CANCELLING: Final = "cancelling"
DEAD: Final = "dead"
WORKING: Final = (RUNNING, CANCELLING)


def sign_path(models: Path, version: str) -> Path:
    """Return where the process that trains a version gives its signs of life."""
    return models / version / SIGN


def attempt_status(attempt: Attempt, sign: Sign | None, now: datetime) -> str | None:
    """Return what the newest attempt at a version does.

    Args:
        attempt: The attempt.
        sign: The last sign of life of who trains the version; None where there is none.
        now: The moment to judge by.

    Returns:
        ``running``, ``cancelling`` or ``dead`` while its step has not ended, else how it ended:
        ``finished``, ``failed`` or ``cancelled``. None where no step is known to have begun.
    """
    if not attempt.is_open:
        return attempt.outcome
    is_alive = sign.is_alive(now) if sign else is_recent(attempt.heard_at, now)
    if not is_alive:
        return DEAD
    return CANCELLING if attempt.cancel_request else RUNNING


def is_recent(heard_at: datetime, now: datetime) -> bool:
    """Return whether somebody who was heard of then is still taken to be alive."""
    return (now - heard_at).total_seconds() < SILENT_AFTER_S


def past_status(attempt: Attempt) -> str | None:
    """Return how an attempt ended after which another began."""
    return DEAD if attempt.is_open else attempt.outcome


def status_of(history: TrainingHistory, models: Path, version: str, now: datetime) -> str | None:
    """Return what the newest attempt at a version does; None where there was none."""
    if history.last is None:
        return None
    return attempt_status(history.last, read_sign(sign_path(models, version)), now)


def request_cancel(
    journal: Journal,
    models: Path,
    version: str,
    *,
    by: str,
    why: str,
    attempt: int | None = None,
    clock: Clock | None = None,
) -> Event:
    """Ask the training of a version to stop; it does after the iteration under way.

    Args:
        journal: Of the home.
        models: The folder of model versions.
        version: What is trained.
        by: Who asks.
        why: The reason.
        attempt: The attempt that is meant; the one that runs where not given.
        clock: Tells the time; the system's where not given.

    Raises:
        NothingToCancelError: no training of the version runs, or it is another attempt.
    """
    history = TrainingHistory(journal.read_all(words.topic_of(version)))
    status = status_of(history, models, version, (clock or SystemClock()).now())
    last = history.last
    if last is None or status not in WORKING:
        found = "was never trained" if last is None else f"its last training is {status}"
        raise NothingToCancelError(version, found)
    if attempt is not None and attempt != last.number:
        raise NothingToCancelError(version, f"attempt {attempt} is over, {last.number} runs")
    facts = {"attempt": last.number, "by": by, "why": why}
    return journal.append(words.topic_of(version), words.CANCEL_REQUESTED, facts)
