"""Snapshots: one record for every state of the source that was seen, in order.

A snapshot is two files of ``<lake>/raw_bars/snapshots``: its body, ``000012.files.json.gz``, with
the manifest and what changed of every file; and its head, ``000012.json``, which is written last:
a body without a head was never recorded.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.atomic import read_json, write_bytes, write_json
from qlops_assets.core.errors import LakeError, UnknownSnapshotError
from qlops_assets.core.settings import Settings
from qlops_assets.lake.manifest import Manifest
from qlops_assets.lake.versions.changes import FileChange

_HEAD: Final = re.compile(r"(\d{6,})\.json")
_LEAST_DIGEST: Final = 6


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """What a snapshot is, without its files.

    Attributes:
        number: Its place among the snapshots of this source, from 1.
        known_at: When this state was first seen. Never before that of an earlier snapshot, also
            where a clock was set back.
        digest: Of the paths and bytes of its files.
        reading: Digest of how files were read.
        source: Where they were.
        files: How many files.
        rows: How many rows.
        months: The data version of every month.
        changes: How many files were added, changed, recompressed, renamed, removed.
        touched_months: Months of which the files say something else than before.
        touched_instruments: How many instruments of which they do.
    """

    number: int
    known_at: datetime
    digest: str
    reading: str
    source: str
    files: int
    rows: int
    months: Mapping[str, str]
    changes: Mapping[str, int]
    touched_months: tuple[str, ...]
    touched_instruments: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "known_at": self.known_at.isoformat()}

    def document(self) -> dict[str, Any]:
        """Return what people and programs are told of it, by the words of every document."""
        return {
            "snapshot": self.number,
            "known_at": self.known_at.isoformat(),
            "digest": self.digest,
            "files": self.files,
            "rows": self.rows,
            "changes": dict(self.changes),
            "touched_months": list(self.touched_months),
            "touched_instruments": self.touched_instruments,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SnapshotHead":
        """Return the head that ``to_json`` described."""
        moment = datetime.fromisoformat(value["known_at"])
        return cls(
            **{**value, "known_at": moment, "touched_months": tuple(value["touched_months"])}
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of the source: its manifest, and what changed since the snapshot before."""

    head: SnapshotHead
    manifest: Manifest
    changes: tuple[FileChange, ...]


class SnapshotStore:
    """The snapshots of one source. One process at a time records or removes; any number reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def heads(self) -> list[SnapshotHead]:
        """Return the head of every snapshot, oldest first.

        Raises:
            LakeError: one is damaged.
        """
        return [self.head(number) for number in self.numbers()]

    def numbers(self) -> list[int]:
        """Return the numbers of the snapshots that are kept, in order."""
        if not self.folder.is_dir():
            return []
        found = (_HEAD.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def latest(self) -> SnapshotHead | None:
        """Return the newest snapshot's head, or None before the first."""
        numbers = self.numbers()
        return self.head(numbers[-1]) if numbers else None

    def head(self, number: int) -> SnapshotHead:
        """Return one snapshot's head.

        Raises:
            UnknownSnapshotError: there is none of that number.
            LakeError: it is damaged.
        """
        path = self._head_path(number)
        try:
            value = read_json(path)
            if value is None:
                raise UnknownSnapshotError(str(number), self._known())
            return SnapshotHead.from_json(value)
        except (ValueError, KeyError, TypeError) as error:
            raise LakeError(f"{path}: is not the record of a snapshot ({error})") from error

    def load(self, number: int) -> Snapshot:
        """Return a snapshot with its files.

        Raises:
            UnknownSnapshotError: there is none of that number.
            LakeError: it is damaged.
        """
        head, path = self.head(number), self._body_path(number)
        try:
            value = json.loads(gzip.decompress(path.read_bytes()))
            manifest = Manifest.from_json(value["manifest"])
            changes = tuple(FileChange.from_json(change) for change in value["changes"])
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise LakeError(f"{path}: the files of snapshot {number} cannot be read") from error
        return Snapshot(head, manifest, changes)

    def at(self, moment: datetime) -> SnapshotHead:
        """Return the snapshot that was known at a moment.

        Raises:
            UnknownSnapshotError: nothing was known yet, or the moment has no zone.
        """
        if moment.tzinfo is None:
            raise UnknownSnapshotError(
                moment.isoformat(), "that time has no zone, so it could be many moments"
            )
        known = [head for head in self.heads() if head.known_at <= moment]
        if not known:
            raise UnknownSnapshotError(f"of {moment.isoformat()}", self._known())
        return known[-1]

    def find(self, reference: str) -> SnapshotHead:
        """Return the snapshot of a number, of (the beginning of) a digest, or of a time.

        Raises:
            UnknownSnapshotError: there is none, or several.
        """
        text = reference.strip()
        if text.isdigit() and int(text) in self.numbers():
            return self.head(int(text))
        if len(text) >= _LEAST_DIGEST and re.fullmatch(r"[0-9a-f]+", text):
            # A state that comes back has one digest and several snapshots: the newest is meant.
            matching = [head for head in self.heads() if head.digest.startswith(text)]
            if len({head.digest for head in matching}) == 1:
                return matching[-1]
            if matching:
                raise UnknownSnapshotError(text, f"{len(matching)} digests begin so")
        if "-" in text:
            return self.at(_moment(text))
        raise UnknownSnapshotError(repr(reference), self._known())

    def record(
        self, manifest: Manifest, changes: Sequence[FileChange], *, now: datetime
    ) -> SnapshotHead:
        """Record a state of the source, unless the newest snapshot is of the same."""
        latest = self.latest()
        if latest and (latest.digest, latest.reading) == (manifest.digest, manifest.reading):
            return latest
        head = SnapshotHead(
            number=latest.number + 1 if latest else 1,
            known_at=max(now, latest.known_at) if latest else now,
            digest=manifest.digest,
            reading=manifest.reading,
            source=manifest.source,
            files=len(manifest.files),
            rows=manifest.rows,
            months=dict(manifest.months),
            changes=dict(Counter(change.kind for change in changes)),
            touched_months=_touched(latest.months if latest else {}, manifest.months),
            touched_instruments=len({code for c in changes for code in c.instruments}),
        )
        body = {
            "manifest": manifest.to_json(),
            "changes": [change.to_json() for change in changes],
        }
        packed = gzip.compress(json.dumps(body, ensure_ascii=False).encode(), 6, mtime=0)
        write_bytes(self._body_path(head.number), packed)
        write_json(self._head_path(head.number), head.to_json())
        return head

    def remove(self, number: int) -> None:
        """Forget a snapshot; nothing happens where there is none of that number."""
        self._head_path(number).unlink(missing_ok=True)
        self._body_path(number).unlink(missing_ok=True)

    def _head_path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def _body_path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.files.json.gz"

    def _known(self) -> str:
        heads = self.heads()
        if not heads:
            return "there is none yet; `qlops data scan` makes the first"
        first, last = heads[0], heads[-1]
        return (
            f"kept are {first.number} of {first.known_at:%Y-%m-%dT%H:%M:%S%z} to "
            f"{last.number} of {last.known_at:%Y-%m-%dT%H:%M:%S%z}"
        )


def _touched(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(m for m in old.keys() | new.keys() if old.get(m) != new.get(m)))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UnknownSnapshotError(repr(text), f"it is no time ({error})") from error


def snapshot_store(settings: Settings) -> SnapshotStore:
    """Return the snapshots of this lake's source."""
    return SnapshotStore(settings.lake / "raw_bars" / "snapshots")
