"""What became of every file from one state of a source to the next."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from qlops_assets.core.columns import INSTRUMENT
from qlops_assets.lake.manifest import Manifest, SourceFile
from qlops_assets.lake.versions.contents import MONTH

Kind = Literal["added", "changed", "recompressed", "renamed", "removed"]


@dataclass(frozen=True, slots=True)
class FileChange:
    """What became of one file.

    Attributes:
        path: Its name; the new one where it was renamed.
        kind: ``recompressed`` where its bytes differ and its rows do not.
        before: Digest of its bytes before; None where it was not there.
        after: Digest now; None where it is gone.
        months: Months of which it says something else than before.
        instruments: Instruments of which it does.
        was: Its name before, where it was renamed.
    """

    path: str
    kind: Kind
    before: str | None
    after: str | None
    months: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    was: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FileChange":
        """Return the change that ``to_json`` described."""
        lists = {name: tuple(value[name]) for name in ("months", "instruments")}
        return cls(**{**value, **lists})


def file_changes(
    old: Manifest | None,
    new: Manifest,
    old_contents: pl.DataFrame,
    new_contents: pl.DataFrame,
) -> tuple[FileChange, ...]:
    """Return what became of every file that is not as it was, by path.

    Args:
        old: The state before, None where there was none.
        new: The state now.
        old_contents: Digests of what the files of ``old`` say; of those that are known.
        new_contents: Digests of what the files of ``new`` say.
    """
    before = {f.path: f for f in old.files} if old else {}
    after = {f.path: f for f in new.files}
    changed = {
        path
        for path in before.keys() | after.keys()
        if _bytes_of(before.get(path)) != _bytes_of(after.get(path))
    }
    gone = {before[path].digest: path for path in sorted(changed) if path not in after}
    moved = {
        path: gone.pop(after[path].digest)
        for path in sorted(changed)
        if path not in before and after[path].digest in gone
    }
    touched = _touched(
        _of(old_contents, {p: f for p, f in before.items() if p in changed}, moved),
        _of(new_contents, {p: f for p, f in after.items() if p in changed}, {}),
    )
    return (
        *(
            _change(
                path, before.get(moved.get(path, path)), after.get(path), touched, moved.get(path)
            )
            for path in sorted(changed - set(moved.values()))
        ),
        *_beside(old, new),
    )


def _beside(old: Manifest | None, new: Manifest) -> Iterator[FileChange]:
    """Yield what became of the files beside the bars; they touch no month of these."""
    before = {f.path: f.digest for f in old.others} if old else {}
    after = {f.path: f.digest for f in new.others}
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if was != now:
            kind: Kind = "added" if was is None else "removed" if now is None else "changed"
            yield FileChange(path, kind, was, now)


def _bytes_of(file: SourceFile | None) -> str | None:
    return file.digest if file else None


def _of(
    contents: pl.DataFrame, files: Mapping[str, SourceFile], moved: Mapping[str, str]
) -> pl.DataFrame:
    """Return what file versions say, under the names that they have now."""
    names = {was: now for now, was in moved.items()}
    versions = pl.DataFrame(
        [(path, file.digest, names.get(path, path)) for path, file in files.items()],
        schema={"path": pl.String, "digest": pl.String, "name": pl.String},
        orient="row",
    )
    return contents.join(versions, on=["path", "digest"]).select(
        pl.col("name").alias("path"), "kind", "key", "content"
    )


def _touched(old: pl.DataFrame, new: pl.DataFrame) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return by (path, kind) the months and the instruments of which a file says something else."""
    both = old.join(new, on=["path", "kind", "key"], how="full", coalesce=True, suffix="_new")
    differs = both.filter(pl.col("content").ne_missing(pl.col("content_new")))
    parts = differs.sort("key").group_by("path", "kind", maintain_order=True).agg("key")
    return {(path, kind): tuple(keys) for path, kind, keys in parts.iter_rows()}


def _change(
    path: str,
    before: SourceFile | None,
    after: SourceFile | None,
    touched: Mapping[tuple[str, str], tuple[str, ...]],
    was: str | None,
) -> FileChange:
    months, instruments = (touched.get((path, kind), ()) for kind in (MONTH, INSTRUMENT))
    kind: Kind = "changed" if months or instruments else "recompressed"
    if was is not None:
        kind = "renamed"
    elif before is None:
        kind = "added"
    elif after is None:
        kind = "removed"
    return FileChange(path, kind, _bytes_of(before), _bytes_of(after), months, instruments, was)
