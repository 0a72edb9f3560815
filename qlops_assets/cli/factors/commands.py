"""``qlops factor``: factor expressions, Alpha158's and one's own."""

from typing import TYPE_CHECKING, Any, Final

import click

from qlops_assets.cli.factors.analysis import report, select
from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.factors.trial import Trial

_WHOLE: Final = "the whole history"


class WithExpression(click.Command):
    """A command that takes an expression, which may begin with a minus sign and is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; only an expression holds a dollar."""
        return super().parse_args(ctx, [f" {a}" if _is_negative(a) else a for a in args])


def _is_negative(argument: str) -> bool:
    return argument.startswith("-") and not argument.startswith("--") and "$" in argument


@click.group()
def factor() -> None:
    """Factor expressions in Qlib's language: Alpha158's, and your own."""


factor.add_command(report)
factor.add_command(select)


@factor.command(cls=WithExpression)
@click.argument("expression", callback=lambda _ctx, _parameter, text: text.strip())
@click.option("--name", help="Whether it could have this name.")
@click.option("--engine", type=click.Choice(["native", "qlib"]), help="Else that of [features].")
@click.option("--against-qlib", is_flag=True, help="Compare some instruments with Qlib's values.")
@command
def check(
    shell: Shell, *, expression: str, name: str | None, engine: str | None, against_qlib: bool
) -> None:
    """Read an expression, and compute it over the bars of the home where there are some.

    For example: qlops factor check 'Mean($close, 5)/$close' --name mean_5

    Exit status 1 where it cannot be a factor, has no value on any day, or differs from Qlib.
    """
    from qlops_assets.factors.custom import require_expression, require_new
    from qlops_assets.factors.grammar.look_back import fields, instruments, look_back
    from qlops_assets.factors.grammar.parser import parse
    from qlops_assets.factors.grammar.render import render
    from qlops_assets.factors.trial import try_expression

    require_expression(expression)
    if name is not None:
        require_new(shell.settings, name)
    tree = parse(expression)
    trial = try_expression(shell.settings, expression, engine=engine, against_qlib=against_qlib)
    document = {
        "expression": expression,
        "canonical": render(tree),
        "fields": sorted(fields(tree)),
        "instruments": sorted(instruments(tree)),
        "look_back_days": look_back(tree),
        "values": trial and trial.to_document(),
    }
    shell.emit(document, lambda out: _render_check(out, document, trial))
    if trial is not None and trial.fault:
        click.get_current_context().exit(1)


def _render_check(out: Any, document: dict[str, Any], trial: "Trial | None") -> None:
    days = document["look_back_days"]
    out.print(f"expression  {document['canonical']}", markup=False)
    out.print(f"reads       {', '.join(f'${field}' for field in document['fields'])}")
    if document["instruments"]:
        out.print(f"and         {', '.join(document['instruments'])}")
    out.print(f"looks back  {_WHOLE if days is None else f'{days} days'}")
    if trial is None:
        out.print("no bars in this home: nothing was computed")
        return
    out.print(
        f"computed    {trial.rows:,} rows of {trial.instruments:,} instruments, {trial.first} to "
        f"{trial.last}, by {trial.engine} in {trial.seconds:.2f} s"
    )
    out.print(f"missing     {_missing(trial)}")
    if trial.infinite:
        out.print(f"infinite    [yellow]{trial.infinite:,} values[/yellow]")
    if trial.quantiles:
        values = "  ".join(f"{name} {value:.6g}" for name, value in trial.quantiles.items())
        out.print(f"quantiles   {values}")
    if trial.agreement is not None:
        tone = "green" if trial.agreement.agrees else "red"
        out.print(f"Qlib        [{tone}]{trial.agreement}[/{tone}]")
    if trial.fault:
        out.print(f"[red]refused     {trial.fault}[/red]")


def _missing(trial: "Trial") -> str:
    share = f"{trial.missing_share:.2%}"
    if trial.missing == trial.rows:
        return f"[red]{share}[/red]"
    return f"[yellow]{share}: most of it[/yellow]" if trial.is_mostly_missing else share


@factor.command("list")
@click.option("--own", is_flag=True, help="Only your own.")
@command
def list_factors(shell: Shell, own: bool) -> None:
    """List every factor: name, expression, days that it looks back, where it was written."""
    from qlops_assets.factors.custom import CustomFactor, defined_factors
    from qlops_assets.factors.grammar.look_back import look_back
    from qlops_assets.factors.grammar.parser import parse
    from qlops_assets.factors.sets import ALPHA158, CUSTOM, alpha158_set

    listed = [(CUSTOM, factor) for factor in defined_factors(shell.settings)]
    if not own:
        alpha158 = alpha158_set().expressions.items()
        where = "Qlib's Alpha158"
        listed[:0] = [(ALPHA158, CustomFactor(name, text, where)) for name, text in alpha158]
    rows = [
        {
            "name": factor.name,
            "set": part,
            "expression": factor.expression,
            "look_back_days": look_back(parse(factor.expression)),
            "where": factor.where,
        }
        for part, factor in listed
    ]
    shell.emit({"factors": rows}, lambda out: _render_list(out, rows))


def _render_list(out: Any, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        out.print("no factors of your own; add one with `qlops factor add NAME EXPRESSION`")
        return
    table = Table("name", "looks back", "where", "expression")
    for row in rows:
        days = row["look_back_days"]
        reach = _WHOLE if days is None else str(days)
        table.add_row(row["name"], reach, row["where"], row["expression"])
    out.print(table, markup=False)


@factor.command(cls=WithExpression)
@click.argument("name")
@click.argument("expression", callback=lambda _ctx, _parameter, text: text.strip())
@click.option("--by", help="Who adds it; you where not given.")
@command
def add(shell: Shell, name: str, expression: str, by: str | None) -> None:
    """Keep a factor of your own in the home; `custom_factors` then holds its values."""
    from qlops_assets.cli.demo.main_job import operator_name
    from qlops_assets.factors.custom import add_factor

    who = by or operator_name()
    added = add_factor(shell.settings, shell.journal, name, expression, by=who)
    document = {"name": added.name, "expression": added.expression, "where": added.where}

    def render(out: Any) -> None:
        out.print(f"added {name} = {expression}", markup=False)
        out.print(
            "its values: `qlops demo`, or in Dagster: reload the definitions and materialize "
            "custom_factors"
        )

    shell.emit({**document, "added": True}, render)


@factor.command()
@click.argument("name")
@click.option("--by", help="Who removes it; you where not given.")
@command
def remove(shell: Shell, name: str, by: str | None) -> None:
    """Forget a factor that `qlops factor add` keeps in the home."""
    from qlops_assets.cli.demo.main_job import operator_name
    from qlops_assets.factors.custom import remove_factor

    who = by or operator_name()
    removed = remove_factor(shell.settings, shell.journal, name, by=who)
    document = {"name": removed.name, "expression": removed.expression, "removed": True}
    shell.emit(
        document,
        lambda out: out.print(f"removed {name} = {removed.expression}", markup=False),
    )
