"""``qlops tune list``, ``show`` and ``cancel``: what there is to know of studies, and a request."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from qlops_assets.cli.demo.main_job import operator_name
from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.core.studies.history import StudyHistory, Trial

_SHOWN: Final = 10


def study_document(shell: Shell, study: str, history: "StudyHistory") -> dict[str, Any]:
    """Return everything that is known of a study."""
    from qlops_assets.core.clock import SystemClock
    from qlops_assets.core.studies.status import study_status

    now = SystemClock().now()
    best, trials = history.best, [trial for _, trial in sorted(history.trials.items())]
    return {
        "study": study,
        "status": study_status(history, shell.settings.studies, study, now),
        "trials": history.target,
        "ended": len(history.ended),
        **{state: history.count(state) for state in ("complete", "pruned", "failed")},
        "best": _told(best) if best else None,
        "baseline": next((_told(trial) for trial in trials if trial.is_baseline), None),
        "importance": dict(history.importance),
        "all": [_told(trial) for trial in trials],
    }


def _told(trial: "Trial") -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state,
        "rank_ic": trial.value,
        "rank_ic_by_fold": trial.rank_ics,
        "parameters": dict(trial.parameters),
        "is_baseline": trial.is_baseline,
        "starts": trial.starts,
        "seconds": round(trial.seconds, 3),
        "error": trial.error,
    }


def _histories(shell: Shell) -> "dict[str, StudyHistory]":
    from qlops_assets.core.studies.history import StudyHistory
    from qlops_assets.core.studies.words import PREFIX, TRIAL_PROGRESS

    found: dict[str, StudyHistory] = {}
    for event in shell.journal.read_all(f"{PREFIX}*", leaving_out=TRIAL_PROGRESS):
        found.setdefault(event.topic.removeprefix(PREFIX), StudyHistory()).take(event)
    return found


@click.command("list")
@command
def list_studies(shell: Shell) -> None:
    """List the studies of the home, the last started first."""
    histories = _histories(shell)
    studies = [study_document(shell, name, one) for name, one in histories.items()]
    studies = [{k: v for k, v in one.items() if k != "all"} for one in reversed(studies)]
    shell.emit({"studies": studies}, lambda out: _render_list(out, studies))


@click.command()
@click.argument("study")
@command
def show(shell: Shell, study: str) -> None:
    """Show the trials of STUDY, what mattered, and its best parameters."""
    from qlops_assets.core.errors import UnknownEntryError

    histories = _histories(shell)
    if study not in histories:
        raise UnknownEntryError("study", study, sorted(histories))
    document = study_document(shell, study, histories[study])
    shell.emit(document, lambda out: render_study(out, document))


@click.command()
@click.argument("study")
@click.option("--by", help="Who asks; you where not given.")
@click.option("--why", default="", help="Kept with the record.")
@command
def cancel(shell: Shell, study: str, by: str | None, why: str) -> None:
    """Ask STUDY to stop; its trials do after the iteration under way.

    What has ended is kept: asked for again, the study goes on.
    """
    from qlops_assets.core.studies.status import request_cancel

    who = by or operator_name()
    event = request_cancel(shell.journal, shell.settings.studies, study, by=who, why=why)
    document = {"study": study, **event.data, "seq": event.seq}
    shell.emit(document, lambda out: out.print(f"asked study {study} to stop", markup=False))


def _render_list(out: Any, studies: list[dict[str, Any]]) -> None:
    if not studies:
        out.print("no study; `qlops tune --model lightgbm --trials 20` makes one")
    for one in studies:
        found = f"best Rank IC {_figure(one['best'])}, the recipe's {_figure(one['baseline'])}"
        ended = f"{one['ended']} of {one['trials']} trials"
        out.print(f"{one['study']}  {one['status']:<10}  {ended}  {found}", markup=False)


def render_study(out: Any, document: Mapping[str, Any]) -> None:
    """Print a study: how far it is, its best trials, what mattered."""
    from rich.table import Table

    counts = ", ".join(f"{document[s]} {s}" for s in ("complete", "pruned", "failed"))
    out.print(f"study        {document['study']}", markup=False)
    ended = f"{document['ended']} of {document['trials']} trials"
    out.print(f"status       {document['status']}, {ended}: {counts}")
    ranked = sorted(
        # What a pruned trial has is of fewer folds: it cannot stand beside the others.
        (one for one in document["all"] if one["state"] == "complete"),
        key=lambda one: one["rank_ic"],
        reverse=True,
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("trial", "state", "Rank IC", "by fold", "parameters"):
        table.add_column(heading)
    for one in ranked[:_SHOWN]:
        folds = " ".join(f"{value:.4f}" for value in one["rank_ic_by_fold"])
        parameters = "the recipe as it is" if one["is_baseline"] else _parameters(one)
        table.add_row(str(one["trial"]), one["state"], _figure(one), folds, parameters)
    out.print(table)
    for one in document["all"]:
        if one["error"]:
            out.print(f"[red]failed[/red]       trial {one['trial']}: {one['error']}")
    if document["importance"]:
        parts = (f"{k} {v:.0%}" for k, v in document["importance"].items())
        out.print(f"importance   {', '.join(parts)}")
    if document["best"] and document["baseline"] and document["baseline"]["rank_ic"] is not None:
        gain = document["best"]["rank_ic"] - document["baseline"]["rank_ic"]
        out.print(f"gain         {gain:+.4f} Rank IC over the recipe, on the folds")


def _figure(trial: Mapping[str, Any] | None) -> str:
    return "–" if not trial or trial["rank_ic"] is None else f"{trial['rank_ic']:.4f}"


def _parameters(trial: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial["parameters"].items()
    )
