"""What a study does now, from its events and its signs of life; and the request to stop it."""

from datetime import datetime
from pathlib import Path
from typing import Final

from qlops_assets.core.clock import Clock, SystemClock
from qlops_assets.core.errors import NothingToCancelError
from qlops_assets.core.journal import Event, Journal
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import StudyHistory
from qlops_assets.core.trainings.signs import read_sign
from qlops_assets.core.trainings.status import CANCELLING, DEAD, RUNNING, WORKING, is_recent

SIGN: Final = "study.alive.json"


def sign_path(studies: Path, study: str) -> Path:
    """Return where the process that works on a study gives its signs of life."""
    return studies / study / SIGN


def study_status(history: StudyHistory, studies: Path, study: str, now: datetime) -> str | None:
    """Return what a study does.

    Returns:
        ``running``, ``cancelling`` or ``dead`` while it has not ended, else how it did:
        ``finished``, ``failed`` or ``cancelled``. None where it never began.
    """
    if not history.is_open:
        return history.outcome
    sign = read_sign(sign_path(studies, study))
    heard_at = history.heard_at or now
    if not (sign.is_alive(now) if sign else is_recent(heard_at, now)):
        return DEAD
    return CANCELLING if history.request else RUNNING


def request_cancel(
    journal: Journal,
    studies: Path,
    study: str,
    *,
    by: str,
    why: str,
    clock: Clock | None = None,
) -> Event:
    """Ask a study to stop; its trials do after the iteration under way.

    What has ended stays, and the study can go on later.

    Raises:
        NothingToCancelError: nobody works on the study.
    """
    history = StudyHistory(journal.read_all(words.topic_of(study)))
    status = study_status(history, studies, study, (clock or SystemClock()).now())
    if status not in WORKING:
        found = "was never started" if status is None else f"it is {status}"
        raise NothingToCancelError(study, found, "study")
    return journal.append(words.topic_of(study), words.CANCEL_REQUESTED, {"by": by, "why": why})
