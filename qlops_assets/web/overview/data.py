"""What data there is: the source's version, and the bars made from it."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlops_assets.core.errors import QlopsError
from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    from qlops_assets.lake.manifest import Manifest


def data_status(settings: Settings) -> dict[str, Any]:
    """Return the source, its version as last scanned, and the bars.

    ``version`` is None where the source was never scanned, ``bars`` where none were made. What
    cannot be read is said under ``error`` and leaves the rest of the overview alone.
    """
    from qlops_assets.lake.scan import load_manifest

    status: dict[str, Any] = {
        "source": settings.source_name,
        "simulated": settings.source.is_simulated,
        "path": str(settings.source_folder),
        "version": None,
        "bars": None,
        "error": None,
    }
    try:
        manifest = load_manifest(settings)
        return {**status, **(_scanned(manifest) if manifest else {}), "bars": _bars(settings)}
    except (QlopsError, OSError) as error:
        return {**status, "error": str(error)}


def _scanned(manifest: "Manifest") -> dict[str, Any]:
    return {
        "version": manifest.digest,
        "observed_at": manifest.observed_at.isoformat(),
        "files": len(manifest.files),
        "bytes": sum(file.size for file in manifest.files),
        "rows": manifest.rows,
        "months": len({month for file in manifest.files for month in file.months}),
        "quarantined": [
            {"path": file.path, "reason": file.reason} for file in manifest.quarantined
        ],
        "waiting": [{"path": file.path, "reason": file.reason} for file in manifest.waiting],
        "held": manifest.held,
    }


def _bars(settings: Settings) -> dict[str, Any] | None:
    from qlops_assets.lake.datasets import bars_dataset

    bars = bars_dataset(settings)
    paths = [bars.folder / f"{month}.parquet" for month in bars.months()]
    if not paths:
        return None
    stamps = tuple((path, path.stat().st_mtime_ns) for path in paths)
    return _facts_of_bars(stamps)


@lru_cache(maxsize=4)
def _facts_of_bars(stamps: tuple[tuple[Path, int], ...]) -> dict[str, Any]:
    """Count rows, instruments and days; the same files are counted once."""
    import polars as pl

    day = pl.col("date")
    facts = pl.scan_parquet([path for path, _ in stamps]).select(
        pl.len().alias("rows"),
        pl.col("instrument").n_unique().alias("instruments"),
        day.n_unique().alias("days"),
        day.min().alias("first"),
        day.max().alias("last"),
    )
    try:
        rows, instruments, days, first, last = facts.collect().row(0)
    except pl.exceptions.PolarsError as error:
        raise QlopsError(f"{stamps[0][0].parent}: the bars cannot be read ({error})") from error
    return {
        "rows": rows,
        "instruments": instruments,
        "days": days,
        "months": len(stamps),
        "first_date": first.isoformat(),
        "last_date": last.isoformat(),
    }
