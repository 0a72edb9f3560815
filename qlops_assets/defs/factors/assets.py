"""``alpha158_factors`` and ``custom_factors``: Qlib's 158 factors and the user's own, by month."""

from collections.abc import Iterator, Mapping
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
from qlops_assets.factors.alpha158_names import ALPHA158_LOOK_BACK_DAYS
from qlops_assets.factors.sets import (
    ALPHA158,
    CUSTOM,
    ROWS,
    WHOLE_HISTORY_MONTHS,
    custom_set,
    engine_version,
    look_back_months,
)

if TYPE_CHECKING:
    from qlops_assets.factors.missing import FactorReport
    from qlops_assets.factors.sets import FactorSet

GROUP = "factors"
OWNERS = ["team:quant-research"]
_LONGEST_LIST: Final = 1500  # characters of a list in metadata, which should stay small


def build_assets(partitions: Partitions, settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets of this group."""
    return [_alpha158_asset(partitions, settings), _custom_asset(partitions, settings)]


def _alpha158_asset(partitions: Partitions, settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.month,
        group_name=GROUP,
        deps=[bars_looking_back(look_back_months(ALPHA158_LOOK_BACK_DAYS))],
        kinds={"qlib", "parquet"},
        owners=OWNERS,
        code_version=f"alpha158-{engine_version(settings)}",
        automation_condition=WHEN_BARS_OR_DEFINITIONS_CHANGED,
        op_tags=BEFORE_CHECKS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=missing_check_specs(ROWS[ALPHA158]),
    )
    def alpha158_factors(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        """Qlib's Alpha158: 158 price and volume factors for every instrument and day.

        Definitions from Qlib's own ``Alpha158DL``; each month looks back up to 60 trading days.
        """
        yield from _factor_rows(context, platform, ALPHA158)

    return alpha158_factors


def _custom_asset(partitions: Partitions, settings: Settings) -> dg.AssetsDefinition:
    months, code_version, metadata = _own_factors(settings)

    @dg.asset(
        partitions_def=partitions.month,
        group_name=GROUP,
        deps=[bars_looking_back(months)],
        kinds={"python", "parquet"},
        owners=OWNERS,
        code_version=code_version,
        metadata=metadata,
        automation_condition=WHEN_BARS_OR_DEFINITIONS_CHANGED,
        op_tags=BEFORE_CHECKS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=missing_check_specs(ROWS[CUSTOM]),
    )
    def custom_factors(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        """Your own factors: Qlib expressions by name, for every instrument and day.

        They come from `[factors]` of qlops.toml, from `Settings(factors=…)` and from
        `qlops factor add`. Each month looks back as far as the longest of them needs. After a
        change of them, reload the code location: all months are then computed again.
        """
        yield from _factor_rows(context, platform, CUSTOM)

    return custom_factors


def _own_factors(settings: Settings) -> tuple[int, str, dict[str, Any]]:
    """Return how many months the user's own factors look back, their version, what to show.

    One that cannot be used fails its step, in its own words, and not the whole code location.
    """
    try:
        factors = custom_set(settings)
    except QlopsError as error:
        return WHOLE_HISTORY_MONTHS, "unusable", {"error": str(error)}
    shown = {"expressions": dg.MetadataValue.json(_listed(factors.expressions))}
    return look_back_months(factors.look_back), factors.code_version(settings), shown


def _factor_rows(
    context: dg.AssetExecutionContext, platform: Platform, name: str
) -> Iterator[dg.MaterializeResult]:
    from qlops_assets.factors.sets import factor_set
    from qlops_assets.factors.store import build_factors, stale_months

    months = months_of(context.partition_keys)
    settings, progress = platform.settings, platform.progress()
    with step(context, platform, {"months": len(months)}) as running:
        factors = factor_set(settings, name)
        reports: dict[str, FactorReport] = {}
        for built in until_current(
            lambda some: build_factors(settings, factors, some, progress=progress),
            lambda some: stale_months(settings, factors, some) if factors.expressions else [],
            months,
        ):
            reports |= built
        running.facts.update(
            factors=len(factors.expressions),
            rows=sum(r.partition.rows for r in reports.values()),
            engine=settings.features.engine,
            definitions=factors.code_version(settings),
            simulated=settings.source.is_simulated,
        )
    digests = {m: reports[m].partition.digest if m in reports else "absent" for m in months}
    yield from published(
        context,
        digests,
        metadata={**running.metadata(), **_about(factors, reports)},
        by_month={month: _of_month(report) for month, report in reports.items()},
        checks=[missing_check_result(reports)],
    )


def _of_month(report: "FactorReport") -> dict[str, Any]:
    return {
        "rows_of_month": report.partition.rows,
        "missing_share": round(report.missing_share, 4),
        "digest": report.partition.digest,
    }


def _about(factors: "FactorSet", reports: "Mapping[str, FactorReport]") -> dict[str, Any]:
    """Return what a run shows of the user's own factors; Alpha158's are in Qlib's handbook."""
    from qlops_assets.factors.missing import missing_shares

    if factors.name == ALPHA158:
        return {}
    if not factors.expressions:
        note = "no factors of your own: see [factors] of qlops.toml and `qlops factor add`"
        return {"note": note}
    shares = {name: f"{share:.2%}" for name, share in missing_shares(reports.values()).items()}
    return {
        "expressions": dg.MetadataValue.json(_listed(factors.expressions)),
        "missing_by_factor": dg.MetadataValue.json(_listed(shares)),
    }


def _listed(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the first of some texts by name, so many as metadata should hold."""
    shown: dict[str, str] = {}
    left = _LONGEST_LIST
    for name, text in texts.items():
        cut = text if len(text) <= 200 else f"{text[:199]}…"
        left -= len(name) + len(cut) + 6
        if left < 0:
            shown["…"] = f"and {len(texts) - len(shown)} more"
            break
        shown[name] = cut
    return shown
