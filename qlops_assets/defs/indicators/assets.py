"""``indicator_features``: technical indicators and the user's own, by month."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from qlops_assets.core.errors import QlopsError
from qlops_assets.core.settings import Settings
from qlops_assets.defs.conditions import (
    BEFORE_CHECKS,
    WHEN_BARS_OR_DEFINITIONS_CHANGED,
    bars_looking_back,
)
from qlops_assets.defs.factors.checks import missing_check_result, missing_check_specs
from qlops_assets.defs.partitions import Partitions, months_of
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import step, until_current
from qlops_assets.defs.versions import published
from qlops_assets.factors.sets import WHOLE_HISTORY_MONTHS

if TYPE_CHECKING:
    from qlops_assets.lake.datasets import PartitionInfo

GROUP = "indicators"
OWNERS = ["team:quant-research"]
ROWS: Final = "indicator_features"
MISSING_CHECK: Final = "no_indicator_mostly_missing"


def build_assets(partitions: Partitions, settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets of this group."""
    code, metadata = _definitions(settings)

    @dg.asset(
        partitions_def=partitions.month,
        group_name=GROUP,
        deps=[bars_looking_back(WHOLE_HISTORY_MONTHS)],
        kinds={"polars", "parquet"},
        owners=OWNERS,
        code_version=code,
        metadata=metadata,
        automation_condition=WHEN_BARS_OR_DEFINITIONS_CHANGED,
        op_tags=BEFORE_CHECKS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=missing_check_specs(ROWS, MISSING_CHECK),
    )
    def indicator_features(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        """Technical indicators, TA-Lib's and your own, for every instrument and day.

        Which ones: `[indicators]` of qlops.toml and `qlops indicator list`. Most carry something
        along from an instrument's first bar, so each month depends on all bars before it.
        """
        yield from _indicator_rows(context, platform)

    return [indicator_features]


def _definitions(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Return the version of the definitions, and what to show of them.

    One that cannot be used fails its step, in its own words, and not the whole code location.
    """
    from qlops_assets.indicators.sets import code_version, column_names

    try:
        names = column_names(settings)
        return code_version(settings), {"columns": len(names), "names": ", ".join(names)[:1500]}
    except QlopsError as error:
        return "unusable", {"error": str(error)}


def _indicator_rows(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult]:
    from qlops_assets.indicators.missing import stored_reports
    from qlops_assets.indicators.sets import code_version, column_names
    from qlops_assets.indicators.store import build_indicators, stale_months

    months, settings = months_of(context.partition_keys), platform.settings
    progress = platform.progress()
    with step(context, platform, {"months": len(months)}) as running:
        names = column_names(settings)
        built: dict[str, PartitionInfo] = {}
        for some in until_current(
            lambda wanted: build_indicators(settings, wanted, progress=progress),
            lambda wanted: stale_months(settings, wanted) if names else [],
            months,
        ):
            built |= some
        running.facts.update(
            indicators=len(names),
            rows=sum(info.rows for info in built.values()),
            definitions=code_version(settings),
            simulated=settings.source.is_simulated,
        )
    yield from published(
        context,
        {month: built[month].digest if month in built else "absent" for month in months},
        metadata=running.metadata(),
        by_month={
            month: {"rows_of_month": info.rows, "digest": info.digest}
            for month, info in built.items()
        },
        checks=[missing_check_result(stored_reports(settings, built), MISSING_CHECK)],
    )
