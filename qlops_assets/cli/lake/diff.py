"""``qlops data diff``: which bars changed between two states of the source."""

from typing import TYPE_CHECKING, Any, Final

import click

from qlops_assets.cli.lake.versions import shortened
from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.lake.versions.diff import BarsDiff

_SHOWN: Final = ("open", "high", "low", "close", "volume")
_PLAIN_SHOWN: Final = 5  # of bars that came or went: mostly whole days of them


@click.command()
@click.argument("v1")
@click.argument("v2")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True)
@click.option("--csv", "file", type=click.Path(dir_okay=False), help="Write every bar to a file.")
@command
def diff(shell: Shell, *, v1: str, v2: str, limit: int, file: str | None) -> None:
    """Show which bars changed from one version of the data to another, old and new values.

    V1 and V2 are numbers of snapshots, beginnings of their digests, or times with a zone
    (2026-01-31T18:00+08:00). Values are those of the files, before adjustment.
    """
    from qlops_assets.lake.versions.diff import diff as compared
    from qlops_assets.lake.versions.snapshots import snapshot_store

    store = snapshot_store(shell.settings)
    found = compared(shell.settings, store.find(v1).number, store.find(v2).number)
    if file is not None:
        _write(found, file)
    document = {**_document(found), **_bars(found, None if shell.as_json and not file else limit)}
    shell.emit(document, lambda out: _render(out, found, limit))


def _document(found: "BarsDiff") -> dict[str, Any]:
    return {
        "old": {"snapshot": found.old.number, "known_at": found.old.known_at.isoformat()},
        "new": {"snapshot": found.new.number, "known_at": found.new.known_at.isoformat()},
        "files": {
            "added": list(found.added_files),
            "changed": list(found.changed_files),
            "removed": list(found.removed_files),
        },
        "months": list(found.months),
        "added": found.added.height,
        "removed": found.removed.height,
        "changed": found.changed.height,
        "columns": dict(found.columns),
        "recoded": dict(found.recoded),
    }


def _bars(found: "BarsDiff", limit: int | None) -> dict[str, Any]:
    return {
        "changed_bars": _rows(found.changed, limit),
        "added_bars": _rows(found.added, limit),
        "removed_bars": _rows(found.removed, limit),
    }


def _rows(rows: "pl.DataFrame", limit: int | None) -> list[dict[str, Any]]:
    shown = rows if limit is None else rows.head(limit)
    return [{**row, "date": str(row["date"])} for row in shown.iter_rows(named=True)]


def _write(found: "BarsDiff", file: str) -> None:
    from pathlib import Path

    import polars as pl

    from qlops_assets.core.atomic import replacing

    kinds = {"changed": found.changed, "added": found.added, "removed": found.removed}
    rows = [
        frame.with_columns(pl.lit(kind).alias("kind"), pl.col("file").cast(pl.String))
        for kind, frame in kinds.items()
    ]
    with replacing(Path(file).absolute()) as temporary:
        pl.concat(rows, how="diagonal").write_csv(temporary)


def _render(out: Any, found: "BarsDiff", limit: int) -> None:
    old, new = found.old, found.new
    out.print(
        f"[bold]{old.number} → {new.number}[/bold]   {old.known_at:%Y-%m-%d %H:%M} → "
        f"{new.known_at:%Y-%m-%d %H:%M} UTC"
    )
    names = (
        ("added", found.added_files),
        ("changed", found.changed_files),
        ("removed", found.removed_files),
    )
    for kind, files in names:
        if files:
            more = f" and {len(files) - 5} more" if len(files) > 5 else ""
            out.print(f"files {kind}: {', '.join(files[:5])}{more}")
    out.print(f"months: {shortened(found.months)}")
    columns = ", ".join(f"{name} {count:,}" for name, count in found.columns.items())
    out.print(
        f"bars: {found.changed.height:,} changed{f' ({columns})' if columns else ''}, "
        f"{found.added.height:,} added, {found.removed.height:,} removed"
    )
    for was, now in found.recoded.items():
        out.print(f"[yellow]{was} is {now} now[/yellow]: the same bars under another code")
    if not found.months:
        out.print("the files say the same: nothing downstream is computed again")
    _changed_table(out, found, limit)
    _plain_table(out, "added", found.added, limit)
    _plain_table(out, "removed", found.removed, limit)


def _changed_table(out: Any, found: "BarsDiff", limit: int) -> None:
    from rich.table import Table

    if found.changed.is_empty() or not limit:
        return
    table = Table(
        "instrument",
        "date",
        *found.columns,
        "file",
        title="changed bars, old → new",
        box=None,
        title_justify="left",
    )
    for row in found.changed.head(limit).iter_rows(named=True):
        cells = [_pair(row[f"{name}_old"], row[name]) for name in found.columns]
        table.add_row(row["instrument"], str(row["date"]), *cells, row["file"])
    out.print(table)
    _rest(out, found.changed.height, limit)


def _plain_table(out: Any, kind: str, rows: "pl.DataFrame", limit: int) -> None:
    from rich.table import Table

    if rows.is_empty() or not limit:
        return
    shown = min(limit, _PLAIN_SHOWN)
    table = Table(
        "instrument", "date", *_SHOWN, title=f"{kind} bars", box=None, title_justify="left"
    )
    for row in rows.head(shown).iter_rows(named=True):
        table.add_row(row["instrument"], str(row["date"]), *(_text(row[name]) for name in _SHOWN))
    out.print(table)
    _rest(out, rows.height, shown)


def _rest(out: Any, height: int, limit: int) -> None:
    if height > limit:
        out.print(f"{height - limit:,} more: --limit shows more, --csv FILE writes them all")


def _pair(old: float | None, new: float | None) -> str:
    same = old == new
    return _text(new) if same else f"[red]{_text(old)}[/red] → [green]{_text(new)}[/green]"


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.8g}"
