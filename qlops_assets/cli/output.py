"""How ``qlops`` speaks of what went wrong: one line on stderr, and JSON where it was asked for."""

import json

import click

INTERRUPTED = 130


def tell(kind: str, message: str, *, as_json: bool) -> None:
    """Print an error in one line on stderr, with ``--json`` also as a document on stdout."""
    line = " ".join(message.split())
    if as_json:
        click.echo(json.dumps({"error": line, "kind": kind}, ensure_ascii=False))
    click.echo(f"error: {line}", err=True)


def interrupted() -> int:
    """Say that Ctrl-C ended the work and return the exit status for it."""
    click.echo("interrupted; run the same command again to continue", err=True)
    return INTERRUPTED
