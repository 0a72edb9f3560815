"""``qlops data lineage``: from a column to the files, and from a file to the models."""

from typing import TYPE_CHECKING, Any, Final

import click

from qlops_assets.cli.lake.versions import shortened
from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.features.lineage import RowLineage, VersionUse

_FILES_SHOWN: Final = 20


@click.command()
@click.argument("column", required=False)
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Else the newest day.")
@click.option("--instrument", help="Only files with rows of this instrument.")
@click.option("--file", "path", help="The other way: who was trained on versions of this file.")
@command
def lineage(
    shell: Shell, *, column: str | None, day: Any, instrument: str | None, path: str | None
) -> None:
    """Show what a feature's value was computed from: files → bars → expression → column.

    For example: qlops data lineage KMID --date 2020-03-02 --instrument SH600000
    """
    from qlops_assets.features.lineage import file_lineage, row_lineage
    from qlops_assets.registry.registry import Registry

    if (column is None) == (path is None):
        raise click.UsageError("give either a COLUMN or --file PATH")
    registry = Registry(shell.journal)
    if path is not None:
        uses = file_lineage(shell.settings, registry, path)
        document = {"file": path, "versions": [use.to_json() for use in reversed(uses)]}
        shell.emit(document, lambda out: _render_file(out, path, uses))
        return
    assert column is not None
    chosen = day.date() if day else None
    found = row_lineage(shell.settings, registry, column, day=chosen, instrument=instrument)
    shell.emit(found.to_json(), lambda out: _render_row(out, found))


def _render_row(out: Any, found: "RowLineage") -> None:
    from rich.tree import Tree

    column = found.column
    reach = (
        "all history"
        if column.look_back_days is None
        else f"the day itself and {column.look_back_days} before it"
    )
    whose = found.instrument or "all instruments"
    tree = Tree(f"[bold]{column.column}[/bold] of {whose} on {found.day}")
    rows = tree.add(f"rows       {column.rows} {found.day:%Y-%m}  {found.rows_digest[:12]}")
    expression = rows.add(f"expression {_plain(column.expression)}")
    read = ", ".join(f"${field}" for field in column.fields)
    bars = expression.add(
        f"bars       {found.first_bar} to {found.day} ({reach}); {read}\n"
        f"           months {shortened(list(found.bars))}"
    )
    files = bars.add(f"files      of snapshot {', '.join(map(str, found.snapshots))}")
    for file in found.files[:_FILES_SHOWN]:
        seen = f"xxh3_128 {file.digest[:12]}, modified {file.modified_at[:16]}"
        files.add(f"{_plain(file.path)}  {seen}")
    if len(found.files) > _FILES_SHOWN:
        files.add(f"and {len(found.files) - _FILES_SHOWN} more: --json lists them all")
    out.print(tree, soft_wrap=False)  # a tree's lines would be cut at the edge
    out.print(f"trained on this column: {', '.join(found.models) or 'no registered model'}")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _render_file(out: Any, path: str, uses: "list[VersionUse]") -> None:
    from rich.table import Table

    table = Table("#", "seen (UTC)", "what", "xxh3_128", "touched months", box=None)
    table.add_column("models", overflow="fold")
    for use in reversed(uses):
        version = use.version
        table.add_row(
            str(version.snapshot),
            f"{version.known_at:%Y-%m-%d %H:%M}",
            version.change.kind,
            version.file.digest[:12] if version.file else "–",
            shortened(version.change.months),
            "\n".join(use.models) or "none",
        )
    versions = "1 version" if len(uses) == 1 else f"{len(uses)} versions"
    out.print(f"{path}: {versions} and the models that were trained on them")
    out.print(table)
