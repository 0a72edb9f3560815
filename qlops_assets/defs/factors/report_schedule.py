"""When the factor report is made again by itself."""

from typing import Final

import dagster as dg

from qlops_assets.core.errors import QlopsError
from qlops_assets.defs.factors.report_asset import REPORT_JOB
from qlops_assets.defs.platform import Platform

# Once a week, not whenever a month of factors changed: it reads all history, and what it says of
# years does not change with a day.
SATURDAYS: Final = "0 6 * * 6"


@dg.schedule(
    job_name=REPORT_JOB,
    cron_schedule=SATURDAYS,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def weekly_factor_report(
    context: dg.ScheduleEvaluationContext, platform: dg.ResourceParam[Platform]
) -> dg.RunRequest | dg.SkipReason:
    """Ask for the factor report where there is none of the present bars and factors."""
    from qlops_assets.factors.report import current_report
    from qlops_assets.training.features import report_scope

    settings = platform.settings
    try:
        scope, _ = report_scope(settings)
        report = current_report(settings, scope)
    except QlopsError as error:
        return dg.SkipReason(str(error))
    if report is not None:
        return dg.SkipReason(f"the report of {report.created_at:%Y-%m-%d %H:%M} UTC is up to date")
    return dg.RunRequest(tags={"qlops/trigger": "schedule"})
