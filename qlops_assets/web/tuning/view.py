"""Studies as documents: the list, and everything about one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from qlops_assets.core.errors import UnknownEntryError
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import StudyHistory, Trial
from qlops_assets.core.studies.status import sign_path, study_status
from qlops_assets.core.trainings.signs import read_sign
from qlops_assets.core.trainings.status import WORKING
from qlops_assets.registry.registry import ModelCard
from qlops_assets.web.models.folders import REPORT, model_file
from qlops_assets.web.tuning.trials import trial_documents, worth

_PACE: Final = ("stage", "step", "total", "eta_s", "eta_low_s", "eta_high_s")
_ASKED: Final = ("objective", "startup_trials", "pruning", "seed", "jobs", "threads", "digest")
_DATA: Final = (
    *("features", "label", "segments", "universe", "benchmark", "source", "last_day"),
    *("snapshot", "factors"),
)


@dataclass(frozen=True, slots=True)
class Studies:
    """What the documents are made of, as of one moment."""

    settings: Settings
    cards: Sequence[ModelCard]
    histories: Mapping[str, StudyHistory]
    now: datetime

    def listed(self) -> list[dict[str, Any]]:
        """Return a line for every study, the last started first."""
        lines = [self._line(name) for name in self._begun()]
        return sorted(lines, key=lambda line: str(line["started_at"]), reverse=True)

    def document(self, study: str) -> dict[str, Any]:
        """Return everything about a study.

        Raises:
            UnknownEntryError: none of that name has ever begun.
        """
        if study not in self._begun():
            raise UnknownEntryError("study", study, self._begun())
        history = self.histories[study]
        line, about = self._line(study), history.about
        training = about.get("training", {})
        return {
            **line,
            **self._trouble(study, line["status"]),
            "starts": history.starts,
            "first_started_at": _iso(history.started_at),
            "heard_at": self._heard(study).isoformat(),
            "pace": _pace(history, is_working=line["is_working"]),
            "importance": dict(history.importance),
            **{name: about.get(name) for name in _ASKED},
            "folds": about.get("folds", []),
            "space": about.get("space", {}),
            "data": {name: training.get(name) for name in _DATA},
            "feature_count": len(training.get("feature_names", ())),
            "recipe": _recipe(about),
            "trials": trial_documents(history, is_working=line["is_working"]),
            "models": [
                self._model(card) for card in self.cards if card.facts.get("study") == study
            ],
        }

    def _begun(self) -> list[str]:
        return sorted(name for name, history in self.histories.items() if history.starts)

    def _line(self, study: str) -> dict[str, Any]:
        history = self.histories[study]
        status = study_status(history, self.settings.studies, study, self.now)
        baseline = next((t for t in history.trials.values() if t.is_baseline), None)
        best = history.best
        states = (words.COMPLETE, words.PRUNED, words.FAILED)
        end = self.now if status in WORKING else self._heard(study)
        return {
            "study": study,
            "model": history.about.get("training", {}).get("model"),
            "status": status,
            "is_working": status in WORKING,
            "target": history.target,
            "ended": len(history.ended),
            **{state: history.count(state) for state in states},
            "best": worth(best),
            "baseline": worth(baseline),
            "gain": _gain(best, baseline),
            "started_at": _iso(history.begun_at),
            "duration_s": history.worked_s(end),
        }

    def _trouble(self, study: str, status: str | None) -> dict[str, Any]:
        """Return why a study stops or has ended before it was done."""
        history = self.histories[study]
        request, is_asked = history.request, status in WORKING and history.request
        at = {"at": _iso(history.ended_at)}
        return {
            "request": {**request.data, "at": _iso(request.at)} if request and is_asked else None,
            "cancelled": {**history.end, **at} if status == words.CANCELLED else None,
            "error": history.end.get("error") if status == words.FAILED else None,
        }

    def _heard(self, study: str) -> datetime:
        history = self.histories[study]
        heard = history.heard_at or self.now
        sign = read_sign(sign_path(self.settings.studies, study)) if history.is_open else None
        return max(heard, sign.at) if sign else heard

    def _model(self, card: ModelCard) -> dict[str, Any]:
        has_report = model_file(self.settings, card.version, REPORT) is not None
        metrics = card.facts.get("metrics") or {}
        return {
            "model_version": card.version,
            "state": str(card.state),
            "rank_ic": metrics.get("rank_ic"),
            "report_url": f"/reports/{card.version}" if has_report else None,
        }


def _gain(best: Trial | None, baseline: Trial | None) -> float | None:
    """Return by how much the best trial is better than the recipe; None where one has not ended."""
    if best is None or baseline is None or baseline.state != words.COMPLETE:
        return None
    if best.value is None or baseline.value is None:
        return None
    return best.value - baseline.value


def _recipe(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the recipe has for the parameters that are searched for, where it says so."""
    kwargs = about.get("training", {}).get("task", {}).get("kwargs", {})
    return {name: kwargs[name] for name in about.get("space", {}) if name in kwargs}


def _pace(history: StudyHistory, *, is_working: bool) -> dict[str, Any]:
    """Return what a study that works says of how far it is and how long it will take."""
    last = history.last.data if history.last and is_working else {}
    return {name: last.get(name) for name in _PACE}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
