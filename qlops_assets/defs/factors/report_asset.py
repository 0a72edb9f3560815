"""``factor_report``: how well every stored factor foretells returns, and which to train on."""

import base64
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from qlops_assets.core.errors import FactorError
from qlops_assets.defs.factors.assets import GROUP, OWNERS
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import step

if TYPE_CHECKING:
    from qlops_assets.factors.analysis.analysis import FactorAnalysis
    from qlops_assets.factors.report import FactorReportRecord

REPORT_JOB: Final = "report_factors"
EVERYTHING: Final = dg.AllPartitionMapping()
SHOWN: Final = 15
CHECK: Final = "some_factor_is_effective"


class FactorReportConfig(dg.Config):
    """What a report is about: everything where nothing is given.

    Attributes:
        factors: Names of the factors.
        until: Last day, ``YYYY-MM-DD``.
    """

    factors: list[str] | None = None
    until: str | None = None

    def last_day(self) -> date | None:
        """Return the last day.

        Raises:
            FactorError: it is no date.
        """
        try:
            return None if self.until is None else date.fromisoformat(self.until)
        except ValueError as error:
            raise FactorError(f"until: was {self.until!r}, must be a date YYYY-MM-DD") from error


@dg.asset(
    group_name=GROUP,
    deps=[
        dg.AssetDep("alpha158_factors", partition_mapping=EVERYTHING),
        dg.AssetDep("custom_factors", partition_mapping=EVERYTHING),
        dg.AssetDep("bars", partition_mapping=EVERYTHING),
    ],
    kinds={"polars", "parquet"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="factor_report",
            description="In the training period at least one factor passes the selection's rules.",
        )
    ],
)
def factor_report(
    context: dg.AssetExecutionContext,
    config: FactorReportConfig,
    platform: dg.ResourceParam[Platform],
) -> dg.MaterializeResult:
    """How well each factor foretells returns: IC, decay, turnover, clusters, a proposed set.

    Over all history at once. The set is proposed by the training period alone.
    """
    from qlops_assets.factors.report import build_report
    from qlops_assets.training.features import report_scope

    with step(context, platform, {}) as running:
        scope, reason = report_scope(
            platform.settings, factors=config.factors, until=config.last_day()
        )
        report = build_report(platform.settings, scope, progress=platform.progress())
        running.facts.update(_facts(report, reason))
    return dg.MaterializeResult(
        metadata={**running.metadata(), **_shown(report)},
        data_version=dg.DataVersion(report.digest),
        check_results=[_check(report, reason)],
    )


def _facts(report: "FactorReportRecord", reason: str | None) -> dict[str, Any]:
    analysis, selection = report.analysis, report.selection
    discovered = (analysis.summary["rank_ic_q"] <= report.rules.most_q_value).sum()
    facts = {
        "factors": analysis.summary.height,
        "days": f"{analysis.first} to {analysis.last}",
        "discovered": int(discovered or 0),
        "universe": report.universe,
        "snapshot": report.snapshot,
        "simulated": report.simulated,
        "folder": str(report.folder),
    }
    if selection is None:
        return {**facts, "selected": f"none: {reason}"}
    days = f"{selection.first} to {selection.last}"
    return {**facts, "selected": len(selection.kept), "selected_by_days": days}


def _shown(report: "FactorReportRecord") -> dict[str, dg.MetadataValue[Any]]:
    from qlops_assets.training.factor_pictures import effect_figure
    from qlops_assets.training.pictures import as_small_png

    title = "Strongest factors" + (" (simulated market)" if report.simulated else "")
    picture = as_small_png(effect_figure(report.analysis, title=title, size=(8.0, 3.8)))
    encoded = base64.b64encode(picture).decode()
    return {
        "strongest": dg.MetadataValue.md(_table(report.analysis)),
        "effect_and_decay": dg.MetadataValue.md(
            f"![Rank ICIR and decay](data:image/png;base64,{encoded})"
        ),
    }


def _table(analysis: "FactorAnalysis") -> str:
    from qlops_assets.training.factor_pictures import strongest

    lines = [
        "| factor | Rank IC | Rank ICIR | t | q | turnover | coverage | flags |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in strongest(analysis).head(SHOWN).iter_rows(named=True):
        figures = [
            _figure(row["rank_ic"], ".4f"),
            _figure(row["rank_icir"], ".3f"),
            _figure(row["rank_ic_t"], ".1f"),
            _figure(row["rank_ic_q"], ".1e"),
            _figure(row["turnover_top"], ".0%"),
            _figure(row["coverage"], ".1%"),
        ]
        lines.append(f"| {row['factor']} | {' | '.join(figures)} | {', '.join(row['flags'])} |")
    return "\n".join(lines)


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _check(report: "FactorReportRecord", reason: str | None) -> dg.AssetCheckResult:
    selection = report.selection
    if selection is None:
        passed, words = True, f"not judged: {reason}"
    else:
        passed = bool(selection.kept)
        words = (
            f"{len(selection.kept)} of {len(selection.decisions)} factors pass by the data from "
            f"{selection.first} to {selection.last}"
        )
    return dg.AssetCheckResult(
        passed=passed,
        check_name=CHECK,
        description=words,
        severity=dg.AssetCheckSeverity.WARN,
    )
