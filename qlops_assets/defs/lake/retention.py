"""``source_versions``: what is kept of the source's old states, and what is let go every week."""

from typing import Final

import dagster as dg

from qlops_assets.defs.lake.assets import GROUP, OWNERS
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import step

RETENTION_JOB: Final = "prune_source_versions"
SUNDAYS: Final = "0 5 * * 0"


@dg.asset(
    group_name=GROUP,
    deps=[dg.AssetDep("raw_bars", partition_mapping=dg.AllPartitionMapping())],
    kinds={"parquet"},
    owners=OWNERS,
    code_version="1",
)
def source_versions(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult:
    """Every state of the source that was seen and is kept; what [retention] lets go is removed.

    Never what a registered model was trained on, nor what the present bars are made of.
    """
    from qlops_assets.core.clock import SystemClock
    from qlops_assets.core.digests import value_digest
    from qlops_assets.lake.versions.retention import prune
    from qlops_assets.registry.used_data import used_snapshots

    settings = platform.settings
    with step(context, platform, {}) as running:
        protected = used_snapshots(platform.registry, settings.source_name)
        done = prune(settings, now=SystemClock().now(), protected=protected)
        days = settings.retention.snapshot_days
        running.facts.update(
            snapshots_kept=done.kept,
            snapshots_removed=len(done.snapshots),
            file_versions_removed=done.blobs,
            freed_mb=round(done.bytes / 1e6, 3),
            kept_for_models=", ".join(map(str, done.protected)) or "none",
            snapshot_days="for ever" if days is None else days,
        )
    return dg.MaterializeResult(
        metadata=running.metadata(),
        data_version=dg.DataVersion(value_digest([done.kept, list(done.snapshots)])),
    )


@dg.schedule(
    job_name=RETENTION_JOB,
    cron_schedule=SUNDAYS,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def weekly_retention(
    context: dg.ScheduleEvaluationContext, platform: dg.ResourceParam[Platform]
) -> dg.RunRequest | dg.SkipReason:
    """Ask for the clean-up where ``[retention]`` lets anything go."""
    if platform.settings.retention.snapshot_days is None:
        return dg.SkipReason("[retention] snapshot_days is not set: every version is kept")
    return dg.RunRequest(tags={"qlops/trigger": "schedule"})
