"""``qlops serve``, ``console``, ``down``: the server processes."""

import logging
import secrets

import click

from qlops_assets.cli.shell import Shell, command


@click.command()
@click.option("--environment", "-e", default="production", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), help="Else the environment's own.")
@click.option("--idle-minutes", type=click.FloatRange(min=0.01), help="Stop when unused so long.")
@command
def serve(shell: Shell, environment: str, port: int | None, idle_minutes: float | None) -> None:
    """Run the model server of an environment; it serves the version that is live there."""
    from qlops_assets.deployment.approvals import require_environment
    from qlops_assets.deployment.model_source import RegisteredModels
    from qlops_assets.deployment.servers import publish_record, withdraw_record
    from qlops_assets.features.lookup import StoredFeatures
    from qlops_assets.serving.app import build_app
    from qlops_assets.serving.run import serve as run_server

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings, token = shell.settings, secrets.token_urlsafe(32)
    place = require_environment(settings, environment)
    app = build_app(
        environment=environment,
        models=RegisteredModels(settings, shell.journal),
        features=StoredFeatures(settings),
        admin_token=token,
    )

    def listening(real_port: int) -> None:
        record = publish_record(settings, environment, port=real_port, token=token)
        click.echo(f"{environment}: {record.url}", err=True)

    chosen = place.port if port is None else port
    run_server(app, port=chosen, idle_minutes=idle_minutes, on_listening=listening)
    withdraw_record(settings, environment)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Else [console] port, 8080.")
@command
def console(shell: Shell, port: int | None) -> None:
    """Run the web console."""
    from qlops_assets.web.run import run_console

    run_console(shell.settings, port=port or shell.settings.console.port)


@click.command()
@command
def down(shell: Shell) -> None:
    """Stop the model servers of this home that run in the background."""
    from qlops_assets.deployment.servers import running, stop_server

    stopped = [
        record.environment
        for record in running(shell.settings)
        if stop_server(shell.settings, record.environment)
    ]
    shell.emit(
        {"stopped": stopped},
        lambda out: out.print(f"stopped: {', '.join(stopped) or 'nothing was running'}"),
    )
