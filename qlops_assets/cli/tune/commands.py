"""``qlops tune``: search for the parameters of a model, and the commands about studies."""

from pathlib import Path

import click

from qlops_assets.cli.shell import Shell, command
from qlops_assets.cli.tune.studies import cancel, list_studies, show


@click.group(invoke_without_command=True)
@click.option("--model", help="A name of the model catalog, such as lightgbm.")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    help="How many the study is to have; those that it has count. Else [tuning] trials.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Trials at a time, each a process; else one a core."
)
@click.option(
    "--spec",
    "file",
    type=click.Path(path_type=Path),
    help="A recipe to start from: .toml, or a task of Qlib's in .yaml.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of [training], such as rounds=200; may be repeated.",
)
@click.option("--train/--no-train", "is_trained", default=True, help="Train the best one after.")
@command
def tune(
    shell: Shell,
    *,
    model: str | None,
    trials: int | None,
    jobs: int | None,
    file: Path | None,
    changes: tuple[str, ...],
    is_trained: bool,
) -> None:
    """Search for the parameters of a model by their Rank IC on walk-forward folds.

    The test is not looked at. The first trial is the recipe as it is; in the end the best one is
    trained on train and valid as any model, and all trials count where its overfitting is judged.
    A study that was interrupted, or is asked for more trials, goes on where it was left.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:  # it is given what stood before it
        home = str(shell.settings.home)
        context.obj = {"home": home, "as_json": shell.as_json, "debug": shell.debug}
        return
    from qlops_assets.cli.train.running import asked_settings
    from qlops_assets.cli.tune.running import run_tuning

    settings, notes = asked_settings(shell, model, file, changes)
    run_tuning(shell, settings, trials=trials, jobs=jobs, is_trained=is_trained, notes=notes)


for _command in (cancel, list_studies, show):
    tune.add_command(_command)
