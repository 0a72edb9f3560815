"""What a source held when it was last looked at: every file's version, and what is wrong with some.

The manifest's digest identifies the data; a training that records it can say exactly which files
it used.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from typing import Any

from qlops_assets.core.digests import combined_digest


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One version of a usable file.

    Attributes:
        path: Its name below the folder of bars.
        digest: xxh3_128 of its bytes.
        size: In bytes.
        modified_at: Its modification time when it was read.
        observed_at: When this version was first seen.
        months: The months its usable rows are in.
        rows: Rows in the file.
        first_date: Of its usable rows.
        last_date: Of its usable rows.
        instruments: How many different ones its usable rows have.
        timezone: The zone of its timestamps; None where it holds plain dates.
        set_aside: Rows that are not used because they cannot be right.
        duplicates: Rows that were there more than once, identically.
        constants: Columns, as (name, value), that its path gives (``instrument=SH600000/``).
    """

    path: str
    digest: str
    size: int
    modified_at: datetime
    observed_at: datetime
    months: tuple[str, ...]
    rows: int
    first_date: date
    last_date: date
    instruments: int
    timezone: str | None = None
    set_aside: int = 0
    duplicates: int = 0
    constants: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """A file that is not used, and why.

    ``check`` holds its own facts where it is good by itself and only contradicts other files.
    """

    path: str
    digest: str
    size: int
    modified_at: datetime
    reason: str
    check: SourceFile | None = None


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A file that may still be written; it is read when it has been quiet for a while."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The state of a source at one time.

    A file that was good and is now waiting or quarantined keeps its good version in ``files``, so
    nothing that was good is lost; one that is gone from the source is gone from here.

    Attributes:
        source: The folder it was read from.
        files: The versions that make up the bars, by path.
        quarantined: Files that are not used.
        waiting: Files that may still be written.
        digest: Of the paths and contents of ``files``: the version of the data.
        observed_at: When this state was first seen.
        rows: Rows of all ``files``.
        reading: Digest of how files are read (column names, time zone).
    """

    source: str
    files: tuple[SourceFile, ...]
    quarantined: tuple[QuarantinedFile, ...]
    waiting: tuple[WaitingFile, ...]
    digest: str
    observed_at: datetime
    rows: int
    reading: str = ""

    @property
    def held(self) -> list[str]:
        """Files whose last good version is used because the present one cannot be."""
        amiss = {q.path for q in self.quarantined} | {w.path for w in self.waiting}
        return [f.path for f in self.files if f.path in amiss]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Manifest":
        """Return the manifest that ``to_json`` described."""
        return cls(
            **{
                **value,
                "files": tuple(_source_file(f) for f in value["files"]),
                "quarantined": tuple(_quarantined(f) for f in value["quarantined"]),
                "waiting": tuple(WaitingFile(**f) for f in value["waiting"]),
                "observed_at": datetime.fromisoformat(value["observed_at"]),
            }
        )


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """What changed between two manifests: paths, and the months whose rows are touched."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    quarantined: tuple[str, ...]
    months: tuple[str, ...]


def content_version(files: tuple[SourceFile, ...]) -> str:
    """Return the digest of the files' paths and contents."""
    return combined_digest(sorted(f"{f.path}\t{f.digest}" for f in files))


def month_versions(manifest: Manifest) -> dict[str, str]:
    """Return for each month the digest of the (path, digest) pairs of the files that touch it."""
    touching: defaultdict[str, list[str]] = defaultdict(list)
    for file in manifest.files:
        for month in file.months:
            touching[month].append(f"{file.path}\t{file.digest}")
    return {month: combined_digest(sorted(touching[month])) for month in sorted(touching)}


def changed_months(old: Manifest | None, new: Manifest) -> set[str]:
    """Return the months whose files differ, those that no file touches any more included."""
    before = month_versions(old) if old else {}
    after = month_versions(new)
    return {m for m in before.keys() | after.keys() if before.get(m) != after.get(m)}


def difference(old: Manifest | None, new: Manifest) -> ManifestDiff:
    """Return which files came, changed, went or were quarantined, and the months they touch."""
    before = {f.path: f.digest for f in old.files} if old else {}
    after = {f.path: f.digest for f in new.files}
    known = {(q.path, q.digest) for q in old.quarantined} if old else set()
    return ManifestDiff(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(p for p in after.keys() & before.keys() if after[p] != before[p])),
        removed=tuple(sorted(before.keys() - after.keys())),
        quarantined=tuple(q.path for q in new.quarantined if (q.path, q.digest) not in known),
        months=tuple(sorted(changed_months(old, new))),
    )


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value.isoformat() if isinstance(value, date) else value


def _source_file(value: Mapping[str, Any]) -> SourceFile:
    return SourceFile(
        **{
            **value,
            "modified_at": datetime.fromisoformat(value["modified_at"]),
            "observed_at": datetime.fromisoformat(value["observed_at"]),
            "months": tuple(value["months"]),
            "constants": tuple((name, text) for name, text in value["constants"]),
            "first_date": date.fromisoformat(value["first_date"]),
            "last_date": date.fromisoformat(value["last_date"]),
        }
    )


def _quarantined(value: Mapping[str, Any]) -> QuarantinedFile:
    check = value["check"]
    return QuarantinedFile(
        **{
            **value,
            "modified_at": datetime.fromisoformat(value["modified_at"]),
            "check": _source_file(check) if check else None,
        }
    )
