"""``qlops predict``: ask a running model server."""

from typing import Any

import click

from qlops_assets.cli.shell import Shell, command


@click.command()
@click.option("--environment", "-e", default="production", show_default=True)
@click.option("--date", "day", help="YYYY-MM-DD; the newest day where not given.")
@click.option("--instruments", help="Codes, separated by commas; all where not given.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True)
@command
def predict(
    shell: Shell, environment: str, day: str | None, instruments: str | None, top: int
) -> None:
    """Ask the environment's server for scores; the highest come first."""
    from qlops_assets.core.errors import ServerError
    from qlops_assets.deployment.approvals import require_environment
    from qlops_assets.deployment.servers import running, score

    require_environment(shell.settings, environment)
    servers = {record.environment: record for record in running(shell.settings)}
    if environment not in servers:
        raise ServerError(
            f"{environment}: no server is running; start it with "
            f"`qlops serve --environment {environment}` or `qlops up`"
        )
    body: dict[str, Any] = {"date": day} if day else {}
    if instruments:
        body["instruments"] = [code.strip() for code in instruments.split(",") if code.strip()]
    answer = score(servers[environment], **body)

    def render(out: Any) -> None:
        out.print(f"{answer['model_version']}  {answer['date']}")
        for rank, row in enumerate(answer["scores"][:top], 1):
            out.print(f"{rank:>4}  {row['instrument']:<12} {row['score']:+.6f}")

    shell.emit(answer, render)
