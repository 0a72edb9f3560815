"""``qlops features``: the feature table brought up to date, its versions, its clean-up."""

from typing import TYPE_CHECKING, Any

import click

from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.features.publications import Publication
    from qlops_assets.features.store import FeatureStore


@click.group()
def features() -> None:
    """The feature table: factors and indicators by date and instrument, in versions."""


@features.command()
@click.option("--months", help="Only these: 2026-03, or a span such as 2026-01..2026-03.")
@command
def refresh(shell: Shell, months: str | None) -> None:
    """Bring factors, indicators and the table up to date with the bars; only what is behind.

    The runs are those of the home's Dagster instance: its history tells of them.
    """
    from qlops_assets.cli.features.refreshing import render_refresh, run_refresh

    document = run_refresh(shell, months)
    shell.emit(document, lambda out: render_refresh(out, document))


@features.command()
@command
def status(shell: Shell) -> None:
    """Show the newest version, its columns by set, and which months are behind."""
    from qlops_assets.features.store import FeatureStore

    store = FeatureStore(shell.settings)
    kept, behind = store.versions(), store.stale_months()
    document: dict[str, Any] = {
        "version": _described(kept[-1]) if kept else None,
        "versions": len(kept),
        "behind": behind,
        "tags": store.tags(),
        "bytes": store.size(),
    }

    def render(out: Any) -> None:
        if not kept:
            out.print("no version yet; run `qlops demo`, or materialize feature_table")
        else:
            _render_version(out, kept[-1])
            tags = ", ".join(f"{name} → {number}" for name, number in document["tags"].items())
            versions = "1 version" if len(kept) == 1 else f"{len(kept)} versions"
            out.print(f"kept        {versions}, {document['bytes'] / 1e6:,.1f} MB")
            out.print(f"tags        {tags or 'none'}")
        if behind:
            shown = ", ".join(behind[:5]) + (" …" if len(behind) > 5 else "")
            out.print(f"[yellow]behind      {len(behind)} months: {shown}[/yellow]")
        elif kept:
            out.print("[green]up to date with every set[/green]")

    shell.emit(document, render)


@features.command()
@command
def versions(shell: Shell) -> None:
    """List every version that is kept: when it was published, why, and its tags."""
    from qlops_assets.features.store import FeatureStore

    store = FeatureStore(shell.settings)
    kept, tags = store.versions(), _tags_by_number(store)
    document = {"versions": [{**_described(p), "tags": tags.get(p.number, [])} for p in kept]}

    def render(out: Any) -> None:
        from rich.table import Table

        table = Table("#", "published (UTC)", "rows", "columns", "months", "why")
        table.add_column("tags", overflow="fold")
        for p in kept:
            table.add_row(
                str(p.number),
                f"{p.published_at:%Y-%m-%d %H:%M:%S}",
                f"{p.rows:,}",
                str(len(p.columns)),
                str(len(p.months)),
                p.reason,
                ", ".join(tags.get(p.number, [])),
            )
        out.print(table if kept else "no version yet; run `qlops demo`")

    shell.emit(document, render)


@features.command("as-of")
@click.argument("moment")
@command
def as_of(shell: Shell, moment: str) -> None:
    """Show the version that readers saw at a moment with its zone: 2026-01-31T18:00+08:00."""
    from datetime import datetime

    from qlops_assets.features.store import FeatureStore

    store = FeatureStore(shell.settings)
    try:
        number = store.as_of(datetime.fromisoformat(moment)).number
    except ValueError as error:
        accepted = "a time with its zone, such as 2026-01-31T18:00+08:00"
        raise click.BadParameter(f"was {moment!r} ({error}), must be {accepted}") from error
    (found,) = (p for p in store.versions() if p.number == number)
    shell.emit(_described(found), lambda out: _render_version(out, found))


@features.command()
@command
def compact(shell: Shell) -> None:
    """Put the rows in order into few files; let old versions go that no tag names."""
    from dataclasses import asdict

    from qlops_assets.features.store import FeatureStore

    done = FeatureStore(shell.settings).compact()

    def render(out: Any) -> None:
        files, size = done.files, done.bytes
        out.print(f"files       {files[0]:,} → {files[1]:,}")
        out.print(f"MB          {size[0] / 1e6:,.1f} → {size[1] / 1e6:,.1f}")
        gone = ", ".join(map(str, done.removed))
        out.print(f"let go      {gone or 'nothing'}; [features] keep_days decides", markup=False)
        out.print(f"rewritten   {'yes' if done.rewritten else 'not needed'}, {done.seconds:.1f} s")

    shell.emit(asdict(done), render)


@features.command()
@click.argument("tag")
@command
def untag(shell: Shell, tag: str) -> None:
    """Take a tag away: its version may be let go at the next clean-up."""
    from qlops_assets.features.store import FeatureStore

    FeatureStore(shell.settings).untag(tag)
    shell.emit({"untagged": tag}, lambda out: out.print(f"{tag}: no longer kept by this tag"))


def _described(publication: "Publication") -> dict[str, Any]:
    return {
        "number": publication.number,
        "published_at": publication.published_at.isoformat(),
        "why": publication.reason,
        "rows": publication.rows,
        "columns": {part: len(names) for part, names in publication.parts.items()},
        "months": [min(publication.months, default=None), max(publication.months, default=None)],
        "table_version": publication.table_version,
    }


def _render_version(out: Any, publication: "Publication") -> None:
    columns = ", ".join(f"{len(names)} {part}" for part, names in publication.parts.items())
    first, last = min(publication.months, default="-"), max(publication.months, default="-")
    out.print(
        f"version     {publication.number}, published {publication.published_at:%Y-%m-%d %H:%M:%S} "
        f"UTC ({publication.reason})"
    )
    out.print(f"rows        {publication.rows:,}, {first} to {last}")
    out.print(f"columns     {len(publication.columns)}: {columns}")


def _tags_by_number(store: "FeatureStore") -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, number in store.tags().items():
        found.setdefault(number, []).append(name)
    return found
