"""``qlops models``: the registry, read only."""

from typing import Any

import click

from qlops_assets.cli.shell import Shell, command


@click.group()
def models() -> None:
    """Registered model versions."""


@models.command("list")
@command
def list_models(shell: Shell) -> None:
    """List every version with its state and headline metrics."""
    from qlops_assets.registry.registry import Registry

    cards = Registry(shell.journal).cards()

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
            out.print(f"{card.version}  {card.state!s:<10}  {measured:<24}  {trained}")

    shell.emit({"models": [card.to_json() for card in cards]}, render)


@models.command()
@click.argument("version")
@command
def show(shell: Shell, version: str) -> None:
    """Show everything known of a version."""
    from qlops_assets.registry.registry import Registry

    document = Registry(shell.journal).card(version).to_json()

    def render(out: Any) -> None:
        out.print_json(data=document, default=str)

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
