"""``qlops train recipe`` and ``export``: trainings as files, ours and Qlib's."""

from pathlib import Path

import click

from qlops_assets.cli.shell import Shell, command


@click.command()
@click.argument("what")
@command
def recipe(shell: Shell, what: str) -> None:
    """Show the recipe of a model version, or of a FILE: of ours, or a task of Qlib's.

    What it prints is a .toml for `qlops train --spec`.
    """
    from qlops_assets.registry.registry import Registry
    from qlops_assets.training.recipes import as_toml, read_spec, recipe_of, with_recipe

    notes: list[str] = []
    if Path(what).suffix in (".toml", ".yaml", ".yml"):
        settings, notes = read_spec(shell.settings, Path(what))
    else:
        Registry(shell.journal).card(what)  # refuses a version that there is not
        settings = with_recipe(shell.settings, what, required=True)
    for note in notes:
        shell.log().print(note, markup=False)
    document = recipe_of(settings)
    text = as_toml(document)
    shell.emit({**document, "notes": notes}, lambda out: out.print(text, markup=False, end=""))


@click.command()
@click.argument("version")
@command
def export(shell: Shell, version: str) -> None:
    """Print the training of VERSION as a task of Qlib's, as `qrun` takes it.

    Its data is that of the home as it is now: a version that was trained on other bars is refused.
    """
    from qlops_assets.lake.qlib_bin import build_provider
    from qlops_assets.training.fit import require_version
    from qlops_assets.training.recipes import with_recipe
    from qlops_assets.training.tasks.writing import qlib_task, task_yaml

    settings = with_recipe(shell.settings, version)
    spec, provider = require_version(settings, version), build_provider(settings)
    text = task_yaml(settings, spec, provider)
    shell.emit(
        qlib_task(settings, spec, provider), lambda out: out.print(text, markup=False, end="")
    )
