"""``qlops up``: Dagster, the console and the model servers under one foreground supervisor."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qlops_assets.cli.shell import Shell, command
from qlops_assets.core.settings import Settings, child_environment

if TYPE_CHECKING:
    from qlops_assets.cli.supervisor import Child


@click.command()
@command
def up(shell: Shell) -> None:
    """Start Dagster (UI and daemon), the console and the model servers; Ctrl-C stops them all."""
    from qlops_assets.cli.instance import end_killed_runs, prepare_instance
    from qlops_assets.cli.supervisor import Child, Supervisor
    from qlops_assets.deployment.history import DeploymentHistory
    from qlops_assets.deployment.servers import running, stop_server

    settings, say = shell.settings, shell.log().print
    prepare_instance(settings)
    import dagster as dg  # after its surroundings are set

    children = [
        Child("dagster", _dagster(settings), _url(settings.console.dagster_port)),
        Child("console", _qlops(settings, "console"), _url(settings.console.port)),
    ]
    _require_ports(children)  # before a server is stopped: another `qlops up` may own it
    for record in running(settings):
        stop_server(settings, record.environment)
        say(f"{record.environment}: taking over from the server in the background")
    history = DeploymentHistory(shell.journal)
    for name, place in settings.environments.items():
        if history.live_version(name) is None:
            say(f"{name}: nothing is deployed there yet, no server")
            continue
        serve = _qlops(settings, "serve", "--environment", name, "--port", str(place.port))
        children.append(Child(name, serve, _url(place.port)))
    _require_ports(children)
    with dg.DagsterInstance.get() as instance:
        end_killed_runs(instance)
    for child in children:
        say(f"{child.name:<12} {child.url}")
    say(f"logs         {settings.servers}/*.log")
    say("Ctrl-C stops everything")
    Supervisor(children, logs=settings.servers, environment=child_environment(), say=say).run()


def _require_ports(children: "Sequence[Child]") -> None:
    from qlops_assets.serving.run import bind

    for child in children:
        bind(int(child.url.rsplit(":", 1)[1]), child.name).close()


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _qlops(settings: Settings, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "qlops_assets.cli", "--home", str(settings.home), *arguments]


def _dagster(settings: Settings) -> list[str]:
    program = Path(sys.executable).with_name("dagster")
    port = str(settings.console.dagster_port)
    return [
        *(str(program), "dev", "-w", str(settings.dagster / "workspace.yaml")),
        *("-h", "127.0.0.1", "-p", port),
    ]
