"""``qlops data restore``, ``verify`` and ``prune``: what is kept, and the way back."""

from typing import TYPE_CHECKING, Any

import click

from qlops_assets.cli.lake.progress import progress_shown
from qlops_assets.cli.shell import Shell, command

if TYPE_CHECKING:
    from qlops_assets.lake.versions.retention import Pruned
    from qlops_assets.lake.versions.verify import Verification


@click.command()
@click.option("--as-of", "moment", help="A time with its zone: 2026-01-31T18:00+08:00.")
@click.option("--snapshot", "number", help="Or a snapshot's number, or its digest's beginning.")
@click.option("--to", type=click.Path(file_okay=False), required=True, help="A new folder.")
@command
def restore(shell: Shell, *, moment: str | None, number: str | None, to: str) -> None:
    """Write the exact files that the source had, as they were known at some moment."""
    from pathlib import Path

    from qlops_assets.lake.versions.restore import restore as restored
    from qlops_assets.lake.versions.snapshots import snapshot_store

    reference = moment or number
    if reference is None or (moment and number):
        raise click.UsageError("give either --as-of TIME or --snapshot NUMBER")
    head = snapshot_store(shell.settings).find(reference)
    with progress_shown(shell) as progress:
        done = restored(shell.settings, head.number, Path(to).absolute(), progress=progress)
    document = {
        "snapshot": head.number,
        "known_at": head.known_at.isoformat(),
        "digest": head.digest,
        "folder": str(done.folder),
        "files": done.files,
        "bytes": done.bytes,
        "absent": list(done.absent),
    }

    def render(out: Any) -> None:
        out.print(
            f"{done.folder}: {done.files:,} files, {done.bytes / 1e6:,.1f} MB, as snapshot "
            f"{head.number} of {head.known_at:%Y-%m-%d %H:%M:%S} UTC"
        )
        for reason in done.absent:
            out.print(f"[yellow]not there, it was never usable[/yellow] {reason}")

    shell.emit(document, render)


@click.command()
@command
def verify(shell: Shell) -> None:
    """Read every kept byte again and name what is damaged. Exit status 1 where anything is."""
    from dataclasses import asdict

    from qlops_assets.lake.versions.verify import verify as verified

    with progress_shown(shell) as progress:
        found = verified(shell.settings, progress=progress)
    shell.emit(asdict(found), lambda out: _render_verification(out, found))
    click.get_current_context().exit(1 if found.damages else 0)


def _render_verification(out: Any, found: "Verification") -> None:
    out.print(
        f"{found.blobs:,} kept file versions, {found.bytes / 1e6:,.1f} MB, {found.snapshots:,} "
        f"snapshots, {found.months:,} months of bars"
    )
    if not found.damages:
        out.print("[green]all of it is as it was written[/green]")
    for damage in found.damages:
        out.print(f"[red]damaged[/red] {damage.what}: {damage.found}")
        if damage.paths:
            needed = ", ".join(map(str, damage.snapshots)) or "the next bars"
            out.print(f"  a version of {', '.join(damage.paths)}, needed by snapshots {needed}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@command
def prune(shell: Shell, *, dry_run: bool) -> None:
    """Remove old versions that [retention] lets go; never what a registered model used."""
    from dataclasses import asdict

    from qlops_assets.core.clock import SystemClock
    from qlops_assets.lake.versions.retention import prune as pruned
    from qlops_assets.registry.registry import Registry
    from qlops_assets.registry.used_data import used_snapshots

    protected = used_snapshots(Registry(shell.journal), shell.settings.source_name)
    now = SystemClock().now()
    done = pruned(shell.settings, now=now, protected=protected, only_show=dry_run)
    document = {**asdict(done), "dry_run": dry_run}
    shell.emit(document, lambda out: _render_pruned(out, done, shell, dry_run=dry_run))


def _render_pruned(out: Any, done: "Pruned", shell: Shell, *, dry_run: bool) -> None:
    verb = "would go" if dry_run else "are gone"
    out.print(
        f"{len(done.snapshots)} snapshots and {done.blobs} file versions {verb}, "
        f"{done.bytes / 1e6:,.1f} MB; {done.kept} snapshots stay"
    )
    for number, reason in done.protected.items():
        out.print(f"snapshot {number} stays: {reason}")
    if shell.settings.retention.snapshot_days is None:
        out.print(r"set snapshot_days under \[retention] in qlops.toml to let old snapshots go")
