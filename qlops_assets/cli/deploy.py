"""``qlops deploy`` and ``qlops approve``."""

import click

from qlops_assets.cli.demo.main_job import operator_name
from qlops_assets.cli.shell import Shell, command


@click.command()
@click.argument("version")
@click.option("--environment", "-e", required=True)
@click.option("--by", help="Who asks; you where not given.")
@command
def deploy(shell: Shell, version: str, environment: str, by: str | None) -> None:
    """Bring a model version into an environment, as a Dagster run.

    Where the environment needs an approval, the first call asks for it.
    """
    import dagster as dg

    from qlops_assets.cli.instance import Runs
    from qlops_assets.defs.automation import DEPLOYMENT_JOB
    from qlops_assets.deployment.approvals import Approvals
    from qlops_assets.deployment.history import DeploymentHistory
    from qlops_assets.registry.registry import Registry

    who = by or operator_name()
    history = DeploymentHistory(shell.journal)
    approvals = Approvals(shell.settings, history, Registry(shell.journal))
    approvals.request(environment, version, by=who, why="command line")
    runs = Runs(shell.settings)
    runs.add_model_version(version)
    runs.run(
        DEPLOYMENT_JOB,
        partition=dg.MultiPartitionKey({"environment": environment, "model_version": version}),
        config={"ops": {"deployment": {"config": {"by": who}}}},
    )
    latest = history.latest(environment)
    document = {
        "model_version": version,
        "environment": environment,
        "state": str(Registry(shell.journal).card(version).state),
        "url": latest.facts.get("url") if latest else None,
    }
    shell.emit(
        document, lambda out: out.print(f"{environment}: {version} serves at {document['url']}")
    )


@click.command()
@click.argument("version")
@click.option("--environment", "-e", required=True)
@click.option("--by", help="Who approves; you where not given.")
@click.option("--why", default="command line", show_default=True)
@command
def approve(shell: Shell, version: str, environment: str, by: str | None, why: str) -> None:
    """Approve a deployment that was asked for; it holds for the artifact as it is now."""
    from qlops_assets.deployment.approvals import Approvals
    from qlops_assets.deployment.history import DeploymentHistory
    from qlops_assets.registry.registry import Registry

    history = DeploymentHistory(shell.journal)
    approvals = Approvals(shell.settings, history, Registry(shell.journal))
    approvals.approve(environment, version, by=by or operator_name(), why=why)
    document = {"model_version": version, "environment": environment, "approved": True}
    shell.emit(document, lambda out: out.print(f"{environment}: {version} is approved"))
