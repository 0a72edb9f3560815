"""``qlops train cancel``: ask a training to stop."""

import click

from qlops_assets.cli.demo.main_job import operator_name
from qlops_assets.cli.shell import Shell, command


@click.command()
@click.argument("version")
@click.option("--by", help="Who asks; you where not given.")
@click.option("--why", default="", help="Kept with the record.")
@command
def cancel(shell: Shell, version: str, by: str | None, why: str) -> None:
    """Ask the training of VERSION to stop; it does after the iteration under way.

    The version is then cancelled and can be trained again from the beginning.
    """
    from qlops_assets.core.trainings.status import request_cancel

    who = by or operator_name()
    event = request_cancel(shell.journal, shell.settings.models, version, by=who, why=why)
    document = {"model_version": version, **event.data, "seq": event.seq}
    shell.emit(
        document,
        lambda out: out.print(
            f"asked attempt {event.data['attempt']} of {version} to stop; it does after the "
            "iteration under way"
        ),
    )
