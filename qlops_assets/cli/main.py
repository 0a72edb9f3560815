"""The entry point of ``qlops``: commands by name, imported when they are used."""

import importlib
import sys
from collections.abc import Sequence
from typing import Final

import click

from qlops_assets.cli.output import interrupted, tell
from qlops_assets.core.metering import collect_garbage_rarely
from qlops_assets.core.settings import keep_freed_memory

# name -> (module:attribute, one line for --help); the line is here so that --help imports nothing.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("demo.command:demo", "Run the main job: bars → factors → model → served prediction."),
    "up": ("up:up", "Start Dagster, the console and the model servers; Ctrl-C stops them."),
    "down": ("servers:down", "Stop the model servers that run in the background."),
    "serve": ("servers:serve", "Run one environment's model server in the foreground."),
    "console": ("servers:console", "Run the web console in the foreground."),
    "predict": ("predict:predict", "Ask a running model server for scores."),
    "data": (
        "data:data",
        "Source and lake: scan, status, versions, diff, lineage, restore, verify, prune, convert.",
    ),
    "factor": ("factors.commands:factor", "Factors: check, list, add, remove, report, select."),
    "indicator": ("indicators.commands:indicator", "Technical indicators: list, show, check."),
    "features": (
        "features.commands:features",
        "The feature table: refresh, status, versions, as-of, compact, untag.",
    ),
    "train": ("train.commands:train", "Train a model; trainings: cancel, recipe, export, rolling."),
    "tune": ("tune.commands:tune", "Search for a model's parameters; studies: list, show, cancel."),
    "models": ("models:models", "Model versions: list, show, history, record, reproduce."),
    "deploy": ("deploy:deploy", "Bring a model version into an environment."),
    "approve": ("deploy:approve", "Approve a deployment that was asked for."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        loaded = importlib.import_module(f"qlops_assets.cli.{module}")
        command: click.Command = getattr(loaded, attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one is a usage error that names the nearest."""
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            from qlops_assets.core.errors import nearest

            hint = nearest(name, list(COMMANDS))
            raise click.UsageError(f"no command {name!r}{hint} Try: qlops --help", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--home", type=click.Path(file_okay=False), help="Else QLOPS_HOME, else .qlops.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="qlops_assets", prog_name="qlops")
@click.pass_context
def qlops(ctx: click.Context, home: str | None, as_json: bool, debug: bool) -> None:
    """From Parquet bars to served predictions, as versioned Dagster assets.

    Exit status: 0 done, 1 the work failed, 2 wrong usage.
    """
    ctx.obj = {"home": home, "as_json": as_json, "debug": debug}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``qlops`` with the process's arguments, or those given, and exit with its status."""
    keep_freed_memory()
    collect_garbage_rarely()
    args = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = qlops.main(args=args, prog_name="qlops", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = error.exit_code
    except click.ClickException as error:
        tell("UsageError", error.format_message(), as_json="--json" in args)
        status = error.exit_code
    except click.Abort:  # Ctrl-C before a command began
        status = interrupted()
    sys.exit(status if isinstance(status, int) else 0)
