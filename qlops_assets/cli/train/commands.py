"""``qlops train``: train a model, and the commands about trainings."""

from pathlib import Path

import click

from qlops_assets.cli.shell import Shell, command
from qlops_assets.cli.train.cancel import cancel
from qlops_assets.cli.train.recipes import export, recipe
from qlops_assets.cli.train.rolling import rolling


@click.group(invoke_without_command=True)
@click.option("--model", help="A name of the model catalog, such as xgboost.")
@click.option(
    "--spec",
    "file",
    type=click.Path(path_type=Path),
    help="A recipe: .toml with [training] and [backtest], or a task of Qlib's in .yaml.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of [training], such as rounds=200 or parameters.eta=0.1; may be repeated.",
)
@command
def train(shell: Shell, model: str | None, file: Path | None, changes: tuple[str, ...]) -> None:
    """Train a model on the lake as it is now, evaluate it and register the version.

    The home needs a feature table: `qlops demo` makes one, `qlops features refresh` brings it up
    to date. Without options it is the training that qlops.toml describes.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:  # it is given what stood before it
        if model or file or changes:
            raise click.UsageError("--model, --spec and --set come after the subcommand")
        home = str(shell.settings.home)
        context.obj = {"home": home, "as_json": shell.as_json, "debug": shell.debug}
        return
    from qlops_assets.cli.train.running import run_training

    run_training(shell, model, file, changes)


for _command in (cancel, recipe, export, rolling):
    train.add_command(_command)
