"""What a training is: frozen, and with a digest that names the model version."""

import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from qlops_assets.core.digests import combined_digest, value_digest
from qlops_assets.core.errors import DatasetMissingError
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_digest
from qlops_assets.factors.store import alpha158_dataset
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.calendar import trading_days
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.universe import load_universe
from qlops_assets.models.catalog import TRAINERS
from qlops_assets.training.backtest import require_tradable
from qlops_assets.training.segments import Segments, split_calendar


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """Everything that decides the outcome of a training, apart from library versions.

    Attributes:
        model: Name in the model catalog.
        task: Qlib's configuration of the model, defaults included.
        features: Digest of the feature definitions.
        label: Qlib expression.
        segments: First and last day of train, valid and test.
        universe: Name of the universe, and the digest of its spans.
        benchmark: Name of the benchmark, and the digest of its returns.
        snapshot: Digest of the bars that the training sees.
        factors: Digest of the factor rows.
        source: Name of the source.
        simulated: Whether the source is the built-in market.
        backtest: Region, holdings, exchanged holdings, account.
        min_rank_ic: Test Rank IC above which the version is valid.
    """

    model: str
    task: dict[str, Any]
    features: str
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

    @property
    def digest(self) -> str:
        """The digest of every field."""
        return value_digest(asdict(self))

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


def snapshot_digest(settings: Settings) -> str:
    """Return the digest of all bars of the lake: the data version of a training.

    Raises:
        DatasetMissingError: there are no bars.
    """
    infos = bars_dataset(settings).infos()
    if not infos:
        raise DatasetMissingError("bars", [], "materialize raw_bars and bars first")
    return combined_digest(infos[month].digest for month in sorted(infos))


def training_spec(settings: Settings) -> TrainingSpec:
    """Return the spec of the main job for the lake as it is now.

    Raises:
        DatasetMissingError: bars or factors are missing.
        TrainingError: the settings contradict each other, or the history is too short.
    """
    training = settings.training
    require_tradable(training)
    calendar = trading_days(settings)
    universe, benchmark = load_universe(settings), load_benchmark(settings)
    trainer = TRAINERS.load(training.model)(
        training.parameters,
        seed=training.seed,
        threads=training_threads(settings),
        rounds=training.rounds,
        early_stopping_rounds=training.early_stopping_rounds,
    )
    factors = alpha158_dataset(settings).infos()
    if not factors:
        raise DatasetMissingError("alpha158_factors", [], "materialize alpha158_factors first")
    return TrainingSpec(
        model=training.model,
        task=trainer.configuration(),
        features=f"alpha158-{alpha158_digest()[:12]}",
        label=training.label,
        segments=split_calendar(calendar, training),
        universe=universe.name,
        universe_digest=value_digest(universe.spans.rows()),
        benchmark=benchmark.name,
        benchmark_digest=benchmark.digest,
        snapshot=snapshot_digest(settings),
        factors=combined_digest(factors[month].digest for month in sorted(factors)),
        source=settings.source_name,
        simulated=settings.source.is_simulated,
        last_day=calendar[-1],
        backtest={
            "region": training.region,
            "topk": training.topk,
            "n_drop": training.n_drop,
            "account": training.account,
        },
        min_rank_ic=training.min_rank_ic,
    )


def training_threads(settings: Settings) -> int:
    """Return the number of threads of a training: as set, else one per available core."""
    import os

    return settings.training.threads or len(os.sched_getaffinity(0))
