"""Opens the Dagster instance of a home and runs jobs on it, in this process."""

import gc
import os
import warnings
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.atomic import write_text
from qlops_assets.core.errors import QlopsError
from qlops_assets.core.settings import Settings, set_environment

if TYPE_CHECKING:
    import dagster as dg

_PROCESS_TAG: Final = "qlops/process"
_START_TOLERANCE_S: Final = 2.0
_INTERRUPTS: Final = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}


class RunFailedError(QlopsError):
    """A Dagster run failed; the message is the failing step's own."""

    def __init__(self, job: str, step: str, message: str) -> None:
        self.job, self.step = job, step
        super().__init__(message)


def prepare_instance(settings: Settings) -> None:
    """Write ``dagster.yaml`` and ``workspace.yaml`` into the home and point Dagster there."""
    for name in ("dagster.yaml", "workspace.yaml"):
        content = files("qlops_assets.cli").joinpath(name).read_text(encoding="utf-8")
        target = settings.dagster / name
        if not target.is_file() or target.read_text(encoding="utf-8") != content:
            write_text(target, content)
    set_environment(
        DAGSTER_HOME=str(settings.dagster),
        QLOPS_STATE=str(settings.dagster),
        QLOPS_HOME=str(settings.home),
        DAGSTER_DISABLE_TELEMETRY="yes",
        DAGSTER_EVENT_BATCH_SIZE="1000",  # events of many months are written together
        MPLBACKEND="agg",
        TQDM_DISABLE="1",  # read when tqdm is imported, which Dagster's dependencies may do
    )


class Runs:
    """Runs the jobs of a home's definitions on its persistent instance."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        prepare_instance(settings)
        import dagster as dg

        from qlops_assets.definitions import build_definitions

        self._definitions = build_definitions(settings)
        self.instance = dg.DagsterInstance.get()
        # What was imported lives as long as the process: collections need not look at it again.
        gc.freeze()
        end_killed_runs(self.instance)

    def run(
        self,
        job: str,
        *,
        partition: "str | dg.MultiPartitionKey | None" = None,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Run a job to its end and return the run's id.

        Raises:
            RunFailedError: a step failed; with its message.
            KeyboardInterrupt: somebody interrupted it; Dagster has recorded the run as failed.
        """
        resolved = self._definitions.resolve_job_def(job)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = resolved.execute_in_process(
                instance=self.instance,
                partition_key=partition,
                tags={
                    "qlops/trigger": "command-line",
                    _PROCESS_TAG: _identity(os.getpid()) or "",
                    **(tags or {}),
                },
                run_config={**quiet, **(config or {})},
                raise_on_error=False,
            )
        if not result.success:
            raise _failure(job, result)
        return str(result.run_id)

    def months(self) -> set[str]:
        """Return the months that are partitions: from ``[source] first_month`` to the present."""
        from qlops_assets.defs.lake.first_month import known_first_month
        from qlops_assets.defs.partitions import build_partitions, months_of

        partitions = build_partitions(self._settings, known_first_month(self._settings))
        return set(months_of(partitions.month.get_partition_keys()))

    def materialized(self, asset: str) -> set[str]:
        """Return the partition keys of an asset that were ever materialized."""
        import dagster as dg

        return self.instance.get_materialized_partitions(dg.AssetKey(asset))

    def add_model_version(self, version: str) -> None:
        """Make a model version a partition."""
        from qlops_assets.defs.partitions import MODEL_VERSION

        self.instance.add_dynamic_partitions(str(MODEL_VERSION.name), [version])

    def add_study(self, study: str) -> None:
        """Make a tuning study a partition."""
        from qlops_assets.defs.partitions import STUDY

        self.instance.add_dynamic_partitions(str(STUDY.name), [study])


def end_killed_runs(instance: "dg.DagsterInstance") -> None:
    """Mark the runs of killed ``qlops`` processes as failed: nobody else would ever end them."""
    import dagster as dg

    under_way = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
    for run in instance.get_runs(dg.RunsFilter(statuses=under_way)):
        process = run.tags.get(_PROCESS_TAG)
        if process is not None and not _is_alive(process):
            instance.report_run_failed(run, "The qlops process that ran this was killed.")


def _identity(pid: int) -> str | None:
    """Return what tells a process from every other, also from a later one of the same number."""
    import psutil

    try:
        return f"{pid}@{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return None


def _is_alive(identity: str) -> bool:
    pid, _, started = identity.partition("@")
    present = _identity(int(pid)) if pid.isdigit() else None
    if present is None:
        return False
    return abs(float(present.partition("@")[2]) - float(started)) < _START_TOLERANCE_S


def _failure(job: str, result: Any) -> BaseException:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.error and data.error.cls_name in _INTERRUPTS:
                return KeyboardInterrupt()
            if data.user_failure_data and data.user_failure_data.description:
                return RunFailedError(job, event.step_key, data.user_failure_data.description)
            error = data.error
            cause = error.cause or error
            return RunFailedError(job, event.step_key, f"{event.step_key}: {cause.message.strip()}")
    return RunFailedError(job, "", f"{job}: run {result.run_id} failed before its first step")
