"""Studies as they write their events, without a model: fast, and with values that are known."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies import words
from qlops_assets.core.studies.status import sign_path
from qlops_assets.core.trainings.signs import Heart

STUDY = "lightgbm-simulated-7-300x8-20251231-b1b26c"
SPACE: Mapping[str, Mapping[str, Any]] = {
    "learning_rate": {"low": 0.01, "high": 0.3, "log": True, "int": False},
    "lambda_l1": {"low": 0.01, "high": 1000, "log": True, "int": False},
    "max_depth": {"low": 3, "high": 12, "log": False, "int": True},
    "loss": {"choices": ["mse", "huber", "mae"]},
}
FOLDS = [
    {
        "train": ["2018-01-02", "2019-07-30"],
        "stop": ["2019-08-02", "2019-12-25"],
        "valid": ["2019-12-30", "2021-12-24"],
    },
    {
        "train": ["2018-01-02", "2021-03-04"],
        "stop": ["2021-03-09", "2021-12-24"],
        "valid": ["2021-12-29", "2023-12-25"],
    },
    {
        "train": ["2018-01-02", "2022-10-11"],
        "stop": ["2022-10-14", "2023-12-25"],
        "valid": ["2023-12-28", "2025-12-24"],
    },
]
ABOUT: Mapping[str, Any] = {
    "space": SPACE,
    "folds": FOLDS,
    "startup_trials": 4,
    "pruning": True,
    "seed": 7,
    "objective": "mean Rank IC of the folds' validations",
    "digest": "b1b26cd0dc32e987e08893dae1c89ea9",
    "jobs": 2,
    "threads": 1,
    "training": {
        "model": "lightgbm",
        "features": "alpha158-a08342b3d20a",
        "feature_names": [f"F{n}" for n in range(158)],
        "label": "Ref($close,-2)/Ref($close,-1)-1",
        "segments": {},
        "universe": "simulated300",
        "benchmark": "SIMINDEX",
        "source": "simulated-7-300x8",
        "last_day": "2025-12-31",
        "snapshot": "203c4cb06fc75ce503c8ea521dc149d0",
        "factors": "9b4183aec18d0d5aa93f4d2dc1710ba6",
    },
}
ROUNDS = 200


def searched(number: int) -> dict[str, Any]:
    """Return parameters that are spread over the space, other ones for every number."""
    share = (number * 0.618034) % 1.0
    other = (number * 0.414214 + 0.3) % 1.0
    return {
        "learning_rate": 0.01 * 30**share,
        "lambda_l1": 0.01 * 1e5**other,
        "max_depth": 3 + number * 7 % 10,
        "loss": ("mse", "huber", "mae")[number * 5 % 3],
    }


@dataclass
class StudyWriter:
    """Writes the events of a study on which this process works."""

    settings: Settings
    journal: Journal
    study: str = STUDY
    about: Mapping[str, Any] = field(default_factory=lambda: ABOUT)
    ended: int = 0
    target: int = 0
    heart: Heart | None = None

    def say(self, kind: str, **facts: Any) -> None:
        """Append an event."""
        self.journal.append(words.topic_of(self.study), kind, facts)

    def begin(self, trials: int = 8) -> "StudyWriter":
        """Start, or start again."""
        self.heart = Heart(sign_path(self.settings.studies, self.study))
        self.heart.begin()
        self.target = trials
        self.say(words.STARTED, **self.about, trials=trials)
        self.say(words.PROGRESS, stage="trials", step=self.ended, total=trials, metrics={})
        return self

    def start(self, number: int) -> None:
        """Start a trial; the first is the recipe, which lies within the space."""
        tried = {"learning_rate": 0.2, "lambda_l1": 205.7, "max_depth": 8, "loss": "mse"}
        tried = searched(number) if number else tried
        given = tried if number else {}
        baseline = {"is_baseline": number == 0}
        self.say(words.TRIAL_STARTED, trial=number, parameters=given, searched=tried, **baseline)

    def iterate(self, number: int, fold: int, step: int) -> None:
        """Tell an iteration of a trial's fold."""
        metrics = {"train.l2": 1 - step / 1000, "valid.l2": 0.99}
        facts = {"stage": "fit", "step": step, "total": ROUNDS, "metrics": metrics}
        self.say(words.TRIAL_PROGRESS, trial=number, fold=fold, **facts)

    def fold(self, number: int, fold: int, rank_ic: float) -> None:
        """Finish a fold of a trial."""
        counts = {"days": 480, "best_iteration": 40, "iterations": 90, "seconds": 2.5}
        facts = {"rank_ic": rank_ic, "ic": rank_ic / 2, **counts}
        self.say(words.FOLD_FINISHED, trial=number, fold=fold, **facts)

    def end(self, number: int, state: str, value: float | None, error: str | None = None) -> None:
        """End a trial."""
        self.ended += 1
        more = {"error": error} if error else {}
        self.say(words.TRIAL_ENDED, trial=number, state=state, value=value, **more)
        pace = {"eta_s": 30.0, "eta_low_s": 20.0, "eta_high_s": 45.0, "elapsed_s": 60.0}
        facts = {"step": self.ended, "total": self.target, "metrics": {}, **pace}
        self.say(words.PROGRESS, stage="trials", **facts)

    def complete(self, number: int, value: float) -> None:
        """Run a trial whose folds are worth the value, 0.01 less and 0.01 more."""
        self.start(number)
        for fold, rank_ic in enumerate((value, value - 0.01, value + 0.01)):
            self.fold(number, fold, rank_ic)
        self.end(number, words.COMPLETE, value)

    def prune(self, number: int, value: float) -> None:
        """Run a trial that ends after its first fold."""
        self.start(number)
        self.fold(number, 0, value)
        self.end(number, words.PRUNED, value)

    def fail(self, number: int, error: str) -> None:
        """Run a trial that fails."""
        self.start(number)
        self.end(number, words.FAILED, None, error)

    def find(self, **importance: float) -> None:
        """Tell what mattered."""
        self.say(words.IMPORTANCE, importance=importance)

    def stop(self, kind: str, **facts: Any) -> None:
        """End the study; nobody works on it then."""
        self.say(kind, **facts)
        self.leave()

    def leave(self) -> None:
        """Take the sign of life away."""
        if self.heart is not None:
            self.heart.end()
            self.heart = None


def value_of(number: int) -> float:
    """Return what a trial is worth by its parameters: best near 0.05 and 20."""
    tried = searched(number)
    rate = math.log(tried["learning_rate"] / 0.05) / 3
    penalty = math.log(tried["lambda_l1"] / 20) / 12
    return float(0.05 - 0.02 * rate**2 - 0.015 * penalty**2 - 0.001 * abs(tried["max_depth"] - 7))


def finished_study(settings: Settings, journal: Journal, study: str = STUDY) -> StudyWriter:
    """Write a study of eight trials: six complete, one pruned, one failed; 4 is the best."""
    writer = StudyWriter(settings, journal, study).begin(8)
    for number, value in enumerate((0.040, 0.035, 0.042, 0.031, 0.048, 0.041)):
        writer.complete(number, value)
    writer.prune(6, 0.012)
    writer.fail(7, "its scores rank nothing")
    writer.find(learning_rate=0.6, lambda_l1=0.3, max_depth=0.08, loss=0.02)
    writer.stop(words.FINISHED, complete=6, pruned=1, failed=1, best_trial=4, best_value=0.048)
    return writer
