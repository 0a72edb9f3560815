"""``raw_bars`` and ``bars``: the user's Parquet, versioned and cleaned."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from qlops_assets.core.errors import LakeError
from qlops_assets.defs.lake.checks import BARS_CHECKS, bars_check_results
from qlops_assets.defs.partitions import Partitions, months_of
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import step
from qlops_assets.defs.versions import published

if TYPE_CHECKING:
    from qlops_assets.lake.manifest import Manifest

GROUP = "lake"
OWNERS = ["team:data-engineering"]
CLEANING_VERSION = "1"
_FILES_SHOWN: Final = 5


def build_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Return the assets of this group."""
    return [_raw_bars_asset(partitions), _bars_asset(partitions)]


def _raw_bars_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.month,
        group_name=GROUP,
        kinds={"parquet"},
        owners=OWNERS,
        code_version="1",
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def raw_bars(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        """The user's Parquet files as they are: which versions of which files hold this month.

        Every file is known by its xxh3_128, size and modification time. Files that cannot be used
        are quarantined with the reason; the source is only read.
        """
        yield from _raw_bars(context, platform)

    return raw_bars


def _bars_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.month,
        group_name=GROUP,
        deps=["raw_bars"],
        kinds={"polars", "parquet"},
        owners=OWNERS,
        code_version=CLEANING_VERSION,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(name, asset="bars", description=text)
            for name, text in BARS_CHECKS.items()
        ],
    )
    def bars(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        """Clean daily bars: adjusted prices, halted days null, one row per instrument and day.

        Adjusted price = raw × factor, volume ÷ factor; a missing vwap is the mean of open, high,
        low and close.
        """
        yield from _bars(context, platform)

    return bars


def _raw_bars(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult]:
    from qlops_assets.lake.manifest import month_versions
    from qlops_assets.lake.scan import scan
    from qlops_assets.lake.versions.snapshots import snapshot_store

    months = months_of(context.partition_keys)
    with step(context, platform, {"months": len(months)}) as running:
        manifest = scan(platform.settings, progress=platform.progress())
        versions = month_versions(manifest)
        running.facts.update(
            source=manifest.source,
            simulated=platform.settings.source.is_simulated,
            files=len(manifest.files),
            rows=manifest.rows,
            quarantined=len(manifest.quarantined),
            waiting=len(manifest.waiting),
            manifest=manifest.digest,
            source_snapshot=head.number
            if (head := snapshot_store(platform.settings).latest())
            else 0,
        )
    by_month = {
        month: {**_files_of(manifest, month), "digest": versions.get(month, "no file")}
        for month in months
    }
    digests = {month: versions.get(month, "absent") for month in months}
    yield from published(context, digests, metadata=running.metadata(), by_month=by_month)


def _files_of(manifest: "Manifest", month: str) -> dict[str, Any]:
    """Return how many files touch a month and the first of them: a market can be 5000 files."""
    paths = [file.path for file in manifest.files if month in file.months]
    return {"files_of_month": len(paths), "first_files": ", ".join(paths[:_FILES_SHOWN])}


def _bars(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult]:
    from qlops_assets.lake.bars import build_bars
    from qlops_assets.lake.scan import load_manifest

    months = months_of(context.partition_keys)
    settings = platform.settings
    with step(context, platform, {"months": len(months)}) as running:
        manifest = load_manifest(settings)
        if manifest is None:
            raise LakeError("raw_bars: the source was never scanned; materialize raw_bars first")
        reports = build_bars(settings, months, progress=platform.progress())
        running.facts.update(
            source=manifest.source,
            simulated=settings.source.is_simulated,
            rows=sum(r.rows for r in reports.values()),
            halted=sum(r.halted for r in reports.values()),
            duplicates=sum(r.duplicates for r in reports.values()),
            set_aside=sum(r.set_aside for r in reports.values()),
        )
        checks = bars_check_results(settings, manifest, reports)
    by_month = {
        month: {
            "rows_of_month": report.rows,
            "instruments": report.instruments,
            "days": report.days,
            "halted_rows": report.halted,
            "digest": report.digest,
        }
        for month, report in reports.items()
    }
    digests = {m: reports[m].digest or "absent" for m in months}
    yield from published(
        context, digests, metadata=running.metadata(), by_month=by_month, checks=checks
    )
