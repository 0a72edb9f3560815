"""``alpha158_factors``: Qlib's 158 factors by month."""

from collections.abc import Iterator

import dagster as dg

from qlops_assets.core.settings import Settings
from qlops_assets.defs.partitions import Partitions, months_of
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import step
from qlops_assets.defs.versions import published
from qlops_assets.factors.look_back import LOOK_BACK_MONTHS

GROUP = "factors"
OWNERS = ["team:quant-research"]

# A month is computed again when the content of its bars, or of those that its windows look back to,
# changed; also long after it was the newest. A file that is written again materializes the bars of
# all its months, most of them as they were: those ask for nothing. The first build is a job: right
# after a backfill nothing is asked.
WHEN_BARS_CHANGED = (
    dg.AutomationCondition.eager()
    .without(dg.AutomationCondition.in_latest_time_window())
    .replace(
        "any_deps_updated",
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()),
    )
    .with_label("bars changed")
)


def build_assets(partitions: Partitions, settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets of this group."""
    looking_back = dg.TimeWindowPartitionMapping(
        start_offset=-LOOK_BACK_MONTHS, end_offset=0, allow_nonexistent_upstream_partitions=True
    )

    @dg.asset(
        partitions_def=partitions.month,
        group_name=GROUP,
        deps=[dg.AssetDep("bars", partition_mapping=looking_back)],
        kinds={"qlib", "parquet"},
        owners=OWNERS,
        code_version=f"alpha158-{settings.features.engine}-1",
        automation_condition=WHEN_BARS_CHANGED,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def alpha158_factors(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        """Qlib's Alpha158: 158 price and volume factors for every instrument and day.

        Definitions from Qlib's own ``Alpha158DL``; each month looks back up to 60 trading days.
        """
        yield from _alpha158(context, platform)

    return [alpha158_factors]


def _alpha158(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult]:
    from qlops_assets.factors.store import build_alpha158, code_version

    months = months_of(context.partition_keys)
    with step(context, platform, {"months": len(months)}) as running:
        reports = build_alpha158(platform.settings, months, progress=platform.progress())
        rows = sum(r.partition.rows for r in reports.values())
        running.facts.update(
            factors=158,
            rows=rows,
            engine=platform.settings.features.engine,
            definitions=code_version(platform.settings),
            simulated=platform.settings.source.is_simulated,
        )
    by_month = {
        month: {
            "rows_of_month": report.partition.rows,
            "missing_share": round(report.missing_share, 4),
            "digest": report.partition.digest,
        }
        for month, report in reports.items()
    }
    digests = {m: reports[m].partition.digest if m in reports else "absent" for m in months}
    yield from published(context, digests, metadata=running.metadata(), by_month=by_month)
