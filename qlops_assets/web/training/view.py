"""Trainings as documents: the list, and everything about one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from qlops_assets.core.errors import UnknownModelError
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.history import Attempt, TrainingHistory
from qlops_assets.core.trainings.signs import Sign, read_sign
from qlops_assets.core.trainings.status import (
    WORKING,
    attempt_status,
    past_status,
    sign_path,
)
from qlops_assets.registry.registry import ModelCard
from qlops_assets.registry.shown import shown_state, training_status
from qlops_assets.web.models.folders import REPORT, model_file
from qlops_assets.web.training.timeline import timeline

# What holds only while a training works, and what stays true.
_LIVE: Final = ("eta_s", "eta_low_s", "eta_high_s", "eta_earliest_s", "rows_per_s")
_LASTING: Final = ("stage", "step", "total", "elapsed_s", "memory_mb")


@dataclass(frozen=True, slots=True)
class Trainings:
    """What the documents are made of, as of one moment."""

    settings: Settings
    cards: Mapping[str, ModelCard]
    histories: Mapping[str, TrainingHistory]
    now: datetime

    def listed(self) -> list[dict[str, Any]]:
        """Return a line for every version, the last started first."""
        versions = {*self.cards, *self.histories}
        lines = [self._line(version) for version in versions]
        return sorted(lines, key=lambda line: str(line["started_at"]), reverse=True)

    def document(self, version: str, number: int | None = None) -> dict[str, Any]:
        """Return everything about one attempt at a version, the newest where none is named.

        Raises:
            UnknownModelError: there is neither such a version nor a training of one.
            LookupError: there is no attempt of that number.
        """
        history = self.histories.get(version)
        if history is None and version not in self.cards:
            raise UnknownModelError(version, sorted({*self.cards, *self.histories}))
        attempts = history.attempts if history else []
        attempt = attempts[-1] if attempts else None
        if number is not None:
            attempt = history.attempt(number) if history else None
            if attempt is None:
                raise LookupError(f"model {version}: there was no attempt {number}")
        is_newest = not attempts or attempt is attempts[-1]
        facts = self.cards[version].facts if version in self.cards else {}
        line = {**self._line(version), **self._summary(version, attempt)}
        if not is_newest:
            line |= {"shown": line["status"], "is_working": False}
        return {
            **line,
            **self._attempt(version, attempt),
            "is_newest": is_newest,
            "attempts": [self._summary(version, one) for one in reversed(attempts)],
            "fit": _fit(attempt, facts if is_newest else {}),
            "timeline": timeline(attempt, self._end(version, attempt)) if attempt else [],
            "task": facts.get("task"),
            "dagster_run": facts.get("dagster_run"),
            **_in_mlflow(attempt, facts),
        }

    def _line(self, version: str) -> dict[str, Any]:
        card, history = self.cards.get(version), self.histories.get(version)
        attempt = history.last if history else None
        status = training_status(version, card, history, self.settings.models, self.now)
        state = card.state if card else None
        has_report = model_file(self.settings, version, REPORT) is not None
        return {
            "model_version": version,
            "state": None if state is None else str(state),
            "shown": shown_state(state, status),
            "is_working": status in WORKING,
            "started_at": card.created_at.isoformat() if card else None,
            "report_url": f"/reports/{version}" if has_report else None,
            **self._summary(version, attempt),
        }

    def _summary(self, version: str, attempt: Attempt | None) -> dict[str, Any]:
        if attempt is None:
            names = ("attempt", "status", "stage", "step", "total", "duration_s", "best")
            return dict.fromkeys(names)
        stage = attempt.stages[-1] if attempt.stages else None
        end = self._end(version, attempt)
        return {
            "attempt": attempt.number,
            "status": self._status(version, attempt),
            "started_at": attempt.at.isoformat(),
            "stage": stage.name if stage else None,
            "step": stage.step if stage else None,
            "total": stage.total if stage else None,
            "duration_s": (end - attempt.at).total_seconds(),
            "best": _best(attempt),
        }

    def _attempt(self, version: str, attempt: Attempt | None) -> dict[str, Any]:
        last = attempt.last.data if attempt and attempt.last else {}
        known = {name: last.get(name) for name in _LASTING}
        if attempt is None:
            names = ("failure", "cancelled", "request", "heard_at", "run_step")
            return {"last": {**known, **dict.fromkeys(_LIVE)}, **dict.fromkeys(names)}
        is_working = self._status(version, attempt) in WORKING
        request, cancelled = attempt.cancel_request, attempt.cancelled
        return {
            "last": {**known, **{k: last.get(k) if is_working else None for k in _LIVE}},
            "failure": attempt.failure,
            "cancelled": {**cancelled.data, "at": cancelled.at.isoformat()} if cancelled else None,
            "request": {**request.data, "at": request.at.isoformat()} if request else None,
            "heard_at": self._heard(version, attempt).isoformat(),
            "run_step": attempt.run.name if attempt.run else None,
        }

    def _status(self, version: str, attempt: Attempt | None) -> str | None:
        if attempt is None:
            return None
        if attempt is not self.histories[version].last:
            return past_status(attempt)
        return attempt_status(attempt, self._sign(version, attempt), self.now)

    def _sign(self, version: str, attempt: Attempt) -> Sign | None:
        """Return the sign of life of who works on an attempt; one that ended gives none."""
        if not attempt.is_open or attempt is not self.histories[version].last:
            return None
        return read_sign(sign_path(self.settings.models, version))

    def _heard(self, version: str, attempt: Attempt) -> datetime:
        sign = self._sign(version, attempt)
        return max(attempt.heard_at, sign.at) if sign else attempt.heard_at

    def _end(self, version: str, attempt: Attempt | None) -> datetime:
        """Return the present while it works, else when it was last heard of."""
        if attempt is None or self._status(version, attempt) in WORKING:
            return self.now
        return self._heard(version, attempt)


def _in_mlflow(attempt: Attempt | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the training is recorded, or why it could not be."""
    error = attempt.recording_error if attempt else None
    run = facts.get("mlflow_run")
    return {
        "mlflow_run": run,
        "mlflow_experiment": facts.get("mlflow_experiment"),
        "recording_error": None if run else error,
    }


def _best(attempt: Attempt) -> dict[str, Any] | None:
    found = attempt.curve[1].best() if attempt.curve else None
    if found is None:
        return None
    step, name, value = found
    return {"step": step, "metric": name.removeprefix("valid."), "value": value}


def _fit(attempt: Attempt | None, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the curves of an attempt; ``used_step`` is the one whose model predictions use."""
    if attempt is None or attempt.curve is None:
        return None
    stage, curve = attempt.curve
    best, used = _best(attempt), facts.get("best_iteration")
    iterations = [step for step, _ in curve.evaluated()]
    used_step = None
    if isinstance(used, int) and 0 < used <= len(iterations):
        used_step = iterations[used - 1]
    return {
        "stage": stage,
        "steps": list(curve.steps),
        "values": {name: list(values) for name, values in curve.values.items()},
        "best_step": best["step"] if best else None,
        "used_step": used_step,
    }
