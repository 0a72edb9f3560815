"""How ``qlops`` speaks of what went wrong: one line on stderr, and JSON where it was asked for."""

import json

import click

INTERRUPTED = 130


def tell(kind: str, message: str, *, as_json: bool, excerpt: str = "") -> None:
    """Print an error in one line on stderr, with ``--json`` also as a document on stdout.

    Args:
        kind: Of the error.
        message: What it says.
        as_json: Whether a document is wanted.
        excerpt: Lines at the end of the message that keep their shape.
    """
    line = " ".join(message.removesuffix(excerpt).split())
    if as_json:
        shown = {"excerpt": excerpt} if excerpt else {}
        click.echo(json.dumps({"error": line, "kind": kind, **shown}, ensure_ascii=False))
    click.echo("\n".join(filter(None, (f"error: {line}", excerpt))), err=True)


def interrupted() -> int:
    """Say that Ctrl-C ended the work and return the exit status for it."""
    click.echo("interrupted; run the same command again to continue", err=True)
    return INTERRUPTED
