"""The one place that reads the environment and ``qlops.toml``; read once, at the root.

Every path derives from one :class:`Settings` value. Nobody else reads ``os.environ``.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from qlops_assets.core.atomic import read_json
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import SettingsError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.sections.overfitting import OverfittingSettings
from qlops_assets.core.sections.recorder import RecorderSettings
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.sections.tuning import TuningSettings
from qlops_assets.core.settings_file import Location, Url, location, read_sections

DEFAULT_HOME = ".qlops"
SIMULATED = "simulated"
# Polars takes what was freed within a second again, in large pages: new ones are a third of a
# block's time otherwise. What it does not take, a thread of the allocator gives back.
MEMORY = {
    "POLARS_THP": "1",
    "_RJEM_MALLOC_CONF": "background_thread:true,dirty_decay_ms:1000",
}


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """``[source]``: where the bars are and how to read them.

    Attributes:
        path: Folder or ``s3://bucket/prefix`` of the bars; None means the built-in market.
        layout: ``auto``, ``folder`` (files anywhere below), ``hive`` (``key=value`` folders) or
            ``qlib-bin`` (a provider of Qlib's).
        columns: Our column name -> the file's column name, for those that differ.
        quiet_seconds: A file modified more recently than this may still be written: it waits.
        marker: Name of the file that is written when a sync has finished, such as ``_SUCCESS``:
            files that are newer than it wait.
        endpoint_url: Of an object store other than Amazon's.
        timezone: Where dates are timestamps with a zone: the zone whose day they mean.
        adjusted: Whether prices are already adjusted (then no factor is applied).
        first_month: First month of the partitions, ``YYYY-MM``; found in the data where None.
        benchmark: Instrument of ``benchmark.parquet`` used as the benchmark; the first where None.
    """

    path: Path | Url | None = None
    layout: str = "auto"
    columns: dict[str, str] = field(default_factory=dict)
    quiet_seconds: float = 2.0
    marker: str | None = None
    endpoint_url: str | None = None
    timezone: str | None = None
    adjusted: bool = False
    first_month: str | None = None
    benchmark: str | None = None

    @property
    def is_simulated(self) -> bool:
        """Whether this is the built-in market."""
        return self.path is None

    @property
    def name(self) -> str:
        """A short name, unique per source: the lake's folder and part of model versions."""
        if self.path is None:
            return SIMULATED
        slug = re.sub(r"[^a-z0-9]+", "-", self.path.name.lower()).strip("-")[:24] or "bars"
        return f"{slug}-{value_digest(str(self.path))[:6]}"


@dataclass(frozen=True, slots=True)
class SimulatedSettings:
    """``[simulated]``: the built-in market. ``seed``, number of ``instruments``, ``years``."""

    seed: int = 7
    instruments: int = 300
    years: int = 8


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """``[retention]``: how long old versions of the source's files are kept.

    Whatever a registered model was trained on stays, however old.

    Attributes:
        snapshot_days: A state of the source goes so many days after the next one was seen; none
            ever goes where None.
        snapshots: At least so many of the newest states stay.
    """

    snapshot_days: int | None = None
    snapshots: int = 10


@dataclass(frozen=True, slots=True)
class UniverseSettings:
    """``[universe]``: which instruments a training uses, as of each day.

    Attributes:
        name: Stem of a universe file of the source (``csi300`` for ``csi300.txt``), or ``all``;
            None means the only universe file, else ``all``.
    """

    name: str | None = None


def usual_workers() -> int:
    """Return how many threads or processes work on factors unless told: one a core, at most 4."""
    return min(4, len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class FeaturesSettings:
    """``[features]``: how factors are computed, and how long versions of their table are kept.

    Attributes:
        engine: ``native``, or ``qlib``, Qlib's own loader.
        jobs: Threads (``native``) or processes (``qlib``) it may use; 0 is one per core, at most 4.
        keep_days: A version of the feature table that no tag names may go so many days after
            another replaced it.
    """

    engine: str = "native"
    jobs: int = 0
    keep_days: float = 30.0

    @property
    def workers(self) -> int:
        """How many threads or processes it may use here: ``jobs``, or what 0 stands for."""
        return self.jobs or usual_workers()


@dataclass(frozen=True, slots=True)
class IndicatorsSettings:
    """``[indicators]``: which technical indicators are built, and the user's own.

    Attributes:
        names: Columns, such as ``rsi_14``; the usual ones where None.
        own: Name -> Qlib expression over bars and indicators, or ``package.module:function``.
    """

    names: tuple[str, ...] | None = None
    own: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FactorReportSettings:
    """``[factor_report]``: how factors are analysed, and what one has to be to be selected.

    Attributes:
        horizon_days: Days between buying, on the close after the signal's day, and selling.
        decay_days: The decay is measured over horizons of 1 to so many days.
        quantiles: Into how many a day's instruments are sorted.
        cluster_correlation: Factors whose |rank correlation| reaches it are one cluster.
        false_discovery: ``fdr_bh`` (Benjamini–Hochberg) or ``fdr_by`` (Benjamini–Yekutieli).
        most_q_value: A selected factor's Rank IC is a discovery at this false discovery rate.
        least_rank_ic: Its mean |Rank IC| is at least this.
        least_sign_stability: In this share of years its Rank IC has the sign of the whole.
        least_coverage: This share of its rows has a value.
        most_correlation: Its |rank correlation| with each stronger selected one is below this.
        one_per_cluster: Whether at most one of a cluster is selected.
        most_factors: At most so many are selected; any number where None.
    """

    horizon_days: int = 1
    decay_days: int = 20
    quantiles: int = 5
    cluster_correlation: float = 0.7
    false_discovery: str = "fdr_bh"
    most_q_value: float = 0.05
    least_rank_ic: float = 0.0
    least_sign_stability: float = 0.6
    least_coverage: float = 0.5
    most_correlation: float = 0.7
    one_per_cluster: bool = False
    most_factors: int | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """``[environments.NAME]``: a place where a model serves.

    Attributes:
        port: Of its model server, on 127.0.0.1.
        needs_approval: Whether a person must approve each deployment.
        approvers: Who may approve; empty means anybody.
        self_approval: Whether the one who asked may approve.
        after: The environment in which a version must be live first.
    """

    port: int
    needs_approval: bool = False
    approvers: tuple[str, ...] = ()
    self_approval: bool = True
    after: str | None = None


def _default_environments() -> dict[str, EnvironmentSettings]:
    return {
        "staging": EnvironmentSettings(port=8101),
        "production": EnvironmentSettings(port=8100, needs_approval=True, after="staging"),
    }


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """``[console]``: ``port`` of the web console, ``dagster_port`` of Dagster's UI."""

    port: int = 8080
    dagster_port: int = 3000


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is configured, and every path that follows from it.

    ``[factors]`` holds the user's own factors: a Qlib expression by name.
    """

    home: Path = Path(DEFAULT_HOME)
    source: SourceSettings = field(default_factory=SourceSettings)
    simulated: SimulatedSettings = field(default_factory=SimulatedSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    universe: UniverseSettings = field(default_factory=UniverseSettings)
    features: FeaturesSettings = field(default_factory=FeaturesSettings)
    factors: dict[str, str] = field(default_factory=dict)
    indicators: IndicatorsSettings = field(default_factory=IndicatorsSettings)
    factor_report: FactorReportSettings = field(default_factory=FactorReportSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    backtest: BacktestSettings = field(default_factory=BacktestSettings)
    overfitting: OverfittingSettings = field(default_factory=OverfittingSettings)
    recorder: RecorderSettings = field(default_factory=RecorderSettings)
    rolling: RollingSettings = field(default_factory=RollingSettings)
    environments: dict[str, EnvironmentSettings] = field(default_factory=_default_environments)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    database_url: str | None = None
    lake_folder: Path | None = None
    config_file: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", Path(self.home).expanduser().absolute())

    @classmethod
    def read(cls, home: Path | str | None = None, config: Path | None = None) -> "Settings":
        """Read the environment, ``qlops.toml`` and the source last chosen in this home.

        Args:
            home: Else ``QLOPS_HOME``, else ``.qlops`` in the working directory.
            config: Else ``QLOPS_CONFIG``, else ``qlops.toml`` in the working directory, else in
                the home; where there is none, defaults hold.

        Raises:
            SettingsError: a key is unknown or a value is of the wrong type.
        """
        settings = cls.read_configured(home, config)
        remembered = read_json(settings.source_file)
        if settings.source.path is None and remembered and remembered.get("path"):
            return settings.with_source(location(remembered["path"]))
        return settings

    @classmethod
    def read_configured(
        cls, home: Path | str | None = None, config: Path | None = None
    ) -> "Settings":
        """Like :meth:`read`, but without the source that an earlier demo was given."""
        chosen = Path(home or os.environ.get("QLOPS_HOME") or DEFAULT_HOME).expanduser().absolute()
        file = _config_file(config or _path_of("QLOPS_CONFIG"), chosen)
        return cls(
            home=chosen,
            database_url=os.environ.get("QLOPS_DATABASE_URL") or None,
            lake_folder=_path_of("QLOPS_LAKE_URL"),
            config_file=file,
            **(read_sections(file, cls) if file else {}),
        )

    def with_source(self, path: Location | None) -> "Settings":
        """Return these settings with another source (None: the simulated market)."""
        absolute = path.expanduser().absolute() if isinstance(path, Path) else path
        return replace(self, source=replace(self.source, path=absolute))

    @property
    def source_file(self) -> Path:
        """Where ``qlops demo`` remembers the source it was last given."""
        return self.home / "source.json"

    @property
    def factors_file(self) -> Path:
        """Where ``qlops factor add`` keeps the user's own factors."""
        return self.home / "factors.json"

    @property
    def simulated_folder(self) -> Path:
        """Where the built-in market is written."""
        s = self.simulated
        return self.home / "sources" / f"simulated-{s.seed}-{s.instruments}x{s.years}"

    @property
    def source_folder(self) -> Location:
        """The folder, or the bucket's, that the bars are read from."""
        return self.simulated_folder if self.source.path is None else self.source.path

    @property
    def source_name(self) -> str:
        """The source's short name."""
        return self.source.name if self.source.path else self.source_folder.name

    @property
    def lake(self) -> Path:
        """The lake of this source: versions, bars, factors, Qlib stores."""
        return (self.lake_folder or self.home / "lake") / self.source_name

    @property
    def journal_url(self) -> str:
        """SQLAlchemy URL of the journal."""
        return self.database_url or f"sqlite:///{self.home / 'journal.db'}"

    @property
    def selections(self) -> Path:
        """Folder of saved selections of factors."""
        return self.home / "selections"

    @property
    def models(self) -> Path:
        """Folder of model versions, one folder each."""
        return self.home / "models"

    @property
    def studies(self) -> Path:
        """Folder of tuning studies, one folder each."""
        return self.home / "studies"

    @property
    def mlflow(self) -> Path:
        """Folder of Qlib's recorder: MLflow's database and artifacts."""
        return self.home / "mlflow"

    @property
    def mlflow_url(self) -> str:
        """Tracking URI of Qlib's recorder."""
        return f"sqlite:///{self.mlflow / 'mlflow.db'}"

    @property
    def dagster(self) -> Path:
        """Home of the Dagster instance."""
        return self.home / "dagster"

    @property
    def servers(self) -> Path:
        """Folder of the running processes' files: pid, port, token, log."""
        return self.home / "servers"


def _path_of(variable: str) -> Path | None:
    value = os.environ.get(variable)
    if value and "://" in value and not value.startswith("file://"):
        raise SettingsError(f"{variable}: was {value!r}, must be a folder or file://FOLDER")
    return Path(value.removeprefix("file://")).expanduser().absolute() if value else None


def _config_file(given: Path | None, home: Path) -> Path | None:
    if given is not None:
        return given
    for candidate in (Path("qlops.toml").absolute(), home / "qlops.toml"):
        if candidate.is_file():
            return candidate
    return None


def child_environment(**changes: str) -> dict[str, str]:
    """Return a copy of this process's environment with changes, for a child process."""
    return {**os.environ, **changes}


def set_environment(**values: str) -> None:
    """Set environment variables that libraries read at import (Dagster, MLflow, OpenMP)."""
    os.environ.update(values)


def keep_freed_memory() -> None:
    """Set :data:`MEMORY` where the user did not; before Polars is imported."""
    for name, value in MEMORY.items():
        os.environ.setdefault(name, value)
