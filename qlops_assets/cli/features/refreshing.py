"""What ``qlops features refresh`` does, and how it is told."""

import re
import time
from typing import Any, Final

import click

from qlops_assets.cli.demo.alone import alone
from qlops_assets.cli.demo.monthly import MonthlyStages
from qlops_assets.cli.demo.watching import progress_shown
from qlops_assets.cli.shell import Shell
from qlops_assets.core.errors import DatasetMissingError
from qlops_assets.core.months import months_between

_MONTH: Final = r"\d{4}-(?:0[1-9]|1[0-2])"
_SPAN: Final = re.compile(rf"({_MONTH})(?:\.\.({_MONTH}))?")


def run_refresh(shell: Shell, months: str | None) -> dict[str, Any]:
    """Bring factors, indicators and the table up to date, and return what was done.

    Args:
        shell: The command's surroundings.
        months: A month or a span of months; everything where None.

    Raises:
        DatasetMissingError: there are no bars to compute anything from.
        HomeBusyError: another process does the work of this home.
        RunFailedError: a run failed; the home keeps what was done.
    """
    from qlops_assets.lake.datasets import bars_dataset

    only, started, log = _asked_for(months), time.monotonic(), shell.log()
    if not bars_dataset(shell.settings).months():
        accepted = "run `qlops demo` once, or `qlops up`, whose sensor builds the source's bars"
        raise DatasetMissingError("bars", [], accepted)
    stages = MonthlyStages(
        shell.settings, say=lambda text: log.print(text, markup=False), only=only
    )
    with alone(shell.settings.home), progress_shown(shell):
        stages.require_own_features()
        stages.build_features()
    return {**_done(shell, stages), "wall_s": round(time.monotonic() - started, 1)}


def render_refresh(out: Any, document: dict[str, Any]) -> None:
    """Print what was done."""
    refreshed, behind = document["refreshed"], document["bars_behind"]
    for asset, months in refreshed.items():
        span = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
        out.print(f"{asset:<19} {len(months)} months, {span}", markup=False)
    if refreshed:
        rows = ", ".join(f"{number:,} {what}" for what, number in document["rows"].items())
        out.print(f"rows                {rows}")
        out.print(f"version             {document['version']}, in {document['wall_s']:.1f} s")
    else:
        out.print(f"nothing to do: version {document['version']} is up to date")
    if document["behind"]:
        out.print(f"[yellow]still behind        {_some(document['behind'])}[/yellow]")
    if behind:
        out.print(
            f"[yellow]bars are behind     {_some(behind)}: `qlops up` or `qlops demo` builds "
            "bars from the source[/yellow]"
        )


def _asked_for(months: str | None) -> list[str] | None:
    if months is None:
        return None
    found = _SPAN.fullmatch(months)
    if not found or (found[2] or found[1]) < found[1]:
        accepted = "a month, or a span from the first to the last: 2026-03, 2026-01..2026-03"
        raise click.BadParameter(f"--months: was {months!r}, must be {accepted}")
    return months_between(found[1], found[2] or found[1])


def _done(shell: Shell, stages: MonthlyStages) -> dict[str, Any]:
    from qlops_assets.features.refresh import TABLE
    from qlops_assets.features.store import FeatureStore
    from qlops_assets.lake.bars import stale_months

    ours = [e for e in shell.journal.read_all("pipeline") if e.data.get("run_id") in stages.run_ids]
    steps = [e.data for e in ours if e.kind == "step_finished"]
    tables = [data for data in steps if data["asset"] == TABLE]
    store = FeatureStore(shell.settings)
    version = store.latest()
    return {
        "version": version.number if version else None,
        "refreshed": stages.refreshed,
        "up_to_date": stages.skipped,
        "rows": {
            what: sum(data[f"rows_{what}"] for data in tables)
            for what in ("inserted", "updated", "deleted")
        },
        "steps": [{k: s[k] for k in ("asset", "months", "wall_s", "peak_mb")} for s in steps],
        "checks_failed": [dict(e.data) for e in ours if e.kind == "check_failed"],
        "behind": store.stale_months(),
        "bars_behind": stale_months(shell.settings),
    }


def _some(months: list[str]) -> str:
    return f"{len(months)} months, {', '.join(months[:3])}{' …' if len(months) > 3 else ''}"
