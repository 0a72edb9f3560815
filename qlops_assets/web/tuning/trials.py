"""Trials as documents."""

from collections.abc import Mapping
from typing import Any

from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import StudyHistory, Trial


def trial_documents(history: StudyHistory, *, is_working: bool) -> list[dict[str, Any]]:
    """Return a document for every trial, by number.

    Args:
        history: Of the study.
        is_working: Whether somebody works on it; else no trial runs, whatever was last heard of it.
    """
    folds, best = len(history.about.get("folds", ())), history.best
    stopped = {} if is_working else {"state": words.WAITING, "under_way": None}
    return [
        {
            **_document(trial, folds),
            **(stopped if trial.state == words.RUNNING else {}),
            "is_best": trial is best,
        }
        for _, trial in sorted(history.trials.items())
    ]


def worth(trial: Trial | None) -> dict[str, Any] | None:
    """Return a trial's number and value."""
    return {"trial": trial.number, "value": trial.value} if trial else None


def _document(trial: Trial, folds: int) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state,
        "value": trial.value,
        "rank_ics": [_rank_ic(trial.folds.get(fold)) for fold in range(folds)],
        "parameters": dict(trial.parameters),
        "searched": dict(trial.searched),
        "is_baseline": trial.is_baseline,
        "starts": trial.starts,
        "seconds": trial.seconds,
        "started_at": trial.started_at.isoformat(),
        "ended_at": trial.ended_at.isoformat() if trial.ended_at else None,
        "error": trial.error,
        "under_way": _under_way(trial, folds),
    }


def _rank_ic(fold: Mapping[str, Any] | None) -> float | None:
    return None if fold is None else fold.get("rank_ic")


def _under_way(trial: Trial, folds: int) -> dict[str, Any] | None:
    """Return where a trial is that runs: its fold, from 0, and how far it is there."""
    if trial.state != words.RUNNING or not folds:
        return None
    fold = next((n for n in range(folds) if n not in trial.folds), folds - 1)
    last = trial.last if trial.last and trial.last["fold"] == fold else {}
    return {"fold": fold, **{name: last.get(name) for name in ("stage", "step", "total")}}
