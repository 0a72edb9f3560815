"""``qlops train rolling``: train a recipe on its windows."""

from pathlib import Path

import click

from qlops_assets.cli.shell import Shell, command


@click.command()
@click.option("--model", help="A name of the model catalog, such as xgboost.")
@click.option(
    "--spec",
    "file",
    type=click.Path(path_type=Path),
    help="A recipe, which may have [rolling] with step_days and kind; else [rolling] spec.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of [training], such as rounds=200 or parameters.eta=0.1; may be repeated.",
)
@click.option("--last", type=int, metavar="N", help="The newest N windows.")
@click.option("--all", "every", is_flag=True, help="All windows from the first on.")
@click.option("--plan", "only_plan", is_flag=True, help="Show the windows and train nothing.")
@command
def rolling(
    shell: Shell,
    *,
    model: str | None,
    file: Path | None,
    changes: tuple[str, ...],
    last: int | None,
    every: bool,
    only_plan: bool,
) -> None:
    """Train the windows of a recipe that are due, and judge them as one.

    A window is due when all days of its test are in the lake. Without --last and --all those after
    the newest trained one are meant; the newest alone where none is trained yet. What is trained
    is not trained again, so that the command goes on where it was interrupted.
    """
    if last is not None and every:
        raise click.UsageError("--last and --all: give one of them")
    from qlops_assets.cli.train.windows import RollingCommand

    asked = RollingCommand.of(shell, file, model, changes)
    asked.run(last, every=every, only_plan=only_plan)
