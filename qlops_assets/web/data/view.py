"""What the page of the data says, as plain documents."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.errors import QlopsError
from qlops_assets.core.months import contiguous_spans
from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.lake.manifest import Manifest
    from qlops_assets.lake.versions.diff import BarsDiff
    from qlops_assets.lake.versions.snapshots import SnapshotHead

FILES_SHOWN: Final = 100
BARS_SHOWN: Final = 50
_SNAPSHOTS_SHOWN: Final = 50
_SPANS_SHOWN: Final = 4


def data_document(settings: Settings) -> dict[str, Any]:
    """Return the source, its files, its snapshots and its months.

    What cannot be read is said under ``error``; the rest is empty then.
    """
    document: dict[str, Any] = {
        "source": settings.source_name,
        "path": str(settings.source_folder),
        "simulated": settings.source.is_simulated,
        "error": None,
        "manifest": None,
        "snapshots": [],
        "kept": 0,
        "months": {},
        "stale": [],
    }
    try:
        return {**document, **_found(settings)}
    except (QlopsError, OSError) as error:
        return {**document, "error": str(error)}


def _found(settings: Settings) -> dict[str, Any]:
    from qlops_assets.lake.bars import stale_months
    from qlops_assets.lake.datasets import bars_dataset
    from qlops_assets.lake.scan import load_manifest
    from qlops_assets.lake.versions.snapshots import snapshot_store

    manifest = load_manifest(settings)
    if manifest is None:
        return {}
    store = snapshot_store(settings)
    numbers = store.numbers()
    heads = [store.head(number) for number in reversed(numbers[-_SNAPSHOTS_SHOWN:])]
    return {
        "manifest": _manifest(manifest),
        "snapshots": [head_document(head) for head in heads],
        "kept": len(numbers),
        "months": {month: info.rows for month, info in bars_dataset(settings).infos().items()},
        "stale": stale_months(settings),
    }


def _manifest(manifest: "Manifest") -> dict[str, Any]:
    return {
        "digest": manifest.digest,
        "observed_at": manifest.observed_at.isoformat(),
        "files": len(manifest.files),
        "rows": manifest.rows,
        "bytes": sum(file.size for file in manifest.files),
        "newest": [
            {
                "path": file.path,
                "digest": file.digest,
                "size": file.size,
                "modified_at": file.modified_at.isoformat(),
                "observed_at": file.observed_at.isoformat(),
                "rows": file.rows,
                "instruments": file.instruments,
                "first_date": file.first_date.isoformat(),
                "last_date": file.last_date.isoformat(),
            }
            for file in sorted(manifest.files, key=lambda f: f.observed_at, reverse=True)[
                :FILES_SHOWN
            ]
        ],
        "beside": [
            {
                "path": file.path,
                "digest": file.digest,
                "size": file.size,
                "modified_at": file.modified_at.isoformat(),
            }
            for file in manifest.others
        ],
        "quarantined": [{"path": q.path, "reason": q.reason} for q in manifest.quarantined],
        "waiting": [{"path": w.path, "reason": w.reason} for w in manifest.waiting],
        "held": manifest.held,
    }


def head_document(head: "SnapshotHead") -> dict[str, Any]:
    """Return a snapshot without its files."""
    return {**head.document(), "touched": spans(head.touched_months)}


def spans(months: Sequence[str]) -> str:
    """Return months in words, the first few spans of them."""
    named = [a if a == b else f"{a} to {b}" for a, b in contiguous_spans(months)]
    more = len(named) - _SPANS_SHOWN
    return ", ".join(named[:_SPANS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def snapshot_document(settings: Settings, number: int) -> dict[str, Any]:
    """Return a snapshot, what became of its files, and the bars that differ from the one before.

    Raises:
        UnknownSnapshotError: there is no such snapshot.
        LakeError: a kept file is gone or damaged.
    """
    from qlops_assets.lake.versions.diff import diff
    from qlops_assets.lake.versions.snapshots import snapshot_store

    store = snapshot_store(settings)
    snapshot = store.load(number)
    numbers = store.numbers()
    place = numbers.index(number)
    before = numbers[place - 1] if place else None
    return {
        **head_document(snapshot.head),
        "before": before,
        "after": numbers[place + 1] if place + 1 < len(numbers) else None,
        "file_changes": [change.to_json() for change in snapshot.changes],
        "bars": None if before is None else _bars(diff(settings, before, number)),
    }


def _bars(found: "BarsDiff") -> dict[str, Any]:
    return {
        "changed": found.changed.height,
        "added": found.added.height,
        "removed": found.removed.height,
        "columns": dict(found.columns),
        "recoded": dict(found.recoded),
        "changed_bars": _rows(found.changed),
        "added_bars": _rows(found.added),
        "removed_bars": _rows(found.removed),
    }


def _rows(rows: "pl.DataFrame") -> list[dict[str, Any]]:
    return [
        {**row, "date": str(row["date"])} for row in rows.head(BARS_SHOWN).iter_rows(named=True)
    ]
