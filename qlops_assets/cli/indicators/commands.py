"""``qlops indicator``: which there are, what one is, and one's own tried."""

from typing import TYPE_CHECKING, Any, Final

import click

from qlops_assets.cli.factors.commands import WithExpression
from qlops_assets.cli.indicators import listing, page
from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.indicators.trial import Span, Trial

_GROUPS: Final = ("trend", "momentum", "volume", "volatility", "composite")


@click.group()
def indicator() -> None:
    """Technical indicators: those that are there, and your own."""


@indicator.command("list")
@click.option("--group", type=click.Choice(_GROUPS), help="Only these.")
@click.option("--built", is_flag=True, help="Only what this home builds.")
@click.option("--own", is_flag=True, help="Only your own.")
@command
def list_indicators(shell: Shell, *, group: str | None, built: bool, own: bool) -> None:
    """List the columns that there are, what they mean, and which of them this home builds."""
    if own and group is not None:
        raise click.UsageError("--own and --group: your own are of no group; give one of the two")
    found = listing.listed(shell.settings, group=group, only_built=built, only_own=own)
    shell.emit(found, lambda out: listing.render(out, found))


@indicator.command()
@click.argument("name")
@command
def show(shell: Shell, name: str) -> None:
    """Show what a column, a family or one of your own is: formula, parameters, warm-up.

    For example: qlops indicator show rsi_14
    """
    found = page.described(shell.settings, name)
    shell.emit(found, lambda out: page.render(out, found))


@indicator.command(cls=WithExpression)
@click.argument("definition", callback=lambda _ctx, _parameter, text: text.strip())
@click.option("--name", help="Whether it could have this name.")
@command
def check(shell: Shell, *, definition: str, name: str | None) -> None:
    """Read an expression or package.module:function; compute it over the bars of the home.

    For example: qlops indicator check '$rsi_14-Ref($rsi_14,5)' --name rsi_gap

    Exit status 1 where it cannot be an indicator, or has no value on any day.
    """
    from qlops_assets.indicators.trial import UNNAMED, try_indicator, with_new

    own = with_new(shell.settings, name, definition)
    tried = UNNAMED if name is None else name
    document = page.described_own(own, tried)
    trial = try_indicator(shell.settings, own, tried)
    document = {**document, "name": name, "values": trial and trial.to_document()}
    del document["where"]  # nowhere yet
    shell.emit(document, lambda out: _render_check(out, document, trial))
    if trial is not None and trial.fault:
        click.get_current_context().exit(1)


def _render_check(out: Any, document: dict[str, Any], trial: "Trial | None") -> None:
    page.render_facts(out, page.own_facts(document))
    if trial is None:
        out.print("no bars in this home: nothing was computed")
        return
    whole = trial.whole
    missing = 1 - whole.values / whole.rows
    facts = {
        "computed": f"{whole.rows:,} rows of {trial.instruments:,} instruments, {whole.first} to "
        f"{whole.last}, in {trial.seconds:.2f} s",
        "missing": f"{missing:.2%}" + (": most of it" if 0.5 < missing < 1 else ""),
        "newest year": _figures(trial.year),
        "newest day": _figures(trial.day),
    }
    page.render_facts(out, facts)
    if trial.fault:
        out.print(f"[red]refused      {trial.fault}[/red]")
        return
    key = document["name"] or "NAME"
    written = document["definition"].replace("\\", "\\\\").replace('"', '\\"')
    out.print(
        f'to build it, in qlops.toml:\n  [indicators.own]\n  {key} = "{written}"', markup=False
    )


def _figures(span: "Span") -> str:
    days = f"{span.last}" if span.first == span.last else f"{span.first} to {span.last}"
    values = "  ".join(f"{name} {value:.6g}" for name, value in span.figures.items())
    return f"{days}: {span.values:,} of {span.rows:,} rows" + (f", {values}" if values else "")
