"""What a source held when it was last looked at: every file's version, and what is wrong with some.

The manifest's digest identifies the data; a training that records it can say exactly which files
it used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

from qlops_assets.core.digests import combined_digest
from qlops_assets.core.months import contiguous_spans, months_between


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
        tag: What else told it from other versions: an object's ETag.
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
    tag: str = ""


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
    tag: str = ""


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A file that may still be written; it is read when it has been quiet for a while."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class OtherFile:
    """One version of a file beside the bars: the benchmark's, or a universe.

    Attributes:
        path: Its name below the source's folder.
        digest: xxh3_128 of its bytes.
        size: In bytes.
        modified_at: Its modification time when it was read.
        tag: What else told it from other versions: an object's ETag.
    """

    path: str
    digest: str
    size: int
    modified_at: datetime
    tag: str = ""


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
        digest: Of the paths and bytes of ``files`` and ``others``.
        observed_at: When this state was first seen.
        rows: Rows of all ``files``.
        reading: Digest of how files are read (column names, time zone).
        months: For each month a digest of what ``files`` say about it, whatever their bytes:
            the month's data version.
        below: Where in the source's folder the paths of ``files`` begin: ``bars/`` or nothing.
        others: Files beside the bars that a training depends on, by path.
    """

    source: str
    files: tuple[SourceFile, ...]
    quarantined: tuple[QuarantinedFile, ...]
    waiting: tuple[WaitingFile, ...]
    digest: str
    observed_at: datetime
    rows: int
    reading: str = ""
    months: Mapping[str, str] = field(default_factory=dict)
    below: str = ""
    others: tuple[OtherFile, ...] = ()

    @property
    def versions(self) -> "tuple[SourceFile | OtherFile, ...]":
        """Every file version that this state is made of."""
        return (*self.files, *self.others)

    @property
    def held(self) -> list[str]:
        """Files whose last good version is used because the present one cannot be."""
        amiss = {q.path for q in self.quarantined} | {w.path for w in self.waiting}
        return [f.path for f in self.files if f.path in amiss]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Manifest":
        """Return the manifest that ``to_json`` described."""
        return cls(
            **{
                **value,
                "files": tuple(_source_file(f) for f in value["files"]),
                "quarantined": tuple(_quarantined(f) for f in value["quarantined"]),
                "waiting": tuple(WaitingFile(**f) for f in value["waiting"]),
                "others": tuple(_other_file(f) for f in value.get("others", ())),
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


def content_version(files: tuple[SourceFile, ...], others: tuple[OtherFile, ...] = ()) -> str:
    """Return the digest of the paths and bytes of files."""
    return combined_digest(
        [*sorted(f"{f.path}\t{f.digest}" for f in files)]
        + [f"/{f.path}\t{f.digest}" for f in sorted(others, key=lambda f: f.path)]
    )


def month_versions(manifest: Manifest) -> dict[str, str]:
    """Return the data version of each month: what the files say about it."""
    return dict(manifest.months)


def changed_months(old: Manifest | None, new: Manifest) -> set[str]:
    """Return the months of which the files say something else, or that only one of them has."""
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


_NAMES: Final = tuple(f.name for f in fields(SourceFile))
_MOMENTS: Final = ("modified_at", "observed_at", "first_date", "last_date")


@lru_cache(maxsize=1024)
def _spans(months: tuple[str, ...]) -> list[tuple[str, str]]:
    return contiguous_spans(months)


def _plain(value: Any) -> Any:
    if isinstance(value, SourceFile):
        # A market can be thousands of files, each with every month of its history.
        plain = {name: getattr(value, name) for name in _NAMES}
        return {
            **plain,
            **{name: plain[name].isoformat() for name in _MOMENTS},
            "months": _spans(value.months),
        }
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, date) else value


@lru_cache(maxsize=1024)
def _months(spans: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(month for first, last in spans for month in months_between(first, last))


def _other_file(value: Mapping[str, Any]) -> OtherFile:
    return OtherFile(**{**value, "modified_at": datetime.fromisoformat(value["modified_at"])})


def _source_file(value: Mapping[str, Any]) -> SourceFile:
    return SourceFile(
        **{
            **value,
            "modified_at": datetime.fromisoformat(value["modified_at"]),
            "observed_at": datetime.fromisoformat(value["observed_at"]),
            "months": _months(tuple(tuple(span) for span in value["months"])),
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
