"""What is checked of the bars, and how a finding becomes an asset check result."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import dagster as dg

from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    from qlops_assets.lake.bars import MonthReport
    from qlops_assets.lake.manifest import Manifest
    from qlops_assets.lake.quality import QualityFinding

BARS_CHECKS: Final[Mapping[str, str]] = {
    "no_duplicates": "One row per instrument and day in the source.",
    "high_not_below_low": "low ≤ open, close ≤ high on every traded day.",
    "no_gaps": "No instrument misses a trading day between its first and last one.",
    "no_price_jumps": "No adjusted close moves by more than 30 % in a day.",
    "no_quarantined_files": "Every file of the source could be used.",
    "universe_is_known": "Every instrument that the universe names has bars.",
}


def bars_check_results(
    settings: Settings, manifest: "Manifest", reports: "Mapping[str, MonthReport]"
) -> list[dg.AssetCheckResult]:
    """Return one result per check of :data:`BARS_CHECKS`, for the months just written."""
    from qlops_assets.lake.datasets import bars_dataset
    from qlops_assets.lake.quality import findings, no_quarantined_files
    from qlops_assets.lake.universe import load_universe

    written = [month for month, report in reports.items() if report.rows]
    if not written:  # the files of these months are gone; Dagster still wants every check's result
        files = _result(no_quarantined_files(manifest))
        return [
            files,
            *(
                dg.AssetCheckResult(passed=True, check_name=name, description="no bars to look at")
                for name in BARS_CHECKS
                if name != files.check_name
            ),
        ]
    found = findings(
        bars_dataset(settings).read(written),
        reports=reports.values(),
        manifest=manifest,
        universe=load_universe(settings),
    )
    return [_result(finding) for finding in found]


def _result(finding: "QualityFinding") -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity(finding.severity)
    return dg.AssetCheckResult(
        passed=finding.passed,
        check_name=finding.check,
        severity=severity,
        description=str(finding.found),
        metadata={"examples": dg.MetadataValue.json(list(finding.examples)[:20])},
    )
