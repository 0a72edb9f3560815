"""``qlops data versions``: every state of the source that was seen, and every version of a file."""

from typing import TYPE_CHECKING, Any, Final

import click

from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.lake.versions.file_history import FileVersion
    from qlops_assets.lake.versions.snapshots import SnapshotHead

_MONTHS_SHOWN: Final = 3


@click.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--file", "path", help="The versions of this file, by its name below the source.")
@command
def versions(shell: Shell, *, limit: int, path: str | None) -> None:
    """List the newest snapshots of the source, or the versions of one of its files."""
    if path is not None:
        _show_file(shell, path, limit)
        return
    from qlops_assets.lake.versions.snapshots import snapshot_store

    store = snapshot_store(shell.settings)
    numbers = store.numbers()
    heads = [store.head(number) for number in numbers[-limit:]]
    document = {
        "kept": len(numbers),
        "snapshots": [head.document() for head in reversed(heads)],
    }
    shell.emit(document, lambda out: _render(out, heads, len(numbers)))


def _render(out: Any, heads: "list[SnapshotHead]", kept: int) -> None:
    from rich.table import Table

    if not heads:
        out.print("no snapshot yet: `qlops data scan` makes the first")
        return
    table = Table(
        "#", "seen (UTC)", "digest", "files", "rows", "changes", "months touched", box=None
    )
    table.columns[1].no_wrap = table.columns[2].no_wrap = True
    for head in reversed(heads):
        table.add_row(
            str(head.number),
            f"{head.known_at:%Y-%m-%d %H:%M:%S}",
            head.digest[:8],
            f"{head.files:,}",
            f"{head.rows:,}",
            ", ".join(f"{count} {kind}" for kind, count in head.changes.items()) or "reading",
            _touched(head),
        )
    out.print(table)
    if kept > len(heads):
        out.print(f"{kept - len(heads)} older ones: --limit {kept} lists them all")


def _touched(head: "SnapshotHead") -> str:
    if not head.touched_months:
        return "none: the files say the same"
    return f"{shortened(head.touched_months)}; {head.touched_instruments:,} instruments"


def shortened(months: "tuple[str, ...] | list[str]") -> str:
    """Return months as spans, the first few of them."""
    from qlops_assets.core.months import contiguous_spans

    spans = contiguous_spans(months)
    named = [first if first == last else f"{first} to {last}" for first, last in spans]
    more = len(named) - _MONTHS_SHOWN
    return ", ".join(named[:_MONTHS_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none"


def _show_file(shell: Shell, path: str, limit: int) -> None:
    from qlops_assets.lake.versions.file_history import file_history

    history = file_history(shell.settings, path)
    document = {
        "file": path,
        "versions": [version.to_json() for version in reversed(history[-limit:])],
    }
    shell.emit(document, lambda out: _render_file(out, path, history[-limit:]))


def _render_file(out: Any, path: str, history: "list[FileVersion]") -> None:
    from rich.table import Table

    table = Table(
        "#", "seen (UTC)", "what", "xxh3_128", "bytes", "modified (UTC)", "touched", box=None
    )
    for place in (1, 3, 5):
        table.columns[place].no_wrap = True
    for version in reversed(history):
        file = version.file
        table.add_row(
            str(version.snapshot),
            f"{version.known_at:%m-%d %H:%M:%S}",
            version.change.kind,
            file.digest[:8] if file else "–",
            f"{file.size:,}" if file else "–",
            f"{file.modified_at:%m-%d %H:%M:%S}" if file else "–",
            f"{shortened(version.change.months)}; {len(version.change.instruments):,} instruments",
        )
    count = "1 version" if len(history) == 1 else f"{len(history)} versions, the newest first"
    out.print(f"{path}: {count}")
    out.print(table)
