"""``qlops models``: the registry, and versions trained again to compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.core.journal import Journal
    from qlops_assets.registry.registry import ModelCard


@click.group()
def models() -> None:
    """Registered model versions."""


@models.command("list")
@command
def list_models(shell: Shell) -> None:
    """List every version with its state and headline metrics.

    A version whose training runs is ``running``; one whose process is gone is ``dead``.
    """
    from qlops_assets.registry.registry import Registry

    journal = shell.journal
    cards = Registry(journal).cards()
    shown = {card.version: _training(shell, journal, card)["shown"] for card in cards}

    def render(out: Any) -> None:
        if not cards:
            out.print("no model yet; run `qlops demo`")
        for card in cards:
            metrics = card.facts.get("metrics")
            measured = "-"
            if metrics:
                measured = (
                    f"Rank IC {metrics['rank_ic']:.4f}  IR {metrics['information_ratio']:.2f}"
                )
            trained = f"{card.created_at:%Y-%m-%d %H:%M} UTC"
            out.print(f"{card.version}  {shown[card.version]:<17}  {measured:<24}  {trained}")

    models = [{**card.to_json(), "shown": shown[card.version]} for card in cards]
    shell.emit({"models": models}, render)


@models.command()
@click.argument("version")
@command
def show(shell: Shell, version: str) -> None:
    """Show everything known of a version, the record of its failure among it."""
    from qlops_assets.registry.registry import Registry

    journal = shell.journal
    card = Registry(journal).card(version)
    document = {**card.to_json(), **_training(shell, journal, card)}

    def render(out: Any) -> None:
        out.print_json(data=document, default=str)

    shell.emit(document, render)


def _training(shell: Shell, journal: "Journal", card: "ModelCard") -> dict[str, Any]:
    """Return what the newest training of a version does, where it may still do something."""
    from qlops_assets.core.clock import SystemClock
    from qlops_assets.core.trainings.history import TrainingHistory
    from qlops_assets.core.trainings.words import topic_of
    from qlops_assets.registry.shown import heard_at, shown_state, training_status

    history = TrainingHistory(journal.read_all(topic_of(card.version)))
    now, models = SystemClock().now(), shell.settings.models
    status = training_status(card.version, card, history, models, now)
    last = history.last
    return {
        "shown": shown_state(card.state, status),
        "training": {
            "attempt": last.number if last else None,
            "status": status,
            "heard_at": heard_at(card, history).isoformat(),
            "last_progress": dict(last.last.data) if last and last.last else None,
        },
    }


@models.command()
@click.argument("version")
@command
def record(shell: Shell, version: str) -> None:
    """Record the newest training of VERSION in MLflow.

    Trainings are recorded when they end; this makes up for one that could not be then. Again, it
    is the same run.
    """
    from qlops_assets.cli.demo.main_job import operator_name
    from qlops_assets.core.clock import SystemClock
    from qlops_assets.core.errors import SettingsError
    from qlops_assets.registry.registry import Registry
    from qlops_assets.training.recording.attempt import record_newest

    if not shell.settings.recorder.enabled:
        raise SettingsError("[recorder] enabled: was false, must be true to record a training")
    journal = shell.journal
    Registry(journal).card(version)  # refuses a version that there is not
    by, now = operator_name(), SystemClock().now()
    recorded = record_newest(shell.settings, journal, version, by=by, now=now)
    document = {"model_version": version, "status": recorded.status, **recorded.facts()}

    def render(out: Any) -> None:
        out.print(f"{version} is run {recorded.run} of experiment {recorded.experiment}")

    shell.emit(document, render)


@models.command()
@click.argument("version")
@command
def history(shell: Shell, version: str) -> None:
    """Show every state change of a version: when, who, from, to, why."""
    from qlops_assets.registry.registry import Registry

    changes = Registry(shell.journal).history(version)
    document = {
        "model_version": version,
        "history": [
            {
                "at": change.at.isoformat(),
                "by": change.by,
                "from": change.source,
                "to": change.target,
                "event": change.event,
                "why": change.why,
            }
            for change in changes
        ],
    }

    def render(out: Any) -> None:
        for change in changes:
            out.print(
                f"{change.at:%Y-%m-%d %H:%M:%S} UTC  {change.by:<12} "
                f"{change.source or '·'} → {change.target}  {change.why}"
            )

    shell.emit(document, render)


@models.command()
@click.argument("version")
@click.option("--keep", type=click.Path(path_type=Path), help="A new folder for what is rebuilt.")
@command
def reproduce(shell: Shell, version: str, keep: Path | None) -> None:
    """Train VERSION again from the very files it saw, and compare the artifacts bit by bit.

    Bars, factors, indicators and the feature table are rebuilt beside this home, which is only
    read. Exit status 1 where the artifacts differ; the inputs that do are then named.
    """
    from qlops_assets.cli.train.reproduction import render_comparison
    from qlops_assets.cli.train.reproduction import reproduce as reproduced

    comparison = reproduced(shell, version, keep=keep)
    shell.emit(comparison.to_json(), lambda out: render_comparison(out, comparison))
    if not comparison.is_equal:
        raise SystemExit(1)
