"""What is checked of factor rows: they are Qlib's, and few values are missing.

The comparison with Qlib is a check of its own and not part of the asset's step: the step, which
everything downstream waits for and whose cost is measured, stays free of Qlib, and the check runs
right after it, in the same run, whoever started that: a person, a job or automation.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from qlops_assets.core.errors import QlopsError
from qlops_assets.defs.conditions import WITH_ITS_ROWS
from qlops_assets.defs.partitions import months_of_run
from qlops_assets.defs.platform import PIPELINE_TOPIC, Platform
from qlops_assets.factors.sets import ALPHA158, CUSTOM, ROWS

if TYPE_CHECKING:
    from qlops_assets.factors.agreement import Agreement
    from qlops_assets.factors.missing import FactorReport

MISSING_CHECK: Final = "no_factor_mostly_missing"
AGREEMENT_CHECKS: Final[Mapping[str, str]] = {
    ALPHA158: "alpha158_agrees_with_qlib",
    CUSTOM: "custom_factors_agree_with_qlib",
}
_DESCRIPTION: Final = (
    "A sample of the stored rows is what Qlib itself computes: |difference| ≤ 1e-5 + 1e-4·|value|, "
    "and no value exactly where Qlib has none."
)
_NAMED: Final = 10


def build_checks() -> list[dg.AssetChecksDefinition]:
    """Return the checks that run beside the assets of this group."""
    return [_agreement_check(name) for name in (ALPHA158, CUSTOM)]


def missing_check_specs(rows: str, check: str = MISSING_CHECK) -> list[dg.AssetCheckSpec]:
    """Return what the own step of factors or indicators says of its rows."""
    text = "Every column has a value in half of its rows or more."
    return [
        dg.AssetCheckSpec(
            check,
            asset=rows,
            description=text,
            automation_condition=WITH_ITS_ROWS,
        )
    ]


def missing_check_result(
    reports: "Mapping[str, FactorReport]", check: str = MISSING_CHECK
) -> dg.AssetCheckResult:
    """Return whether some column has no value in most of the rows just written."""
    from qlops_assets.factors.missing import mostly_missing

    shares = mostly_missing(reports.values())
    first = [f"{name} {share:.0%}" for name, share in list(shares.items())[:_NAMED]]
    more = f" and {len(shares) - _NAMED} more" if len(shares) > _NAMED else ""
    return dg.AssetCheckResult(
        passed=not shares,
        check_name=check,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"missing: {', '.join(first)}{more}" if shares else "nothing is",
        metadata={"columns": len(shares), "examples": dg.MetadataValue.json(first)},
    )


def _agreement_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=ROWS[name], name=AGREEMENT_CHECKS[name], description=_DESCRIPTION)
    def agrees(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        result = _agreement_result(platform, name, months_of_run(context.run.tags))
        if not result.passed:
            platform.journal.append(
                PIPELINE_TOPIC,
                "check_failed",
                {
                    "asset": ROWS[name],
                    "check": AGREEMENT_CHECKS[name],
                    "run_id": context.run.run_id,
                    "error": result.description,
                },
            )
        return result

    return agrees


def _agreement_result(platform: Platform, name: str, months: Sequence[str]) -> dg.AssetCheckResult:
    from qlops_assets.factors.agreement import check_agreement, stored_seed
    from qlops_assets.factors.sets import factor_set
    from qlops_assets.factors.store import factor_dataset

    settings = platform.settings
    try:
        factors = factor_set(settings, name)
        if not factors.expressions:
            return dg.AssetCheckResult(passed=True, description="no factors of your own")
        # Started by hand, without a partition: the newest months.
        looked_at = list(months) or factor_dataset(settings, name).months()[-2:]
        seed = stored_seed(settings, factors, looked_at)
        found = check_agreement(settings, factors, looked_at, seed=seed)
    except QlopsError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    return dg.AssetCheckResult(
        passed=found.agrees,
        severity=dg.AssetCheckSeverity.ERROR,
        description=str(found),
        metadata=_shown(found),
    )


def _shown(found: "Agreement") -> dict[str, Any]:
    return {
        "cells": found.cells,
        "violations": found.violations,
        "nan_mismatches": found.nan_mismatches,
        "rows_on_one_side": len(found.rows_differ),
        "months": ", ".join(found.months),
        "instruments": ", ".join(found.instruments),
        "worst": dg.MetadataValue.json([str(cell) for cell in found.worst]),
    }
