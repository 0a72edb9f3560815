"""``qlops data``: the source's files and the lake."""

from typing import TYPE_CHECKING, Any

import click

from qlops_assets.cli.lake.convert import convert
from qlops_assets.cli.lake.diff import diff
from qlops_assets.cli.lake.keeping import prune, restore, verify
from qlops_assets.cli.lake.lineage import lineage
from qlops_assets.cli.lake.versions import versions
from qlops_assets.cli.shell import Shell, SourceParameter, command

if TYPE_CHECKING:
    from qlops_assets.core.settings_file import Location
    from qlops_assets.lake.manifest import Manifest


@click.group()
def data() -> None:
    """The source's files and what the lake holds of them."""


for _command in (versions, diff, lineage, restore, verify, prune, convert):
    data.add_command(_command)


@data.command("scan")
@click.option(
    "--bars",
    type=SourceParameter(),
    help="Scan this folder, or s3://bucket/prefix, instead of the home's source.",
)
@command
def scan_source(shell: Shell, bars: "Location | None") -> None:
    """Look at every file: version new ones, quarantine those that cannot be used."""
    from qlops_assets.lake.scan import scan

    settings = shell.settings.with_source(bars) if bars else shell.settings
    manifest = scan(settings)
    shell.emit(_document(manifest), lambda out: _render(out, manifest))


@data.command()
@command
def status(shell: Shell) -> None:
    """Show the last scan, and the months that the lake holds or has to build."""
    from qlops_assets.core.errors import SourceError
    from qlops_assets.factors.store import alpha158_dataset
    from qlops_assets.lake.bars import stale_months
    from qlops_assets.lake.datasets import bars_dataset
    from qlops_assets.lake.scan import load_manifest

    manifest = load_manifest(shell.settings)
    if manifest is None:
        raise SourceError(
            shell.settings.source_folder, "was never scanned", "run `qlops data scan`"
        )
    document = {
        **_document(manifest),
        "bars_months": len(bars_dataset(shell.settings).months()),
        "factor_months": len(alpha158_dataset(shell.settings).months()),
        "months_to_build": stale_months(shell.settings),
    }

    def render(out: Any) -> None:
        _render(out, manifest)
        out.print(
            f"bars {document['bars_months']} months, factors {document['factor_months']} months, "
            f"to build: {', '.join(document['months_to_build']) or 'none'}"
        )

    shell.emit(document, render)


def _document(manifest: "Manifest") -> dict[str, Any]:
    return {
        "source": manifest.source,
        "digest": manifest.digest,
        "observed_at": manifest.observed_at.isoformat(),
        "rows": manifest.rows,
        "files": [
            {
                "path": f.path,
                "xxh3_128": f.digest,
                "size": f.size,
                "modified_at": f.modified_at.isoformat(),
                "rows": f.rows,
                "months": len(f.months),
            }
            for f in manifest.files
        ],
        "quarantined": [{"path": f.path, "reason": f.reason} for f in manifest.quarantined],
        "waiting": [{"path": f.path, "reason": f.reason} for f in manifest.waiting],
    }


def _render(out: Any, manifest: "Manifest") -> None:
    from rich.table import Table

    table = Table("file", "rows", "MB", "modified", "xxh3_128")
    for file in manifest.files:
        table.add_row(
            file.path,
            f"{file.rows:,}",
            f"{file.size / 1e6:.1f}",
            f"{file.modified_at:%Y-%m-%d %H:%M} UTC",
            file.digest[:12],
        )
    out.print(f"{manifest.source}: version {manifest.digest[:12]}, {manifest.rows:,} rows")
    out.print(table)
    for bad in manifest.quarantined:
        out.print(f"[red]quarantined[/red] {bad.path}: {bad.reason}")
    for waiting in manifest.waiting:
        out.print(f"[yellow]waiting[/yellow] {waiting.path}: {waiting.reason}")
