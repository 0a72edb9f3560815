"""``qlops factor report`` and ``qlops factor select``: which factors foretell returns."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from qlops_assets.cli.factors.tables import Proposal, render_report, render_selection
from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.factors.report import FactorReportRecord, Scope
    from qlops_assets.training.selections import SavedSelection

F = TypeVar("F", bound=Callable[..., Any])
TOP: Final = 20


def _about(function: F) -> F:
    """Give a command the options that say which factors, up to which day."""
    function = click.option(
        "--factors", metavar="A,B,…", help="Only these; all that are defined otherwise."
    )(function)
    day = click.DateTime(["%Y-%m-%d"])
    return click.option("--until", type=day, help="Use no later day's factors and bars.")(function)


@click.command()
@_about
@click.option("--top", type=click.IntRange(min=1), help=f"Show so many; {TOP} where not given.")
@command
def report(shell: Shell, factors: str | None, until: datetime | None, top: int | None) -> None:
    """Show how well factors foretell returns; make the report where it is not up to date."""
    from qlops_assets.training.factor_pictures import strongest
    from qlops_assets.training.features import report_scope

    scope, _ = report_scope(shell.settings, factors=_names(factors), until=_day(until))
    record = _current(shell, scope)
    order = strongest(record.analysis)["factor"].to_list()
    by_name = {row["factor"]: row for row in record.analysis.to_document()["factors"]}
    rows = [by_name[name] for name in order]
    document = {
        **record.to_document(),
        "first": record.analysis.first.isoformat(),
        "last": record.analysis.last.isoformat(),
        "selected": record.selection and record.selection.kept,
        "factors": rows[:top],
    }
    shell.emit(document, lambda out: render_report(out, record, rows[: top or TOP]))


@click.command()
@_about
@click.option("--most-q-value", type=float, help="False discovery rate of the Rank ICs.")
@click.option("--least-rank-ic", type=float, help="Least mean |Rank IC|.")
@click.option("--least-sign-stability", type=float, help="Least share of years of one sign.")
@click.option("--least-coverage", type=float, help="Least share of rows with a value.")
@click.option("--most-correlation", type=float, help="|Correlation| with a stronger one is below.")
@click.option("--most-factors", type=int, help="Keep no more than these.")
@click.option(
    "--one-per-cluster/--several-per-cluster", default=None, help="At most one of a cluster."
)
@click.option("--explain", is_flag=True, help="Say of every factor what was decided, and why.")
@click.option("--save", metavar="NAME", help="Keep it, to train with selection:NAME.")
@click.option("--replace", "replacing", is_flag=True, help="Save over another of that name.")
@command
def select(
    shell: Shell,
    *,
    factors: str | None,
    until: datetime | None,
    explain: bool,
    save: str | None,
    replacing: bool,
    **rules: Any,
) -> None:
    """Propose factors to train on: effective, stable, not redundant; and say why not the others.

    By the data of the training period only, unless --until names another last day. Rules that are
    not given are those of [factor_report] in qlops.toml.
    """
    proposal = _proposed(shell, _names(factors), _day(until), rules)
    saved = _saved(shell, proposal, save, replacing=replacing) if save else None
    shell.emit(
        proposal.to_document(saved),
        lambda out: render_selection(out, proposal, saved, explain=explain),
    )


def _proposed(
    shell: Shell, factors: list[str] | None, until: date | None, given: Mapping[str, Any]
) -> Proposal:
    from qlops_assets.core.errors import TrainingError
    from qlops_assets.factors.analysis.selection import select as select_factors
    from qlops_assets.factors.report import selection_rules
    from qlops_assets.training.features import report_scope

    changes = {name: value for name, value in given.items() if value is not None}
    rules = replace(selection_rules(shell.settings.factor_report), **changes)
    scope, reason = report_scope(shell.settings, factors=factors, until=until)
    if until is None and scope.training_end is None:
        raise TrainingError(f"there is no training period to select by: {reason}; or give --until")
    record = _current(shell, scope)
    basis = record.analysis if until is not None or record.training is None else record.training
    return Proposal(record, select_factors(basis, rules), scope.training_end)


def _current(shell: Shell, scope: "Scope") -> "FactorReportRecord":
    """Return the report of the lake as it is now, made by a run of Dagster where it is missing."""
    from qlops_assets.cli.demo.watching import progress_shown
    from qlops_assets.cli.instance import Runs
    from qlops_assets.defs.factors.report_asset import REPORT_JOB
    from qlops_assets.factors.report import build_report, current_report

    record = current_report(shell.settings, scope)
    if record is not None:
        return record
    about = scope.to_document()
    config = {name: about[name] for name in ("factors", "until")}
    with progress_shown(shell):
        Runs(shell.settings).run(REPORT_JOB, config={"ops": {"factor_report": {"config": config}}})
    return build_report(shell.settings, scope)


def _saved(shell: Shell, proposal: Proposal, name: str, *, replacing: bool) -> "SavedSelection":
    from qlops_assets.cli.demo.main_job import operator_name
    from qlops_assets.training.selections import save_selection

    return save_selection(
        shell.settings,
        shell.journal,
        name,
        proposal.selection,
        proposal.report,
        by=operator_name(),
        replace=replacing,
    )


def _names(given: str | None) -> list[str] | None:
    return None if given is None else [name.strip() for name in given.split(",") if name.strip()]


def _day(given: datetime | None) -> date | None:
    return None if given is None else given.date()
