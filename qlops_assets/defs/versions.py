"""Data versions of a run that covers several months: each month gets its own."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from qlops_assets.core.digests import combined_digest
from qlops_assets.defs.event_log import together
from qlops_assets.defs.partitions import partition_key

DATA_VERSION = "dagster/data_version"
_IS_OURS = "dagster/data_version_is_user_provided"


def published(
    context: dg.AssetExecutionContext,
    digests: Mapping[str, str],
    *,
    metadata: Mapping[str, Any],
    by_month: Mapping[str, Mapping[str, Any]],
    checks: list[dg.AssetCheckResult] | None = None,
) -> Iterator[dg.MaterializeResult]:
    """Yield the result of a run over one month or many.

    Dagster gives all partitions of a run one data version. For a range we therefore add, after
    Dagster's own events, one event per month with the month's own digest, so that "did this month
    change?" has an answer whichever run wrote it.

    Args:
        context: The running asset's.
        digests: Month -> digest of its content.
        metadata: What is shown on every partition of this run.
        by_month: What is shown on one partition.
        checks: Results of the asset's checks.
    """
    for month, facts in by_month.items():
        context.add_asset_metadata(dict(facts), partition_key=partition_key(month))
    version = combined_digest(digests[month] for month in sorted(digests))
    if len(digests) == 1:
        version = next(iter(digests.values()))
    yield dg.MaterializeResult(
        metadata=dict(metadata), data_version=dg.DataVersion(version), check_results=checks or []
    )
    if len(digests) > 1:
        with together(context):
            for month, digest in digests.items():
                context.log_event(
                    dg.AssetMaterialization(
                        context.asset_key,
                        partition=partition_key(month),
                        metadata={**metadata, **by_month.get(month, {})},
                        tags={DATA_VERSION: digest, _IS_OURS: "true"},
                    )
                )
