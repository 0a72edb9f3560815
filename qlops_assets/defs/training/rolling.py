"""``rolling_retraining``: the newest window of the recipe, when it is due."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from qlops_assets.core.errors import QlopsError, SettingsError
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.defs.partitions import MODEL_VERSION
from qlops_assets.defs.platform import Platform

ROLLING_SCHEDULE: Final = "rolling_retraining"
ACTOR: Final = "schedule"
_PARTITION_TAG: Final = "dagster/partition"
_UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def build_rolling(rolling: RollingSettings, job: str) -> dg.ScheduleDefinition:
    """Return the schedule; it looks whenever ``[rolling]`` says, also to say why it does nothing.

    Args:
        rolling: When it looks.
        job: Trains the version that is its partition.

    Raises:
        SettingsError: its time or its zone is none.
    """
    _require_zone(rolling.timezone)
    try:

        @dg.schedule(
            name=ROLLING_SCHEDULE,
            job_name=job,
            cron_schedule=rolling.schedule,
            execution_timezone=rolling.timezone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Trains the newest window of the recipe when its test days are there.",
        )
        def rolling_retraining(
            context: dg.ScheduleEvaluationContext, platform: dg.ResourceParam[Platform]
        ) -> dg.RunRequest | dg.SkipReason:
            tick = context.scheduled_execution_time.isoformat()
            return next_window(platform, context.instance, tick)

    except dg.DagsterInvalidDefinitionError as error:
        raise SettingsError(
            f"[rolling] schedule: was {rolling.schedule!r}, must be five fields of cron, such as "
            f"{RollingSettings().schedule!r}"
        ) from error
    return rolling_retraining


def _require_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown; no name of a zone; a folder
        raise SettingsError(
            f"[rolling] timezone: was {name!r}, must be a zone such as 'Asia/Shanghai'"
        ) from error


def next_window(
    platform: Platform, instance: dg.DagsterInstance, tick: str
) -> dg.RunRequest | dg.SkipReason:
    """Return the run that trains the newest window, or why there is none.

    Args:
        platform: Of the home.
        instance: Gets the version as a partition.
        tick: The moment that the schedule is evaluated for. Where it died in between it is
            evaluated once more for the same, and asks for the same.
    """
    if not platform.settings.rolling.enabled:
        return dg.SkipReason("[rolling] enabled is false: windows are trained by hand only")
    try:
        return _next_window(platform, instance, tick)
    except QlopsError as error:
        return dg.SkipReason(str(error))


def _next_window(
    platform: Platform, instance: dg.DagsterInstance, tick: str
) -> dg.RunRequest | dg.SkipReason:
    from qlops_assets.core.clock import SystemClock
    from qlops_assets.training.recipes import read_spec
    from qlops_assets.training.rolling.plan import rolling_plan
    from qlops_assets.training.rolling.retraining import ask_newest

    settings = platform.settings
    if settings.rolling.spec:
        settings, _ = read_spec(settings, settings.rolling.spec)
    now = SystemClock().now()
    plan = rolling_plan(
        settings, platform.journal, now=now, queued=versions_under_way(instance, now)
    )
    found = ask_newest(plan, platform.journal, by=ACTOR, tick=tick)
    if isinstance(found, str):
        return dg.SkipReason(found)
    instance.add_dynamic_partitions(str(MODEL_VERSION.name), [found.version])
    return dg.RunRequest(
        run_key=f"{plan.series.digest}-{found.window}-{found.number}",
        partition_key=found.version,
        tags={
            "qlops/trigger": "schedule",
            "qlops/rolling": plan.series.digest,
            "qlops/window": str(found.window),
        },
    )


def versions_under_way(instance: dg.DagsterInstance, now: datetime) -> set[str]:
    """Return the versions whose run waits in the queue, or has been started only just now.

    What a run does later its training tells, also when its process is killed and the run is not
    told so.
    """
    from qlops_assets.training.rolling.outcomes import START_WITHIN_S

    found = set()
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNDER_WAY)):
        run = record.dagster_run
        is_new = (now - record.update_timestamp).total_seconds() < START_WITHIN_S
        if _PARTITION_TAG in run.tags and (is_new or run.status == dg.DagsterRunStatus.QUEUED):
            found.add(run.tags[_PARTITION_TAG])
    return found
