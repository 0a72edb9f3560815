"""``feature_table``: factors and indicators by date and instrument, in versions; its clean-up."""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from qlops_assets.defs.conditions import BEFORE_CHECKS, WHEN_ROWS_CHANGED
from qlops_assets.defs.partitions import Partitions, months_of
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import step, until_current
from qlops_assets.defs.versions import published

GROUP = "features"
OWNERS = ["team:data-platform"]
COMPACTION_JOB: Final = "compact_feature_table"
SUNDAYS: Final = "30 5 * * 0"
SETS: Final = ("alpha158_factors", "custom_factors", "indicator_features")


def build_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Return the assets of this group."""

    @dg.asset(
        partitions_def=partitions.month,
        group_name=GROUP,
        deps=list(SETS),
        kinds={"lance"},
        owners=OWNERS,
        code_version="1",
        automation_condition=WHEN_ROWS_CHANGED,
        op_tags=BEFORE_CHECKS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def feature_table(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        """Every factor and indicator, one row a day and instrument, in versions that stay readable.

        Only rows that changed are written; readers see all of a run's months at once. What a model
        was trained on is tagged with the model version's name.
        """
        yield from _refreshed(context, platform)

    return [feature_table, feature_table_versions]


def _refreshed(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult]:
    from qlops_assets.features.store import FeatureStore

    months = months_of(context.partition_keys)
    store = FeatureStore(platform.settings)
    with step(context, platform, {"months": len(months)}) as running:
        reports = until_current(
            lambda some: store.refresh(some, progress=platform.progress()),
            store.stale_months,
            months,
        )
        version = store.latest()
        running.facts.update(
            version=reports[-1].version,
            months_changed=len({month for report in reports for month in report.months}),
            rows_inserted=sum(report.merged.inserted for report in reports),
            rows_updated=sum(report.merged.updated for report in reports),
            rows_deleted=sum(report.merged.deleted for report in reports),
            rewritten=any(report.rewritten for report in reports),
            columns=len(version.columns) if version else 0,
            columns_added=", ".join(n for report in reports for n in report.added) or "none",
            columns_removed=", ".join(n for report in reports for n in report.removed) or "none",
            simulated=platform.settings.source.is_simulated,
        )
    yield from published(
        context,
        {month: store.month_digest(month) or "absent" for month in months},
        metadata=running.metadata(),
        by_month={},
    )


@dg.asset(
    group_name=GROUP,
    deps=[dg.AssetDep("feature_table", partition_mapping=dg.AllPartitionMapping())],
    kinds={"lance"},
    owners=OWNERS,
    code_version="1",
)
def feature_table_versions(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult:
    """The feature table's files put in order; old versions let go, never what a tag names.

    Lance never compacts by itself. How long versions stay: `[features] keep_days`.
    """
    from qlops_assets.core.digests import value_digest
    from qlops_assets.features.store import FeatureStore

    store = FeatureStore(platform.settings)
    with step(context, platform, {}) as running:
        done = store.compact()
        kept = [version.number for version in store.versions()]
        running.facts.update(
            version=done.version,
            rewritten=done.rewritten,
            versions_kept=len(kept),
            versions_removed=len(done.removed),
            tags=", ".join(store.tags()) or "none",
            files_before=done.files[0],
            files_after=done.files[1],
            mb_before=round(done.bytes[0] / 1e6, 1),
            mb_after=round(done.bytes[1] / 1e6, 1),
        )
    return dg.MaterializeResult(
        metadata=running.metadata(), data_version=dg.DataVersion(value_digest(kept))
    )


weekly_compaction = dg.ScheduleDefinition(
    name="weekly_compaction",
    job_name=COMPACTION_JOB,
    cron_schedule=SUNDAYS,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    tags={"qlops/trigger": "schedule"},
)
