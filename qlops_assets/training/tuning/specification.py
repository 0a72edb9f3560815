"""What a study is: frozen, and with a digest that names it; and what it was asked for with."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.atomic import read_json, write_json
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.tuning import TuningSettings
from qlops_assets.core.settings import Settings
from qlops_assets.core.settings_file import section
from qlops_assets.lake.calendar import trading_days
from qlops_assets.models.catalog import TRAINERS
from qlops_assets.training.recipes import RECIPE, recipe_of, with_sections
from qlops_assets.training.spec import TrainingSpec, training_spec
from qlops_assets.training.tuning.folds import Fold, walk_forward
from qlops_assets.training.tuning.spaces import Space, space_of

_TUNING: Final = "tuning"
OBJECTIVE: Final = "mean Rank IC of the folds' validations"


@dataclass(frozen=True, slots=True)
class StudySpec:
    """Everything that decides what a study finds, apart from when its trials end.

    Attributes:
        training: The training whose parameters are searched for.
        space: Where.
        folds: By which a trial is judged.
        startup: Trials that are drawn at random.
        pruning: Whether trials are pruned.
        seed: Of the search; each trial's model has the training's own.
    """

    training: TrainingSpec
    space: Space
    folds: tuple[Fold, ...]
    startup: int
    pruning: bool
    seed: int

    @property
    def digest(self) -> str:
        """The digest of every field."""
        return value_digest({**self._told(), "training": self.training.digest})

    @property
    def name(self) -> str:
        """The study's name, as a model version's: model, source, last day, digest."""
        return f"{self.training.version.rpartition('-')[0]}-{self.digest[:6]}"

    def to_json(self) -> dict[str, Any]:
        """Return the spec as a document."""
        training = self.training.to_json()
        return {**self._told(), "objective": OBJECTIVE, "digest": self.digest, "training": training}

    def _told(self) -> dict[str, Any]:
        return {
            "space": {name: one.to_json() for name, one in self.space.items()},
            "folds": [fold.to_json() for fold in self.folds],
            "startup_trials": self.startup,
            "pruning": self.pruning,
            "seed": self.seed,
        }


def study_spec(settings: Settings) -> StudySpec:
    """Return the spec of the study that the settings ask for, on the lake as it is now.

    Raises:
        TrainingError: a training of these settings could not be done, or a setting of ``[tuning]``
            cannot be used.
    """
    training, tuning = settings.training, settings.tuning
    _require_counts(tuning)
    trainer = TRAINERS.load(training.model)
    spec = training_spec(replace(settings, training=replace(training, study=None)))
    space = space_of(trainer.title, trainer.table, tuning.space)
    if not space:
        raise TrainingError(
            f"[tuning] space: {trainer.title} has none of its own; say which parameters to search"
        )
    folds = walk_forward(
        trading_days(settings),
        spec.segments,
        folds=tuning.folds,
        embargo_days=training.embargo_days,
        stop_share=tuning.stop_share,
    )
    return StudySpec(spec, space, folds, tuning.startup_trials, tuning.pruning, training.seed)


def _require_counts(tuning: TuningSettings) -> None:
    for name, least in (("trials", 1), ("jobs", 0), ("startup_trials", 1)):
        if (found := getattr(tuning, name)) < least:
            raise TrainingError(f"[tuning] {name}: was {found}, must be at least {least}")


def study_folder(settings: Settings, study: str) -> Path:
    """Return where everything of a study is."""
    return settings.studies / study


def keep_study(settings: Settings, study: str) -> None:
    """Keep what a study was asked for with, once and for all."""
    file = study_folder(settings, study) / RECIPE
    if not file.is_file():
        asked = asdict(settings.tuning)
        for name in ("trials", "jobs"):  # which a study may be asked for again with others of
            del asked[name]
        write_json(file, {**recipe_of(settings), _TUNING: asked})


def with_study(settings: Settings, study: str) -> Settings:
    """Return the settings that a study was asked for with.

    Raises:
        TrainingError: there is no such study.
        SettingsError: its record is damaged, or of a release with other settings.
    """
    file = study_folder(settings, study) / RECIPE
    document = read_json(file)
    if document is None:
        raise TrainingError(f"study {study!r}: there is none of that name; see `qlops tune list`")
    tuning = section(document.pop(_TUNING), TuningSettings, f"{file}: [{_TUNING}]")
    asked = settings.tuning
    kept = replace(tuning, trials=asked.trials, jobs=asked.jobs)
    return replace(with_sections(settings, document, str(file)), tuning=kept)


def require_study(settings: Settings, study: str) -> StudySpec:
    """Return the spec of the lake as it is now, if the study is named after it.

    Raises:
        TrainingError: data or settings changed since the study was named.
    """
    spec = study_spec(settings)
    if spec.name != study:
        raise TrainingError(
            f"study {study!r} is of other data or settings; what is here now is {spec.name!r}: "
            "its trials cannot be compared with new ones; start that one"
        )
    return spec
