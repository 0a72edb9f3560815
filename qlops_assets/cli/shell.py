"""What every command shares: its options, its output, its errors."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qlops_assets.cli.output import interrupted, tell
from qlops_assets.core.errors import QlopsError, SettingsError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.settings_file import Location, location

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Shell:
    """A command's surroundings: settings of the home, and where output goes."""

    settings: Settings
    as_json: bool
    debug: bool

    @property
    def journal(self) -> Journal:
        """The journal of the home."""
        return Journal(self.settings.journal_url)

    def console(self) -> "Console":
        """Return a console on stdout, for results."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=True)

    def log(self) -> "Console":
        """Return a console on stderr, for progress and remarks."""
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True)

    def emit(self, document: Mapping[str, Any], render: Callable[["Console"], None]) -> None:
        """Print the document as JSON, or let ``render`` show it to a person."""
        if self.as_json:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))
        else:
            render(self.console())


def command(function: F) -> F:
    """Give a command ``--home``, ``--json``, ``--debug``, a :class:`Shell`, and errors in one line.

    The wrapped function takes the shell first. The options may stand before or after the command.
    """

    @wraps(function)
    @click.option("--home", type=click.Path(file_okay=False), help="Else QLOPS_HOME, else .qlops.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @click.pass_context
    def run(
        ctx: click.Context, /, home: str | None, as_json: bool, debug: bool, **arguments: Any
    ) -> Any:
        outer = ctx.find_object(dict) or {}
        as_json = as_json or bool(outer.get("as_json"))
        debug = debug or bool(outer.get("debug"))
        try:
            shell = Shell(Settings.read(home or outer.get("home")), as_json, debug)
            return function(shell, **arguments)
        except (QlopsError, OSError) as error:  # OSError: a full disk, a home that is not ours
            if debug:
                raise
            excerpt = error.excerpt if isinstance(error, QlopsError) else ""
            tell(type(error).__name__, str(error), as_json=as_json, excerpt=excerpt)
            ctx.exit(2 if isinstance(error, SettingsError) else 1)
        except KeyboardInterrupt:
            ctx.exit(interrupted())

    return run  # type: ignore[return-value]


class SourceParameter(click.ParamType[Location]):
    """A folder of bars, or ``s3://bucket/prefix``."""

    name = "source"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        """Return what a text names; another kind of URL is wrong usage."""
        try:
            return location(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def is_terminal() -> bool:
    """Return whether a person watches stderr."""
    return sys.stderr.isatty()
