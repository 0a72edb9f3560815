"""The main job, stage by stage; every stage does only what is not done yet."""

import getpass
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.cli.demo.monthly import MonthlyStages
from qlops_assets.core.atomic import write_json
from qlops_assets.core.journal import Journal

if TYPE_CHECKING:
    from qlops_assets.lake.manifest import Manifest

WHY = "main job of the demo"
ENVIRONMENTS: Final = ("staging", "production")


@dataclass
class MainJob(MonthlyStages):
    """Runs the stages in order; ``skipped`` names those that had nothing to do."""

    journal: Journal
    operator: str
    idle_minutes: float | None

    def run(self) -> str:
        """Run every stage and return the model version that serves in production."""
        self.require_places()
        self.require_own_features()
        self.make_source()
        self.scan()
        self.remember_source()
        self.build_bars()
        self.require_history()
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
                self.skip("simulated market", "already made")
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

    def train(self) -> str:
        """Train and evaluate the version that the lake and the settings now name."""
        from qlops_assets.defs.automation import TRAINING_JOB
        from qlops_assets.registry.registry import Registry
        from qlops_assets.registry.states import ModelEvent, next_state
        from qlops_assets.training.spec import training_spec

        version = training_spec(self.settings).version
        state = Registry(self.journal).state(version)
        if next_state(state, ModelEvent.STARTED) is None:
            self.skip("training", f"{version} is {state!s}")
            return version
        self.say(f"training {version}")
        self.runs.add_model_version(version)
        self.runs.run(TRAINING_JOB, partition=version)
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
            self.skip(environment, f"{version} serves at {server.url if server else '?'}")
            return
        key = dg.MultiPartitionKey({"environment": environment, "model_version": version})
        config = {"by": self.operator, "idle_minutes": self.idle_minutes}
        self.runs.run(
            DEPLOYMENT_JOB,
            partition=key,
            config={"ops": {"deployment": {"config": config}}},
        )


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
