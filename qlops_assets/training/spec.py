"""What a training is: frozen, and with a digest that names the model version."""

import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.digests import value_digest
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.calendar import trading_days
from qlops_assets.lake.datasets import snapshot_digest
from qlops_assets.lake.universe import load_universe
from qlops_assets.models.catalog import TRAINERS
from qlops_assets.training.backtest import backtest_identity, require_tradable
from qlops_assets.training.features import resolve_features
from qlops_assets.training.processors import Processors, processors_of
from qlops_assets.training.segments import Segments, split_calendar

if TYPE_CHECKING:
    from qlops_assets.models.trainer import Trainer

_TOLD: Final = ("feature_names", "feature_origin")


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """Everything that decides the outcome of a training, apart from library versions.

    Attributes:
        model: Name in the model catalog.
        task: Qlib's configuration of the model, defaults included.
        fitting: What beside the task decides the outcome of a fit: threads, days of a window.
        processors: Qlib's, of features and label, fitted on train only.
        features: Digest of the feature definitions: names, order, expressions.
        feature_names: The features in the order of the model's columns.
        feature_origin: Entries of ``[training] features``, expressions of the user's own features,
            selections with their digests and the days that they have seen.
        label: Qlib expression.
        segments: First and last day of train, valid and test.
        universe: Name of the universe, and the digest of its spans.
        benchmark: Name of the benchmark, and the digest of its returns.
        snapshot: Digest of the bars that the training sees.
        factors: Digest of the factor rows.
        source: Name of the source.
        simulated: Whether the source is the built-in market.
        backtest: Everything that decides the backtest: region, holdings, account, costs, limits,
            the strategy with its settings.
        last_day: Last trading day of the source.
        min_rank_ic: Test Rank IC above which the version is valid.
        overfitting: ``[overfitting]`` where it can reject the version; empty otherwise.
        study: The tuning study that chose the parameters, None where none did.
    """

    model: str
    task: dict[str, Any]
    fitting: dict[str, Any]
    processors: Processors
    features: str
    feature_names: tuple[str, ...]
    feature_origin: dict[str, Any]
    label: str
    segments: Segments
    universe: str
    universe_digest: str
    benchmark: str
    benchmark_digest: str
    snapshot: str
    factors: str
    source: str
    simulated: bool
    last_day: date
    backtest: dict[str, Any]
    min_rank_ic: float
    overfitting: dict[str, Any]
    study: str | None = None

    @property
    def digest(self) -> str:
        """The digest of every field that decides the outcome.

        ``features`` stands for the names; where they come from decides nothing.
        """
        fields = {k: v for k, v in asdict(self).items() if k not in _TOLD}
        if fields["study"] is None:  # as versions were named before there were studies
            del fields["study"]
        return value_digest(fields)

    @property
    def version(self) -> str:
        """The model version's name: model, source, last day of its data, digest.

        Only ``[a-z0-9.-]``, so that it can be a Dagster partition key, a folder and part of a URL.
        """
        source = re.sub(r"[^a-z0-9]+", "-", self.source.lower()).strip("-")
        return f"{self.model}-{source}-{self.last_day:%Y%m%d}-{self.digest[:6]}"

    def to_json(self) -> dict[str, Any]:
        """Return the spec as a document."""
        fields = asdict(self)
        fields["segments"] = self.segments.to_json()
        return {**fields, "last_day": self.last_day.isoformat(), "digest": self.digest}


def training_spec(settings: Settings) -> TrainingSpec:
    """Return the spec of the main job for the lake as it is now.

    Raises:
        DatasetMissingError: bars or factors are missing.
        TrainingError: the settings contradict each other, a feature is unknown, or the history is
            too short.
        SelectionError: a selection among the features is missing or damaged.
    """
    training = settings.training
    require_tradable(settings)
    calendar = trading_days(settings)
    universe, benchmark = load_universe(settings), load_benchmark(settings)
    trainer = trainer_of(settings)
    segments = split_calendar(calendar, training)
    features = resolve_features(settings, segments)
    return TrainingSpec(
        model=training.model,
        task=trainer.configuration(),
        fitting=trainer.fitting(),
        processors=processors_of(training.processors, trainer.processors),
        features=features.definitions,
        feature_names=features.names,
        feature_origin=features.origin,
        label=training.label,
        segments=segments,
        universe=universe.name,
        universe_digest=value_digest(universe.spans.rows()),
        benchmark=benchmark.name,
        benchmark_digest=benchmark.digest,
        snapshot=snapshot_digest(settings),
        factors=features.rows,
        source=settings.source_name,
        simulated=settings.source.is_simulated,
        last_day=calendar[-1],
        backtest=backtest_identity(settings),
        min_rank_ic=training.min_rank_ic,
        overfitting=asdict(settings.overfitting) if settings.overfitting.blocks else {},
        study=training.study,
    )


def trainer_of(settings: Settings) -> "Trainer":
    """Return the trainer that ``[training]`` asks for.

    Raises:
        UnknownEntryError: there is no such model.
        TrainingError: one of its parameters is unknown or out of range.
    """
    training = settings.training
    return TRAINERS.load(training.model)(
        training.parameters,
        seed=training.seed,
        threads=training_threads(settings),
        rounds=training.rounds,
        early_stopping_rounds=training.early_stopping_rounds,
    )


def training_threads(settings: Settings) -> int:
    """Return the number of threads of a training: as set, else one per available core."""
    return settings.training.threads or available_cores()


def available_cores() -> int:
    """Return how many cores this process may use."""
    import os

    return len(os.sched_getaffinity(0))
