"""The main job, stage by stage; every stage does only what is not done yet."""

import getpass
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.cli.instance import Runs
from qlops_assets.core.atomic import write_json
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    from qlops_assets.factors.sets import FactorSet
    from qlops_assets.lake.manifest import Manifest

Say = Callable[[str], None]

WHY = "main job of the demo"
ENVIRONMENTS: Final = ("staging", "production")


@dataclass
class MainJob:
    """Runs the stages in order; ``skipped`` names those that had nothing to do."""

    settings: Settings
    journal: Journal
    say: Say
    operator: str
    idle_minutes: float | None
    skipped: list[str] = field(default_factory=list)

    def run(self) -> str:
        """Run every stage and return the model version that serves in production."""
        self.require_places()
        self.require_own_features()
        self.make_source()
        self.scan()
        self.remember_source()
        self._runs = Runs(self.settings)
        self.build_bars()
        self.require_history()
        self.build_factors()
        self.build_indicators()
        self.build_features()
        version = self.train()
        for environment in ENVIRONMENTS:
            self.approve(version, environment)
            self.deploy(version, environment)
        return version

    def require_places(self) -> None:
        """Refuse to begin work whose last step would find no environment, or its port taken.

        Raises:
            DeploymentError: an environment of the main job is not configured.
            PortInUseError: another process listens on its port.
        """
        from qlops_assets.deployment.approvals import require_environment
        from qlops_assets.deployment.servers import running
        from qlops_assets.serving.run import bind

        served = {record.environment for record in running(self.settings)}
        with ExitStack() as held:  # all at once: two environments cannot share a port either
            for name in ENVIRONMENTS:
                place = require_environment(self.settings, name)
                if name not in served:
                    held.enter_context(bind(place.port, f"the model server of {name}"))

    def require_own_features(self) -> None:
        """Refuse to begin where a feature of the user's own could not be computed in the end.

        Raises:
            CustomFactorError: a factor cannot be used.
            IndicatorError: an indicator cannot be used.
        """
        from qlops_assets.indicators.sets import code_version

        code_version(self.settings)

    def require_history(self) -> None:
        """Refuse to compute factors of a history that is too short for a training.

        Raises:
            TrainingError: the calendar cannot be cut into segments.
        """
        from qlops_assets.lake.calendar import trading_days
        from qlops_assets.training.segments import split_calendar

        split_calendar(trading_days(self.settings), self.settings.training)

    def make_source(self) -> None:
        """Make the simulated market where it is the source."""
        if self.settings.source.is_simulated:
            from qlops_assets.lake.sources.simulated.market import write_simulated_market

            market = self.settings.simulated
            if self.settings.simulated_folder.is_dir():
                self._skip("simulated market", "already made")
            else:
                self.say("making the simulated market")
                write_simulated_market(
                    self.settings.simulated_folder,
                    seed=market.seed,
                    instruments=market.instruments,
                    years=market.years,
                )

    def remember_source(self) -> None:
        """Make the source, which could be read, the one that the other commands mean."""
        path = self.settings.source.path
        write_json(self.settings.source_file, {"path": str(path) if path else None})

    def scan(self) -> "Manifest":
        """Look at the source's files, once they are quiet; say which cannot be used."""
        from qlops_assets.core.progress import JournalProgress
        from qlops_assets.lake.scan import scan_when_quiet

        progress = JournalProgress(self.journal, "pipeline")
        manifest = scan_when_quiet(self.settings, progress=progress)
        for file in manifest.quarantined:
            self.say(f"quarantined {file.path}: {file.reason}")
        for waiting in manifest.waiting:
            self.say(f"waiting for {waiting.path}: {waiting.reason}")
        return manifest

    def build_bars(self) -> None:
        """Materialize ``raw_bars`` and ``bars`` for the months whose files changed."""
        from qlops_assets.defs.lake.sensors import BARS_JOB
        from qlops_assets.lake.bars import stale_months
        from qlops_assets.lake.datasets import bars_dataset

        stale = set(stale_months(self.settings))
        present = bars_dataset(self.settings).months()
        missing = self._not_materialized("bars", present) | self._not_materialized(
            "raw_bars", present
        )
        self._months("bars", BARS_JOB, stale | missing, len(present))

    def build_factors(self) -> None:
        """Materialize ``alpha158_factors`` for the months whose bars changed.

        The user's own factors likewise, where there are any, or rows of those there were.
        """
        from qlops_assets.defs.automation import CUSTOM_FACTORS_JOB, FACTORS_JOB
        from qlops_assets.factors.sets import CUSTOM, alpha158_set, custom_set
        from qlops_assets.factors.store import factor_dataset

        self._build_factors(alpha158_set(), FACTORS_JOB)
        own = custom_set(self.settings)
        if own.expressions or factor_dataset(self.settings, CUSTOM).months():
            self._build_factors(own, CUSTOM_FACTORS_JOB)

    def _build_factors(self, factors: "FactorSet", job: str) -> None:
        from qlops_assets.factors.store import factor_dataset, stale_months
        from qlops_assets.lake.datasets import bars_dataset

        months = bars_dataset(self.settings).months() if factors.expressions else []
        gone = set(factor_dataset(self.settings, factors.name).months()) - set(months)
        stale = set(stale_months(self.settings, factors, months)) | gone
        missing = self._not_materialized(factors.rows_name, months)
        self._months(factors.rows_name, job, stale | missing, len(months))

    def build_indicators(self) -> None:
        """Materialize ``indicator_features`` where bars of the month or before it changed."""
        from qlops_assets.defs.automation import INDICATORS_JOB
        from qlops_assets.indicators.sets import column_names
        from qlops_assets.indicators.store import ROWS, indicator_dataset, stale_months
        from qlops_assets.lake.datasets import bars_dataset

        present = indicator_dataset(self.settings).months()
        months = bars_dataset(self.settings).months() if column_names(self.settings) else []
        stale = {*stale_months(self.settings, months), *(set(present) - set(months))}
        missing = self._not_materialized(ROWS, months)
        if months or stale:
            self._months(ROWS, INDICATORS_JOB, stale | missing, len(months))

    def build_features(self) -> None:
        """Materialize ``feature_table`` for the months whose factors or indicators changed."""
        from qlops_assets.defs.automation import FEATURES_JOB
        from qlops_assets.features.refresh import TABLE
        from qlops_assets.features.store import FeatureStore

        store = FeatureStore(self.settings)
        version = store.latest()
        months = list(version.months) if version else []
        stale = set(store.stale_months()) | self._not_materialized(TABLE, months)
        self._months(TABLE, FEATURES_JOB, stale, len(months))

    def train(self) -> str:
        """Train and evaluate the version that the lake and the settings now name."""
        from qlops_assets.defs.automation import TRAINING_JOB
        from qlops_assets.registry.registry import Registry
        from qlops_assets.registry.states import ModelState
        from qlops_assets.training.spec import training_spec

        version = training_spec(self.settings).version
        state = Registry(self.journal).state(version)
        unfinished = (None, ModelState.TRAINING, ModelState.TRAINED, ModelState.FAILED)
        if state not in unfinished:
            self._skip("training", f"{version} is {state!s}")
            return version
        self.say(f"training {version}")
        self._runs.add_model_version(version)
        self._runs.run(TRAINING_JOB, partition=version)
        return version

    def approve(self, version: str, environment: str) -> None:
        """Ask for the deployment and approve it as the named operator."""
        from qlops_assets.deployment.approvals import Approvals
        from qlops_assets.deployment.history import DeploymentHistory
        from qlops_assets.registry.registry import Registry

        approvals = Approvals(
            self.settings, DeploymentHistory(self.journal), Registry(self.journal)
        )
        if not self.settings.environments[environment].needs_approval:
            return
        if approvals.is_approved(environment, version):
            return
        approvals.request(environment, version, by=self.operator, why=WHY)
        approvals.approve(environment, version, by=self.operator, why=WHY)
        self.say(f"{environment}: approved by {self.operator}")

    def deploy(self, version: str, environment: str) -> None:
        """Deploy the version, or only start the server where it is live already."""
        import dagster as dg

        from qlops_assets.defs.automation import DEPLOYMENT_JOB
        from qlops_assets.deployment.deploy import Deployer
        from qlops_assets.features.lookup import StoredFeatures

        deployer = Deployer(
            self.settings,
            self.journal,
            StoredFeatures(self.settings),
            idle_minutes=self.idle_minutes,
        )
        if deployer.is_settled(version, environment):
            server = deployer.resume(environment)
            self._skip(environment, f"{version} serves at {server.url if server else '?'}")
            return
        key = dg.MultiPartitionKey({"environment": environment, "model_version": version})
        config = {"by": self.operator, "idle_minutes": self.idle_minutes}
        self._runs.run(
            DEPLOYMENT_JOB,
            partition=key,
            config={"ops": {"deployment": {"config": config}}},
        )

    def _months(self, what: str, job: str, months: Iterable[str], present: int) -> None:
        from qlops_assets.core.months import contiguous_spans
        from qlops_assets.defs.partitions import month_range_tags

        wanted = set(months) & self._runs.months()
        if not wanted:
            self._skip(what, f"{present} months up to date")
            return
        for first, last in contiguous_spans(wanted):
            self.say(f"{what}: {first} to {last}")
            self._runs.run(job, tags=month_range_tags(first, last))

    def _not_materialized(self, asset: str, months: Iterable[str]) -> set[str]:
        known = {key[:7] for key in self._runs.materialized(asset)}
        return set(months) - known

    def _skip(self, what: str, why: str) -> None:
        self.skipped.append(what)
        self.say(f"{what}: {why}, skipped")


def operator_name() -> str:
    """Return who runs this, as the operating system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "operator"


def stage_costs(journal: Journal) -> list[dict[str, Any]]:
    """Return the last finished step of every asset: wall time, peak memory, when."""
    latest: dict[str, dict[str, Any]] = {}
    for event in journal.read_all("pipeline"):
        if event.kind == "step_finished":
            data = event.data
            name = data["asset"] + (f" {data['environment']}" if "environment" in data else "")
            latest[name] = {
                "step": name,
                "wall_s": data["wall_s"],
                "cpu_s": data["cpu_s"],
                "peak_mb": data["peak_mb"],
                "at": event.at.isoformat(),
            }
    return list(latest.values())
