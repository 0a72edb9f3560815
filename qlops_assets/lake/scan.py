"""Look at the source: which files are new or changed, which can be used, what must wait.

The result is a manifest, kept as ``<lake>/raw_bars/manifest.json``; every state of the files that
was seen is a snapshot besides.
"""

import time
from pathlib import Path, PurePosixPath
from typing import Final

import polars as pl

from qlops_assets.core.atomic import read_json, remove_leftovers, sync, write_json
from qlops_assets.core.clock import Clock, SystemClock
from qlops_assets.core.errors import (
    FileBusyError,
    LakeError,
    SourceBusyError,
    SourceError,
    UnusableFileError,
)
from qlops_assets.core.locks import locked
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.lake.intake.agreement import contradictions, foreign_zones, overlapping
from qlops_assets.lake.intake.blobs import blob_store
from qlops_assets.lake.intake.facts import FileFacts, load_facts
from qlops_assets.lake.intake.faults import sorted_out
from qlops_assets.lake.intake.inspection import Outcome, UsableFile, inspect, judge, kept_rows
from qlops_assets.lake.intake.rows import Reading
from qlops_assets.lake.manifest import (
    Manifest,
    OtherFile,
    QuarantinedFile,
    SourceFile,
    WaitingFile,
    content_version,
)
from qlops_assets.lake.sources.layout import Found
from qlops_assets.lake.sources.place import Stamp
from qlops_assets.lake.sources.root import source_root
from qlops_assets.lake.sources.sync import sync_of
from qlops_assets.lake.versions.changes import file_changes
from qlops_assets.lake.versions.contents import month_contents
from qlops_assets.lake.versions.snapshots import snapshot_store

_REASONS_SHOWN: Final = 3
_RETRY_S: Final = 0.5
_REPORTS: Final = 100  # at most, of progress


def scan(
    settings: Settings, *, clock: Clock | None = None, progress: Progress | None = None
) -> Manifest:
    """Look at the source and return its manifest; unchanged files are neither hashed nor read.

    1. A file with the size and modification time of the last scan is as it was.
    2. One that may still be written waits: see :mod:`sources.sync`.
    3. Every other file is copied, hashed, read in full and judged; a bad one is quarantined.
    4. Files that contradict others are quarantined.
    5. Where a file that was good is now waiting or quarantined, its good version stays.

    Where nothing changed, the manifest of the last scan is returned as it was.

    Raises:
        SourceError: the source is missing or no file in it can be used.
        LakeError: there is no room for what was seen; what was known before stays.
        SourceBusyError: no file can be used yet, and some may still be written.
        SettingsError: ``[source.columns]`` maps a column that bars do not have.
        LockedError: another scan of this source did not end in ten minutes.
    """
    with locked(scan_lock(settings)):
        try:
            return _Scan(settings, clock or SystemClock()).run(progress or Unreported())
        except (OSError, pl.exceptions.PolarsError) as error:
            raise LakeError(
                f"{_folder(settings)}: cannot be written ({error}); what was known of the source "
                "stays as it was"
            ) from error


def scan_when_quiet(
    settings: Settings,
    *,
    timeout_s: float = 30.0,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Scan, and again while files wait, until none does or the time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        is_last = time.monotonic() >= deadline
        try:
            manifest = scan(settings, clock=clock, progress=progress)
        except SourceBusyError:
            if is_last:
                raise
        else:
            if is_last or not manifest.waiting:
                return manifest
        time.sleep(_RETRY_S)


def load_manifest(settings: Settings) -> Manifest | None:
    """Return the manifest of the last scan, or None where the source was never scanned.

    Raises:
        LakeError: the manifest's file is damaged.
    """
    path = _folder(settings) / "manifest.json"
    try:
        value = read_json(path)
        return None if value is None else Manifest.from_json(value)
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{path}: is not a manifest; remove it and scan again") from error


def scan_lock(settings: Settings) -> Path:
    """Return the lock of what is kept of the source: one scan or clean-up at a time."""
    return _folder(settings) / ".lock"


class _Scan:
    """One look at the source, compared with the one before."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._now = settings, clock.now()
        self._reading = Reading.of(settings)
        self._root = source_root(settings)
        self._folder = _folder(settings)
        self._found = {f.name: f for f in self._root.bars(settings.source.layout)}
        self._beside = {f.name: f for f in self._root.others()}
        self._sync = sync_of(self._root.place, settings.source)
        self._blobs = blob_store(settings)
        self._kept = frozenset(self._blobs.digests())  # asked for thousands of times
        self._previous = load_manifest(settings) or self._nothing_yet()
        self._read_alike = self._previous.reading == self._reading.digest
        self._old = {f.path: f for f in self._previous.files}
        self._old_beside = {f.path: f for f in self._previous.others}
        self._old_bad = {q.path: q for q in self._previous.quarantined}
        self._good: dict[str, SourceFile] = {}
        self._bad: dict[str, QuarantinedFile] = {}
        self._waiting: dict[str, WaitingFile] = {}
        self._fresh: list[UsableFile] = []
        self._others: dict[str, OtherFile] = {}

    def _nothing_yet(self) -> Manifest:
        return Manifest("", (), (), (), "", self._now, 0)

    def run(self, progress: Progress) -> Manifest:
        for place, file in enumerate(self._found.values(), start=1):
            self._record(file, self._outcome(file))
            if place % (len(self._found) // _REPORTS + 1) == 0 or place == len(self._found):
                progress.report("scan", place, len(self._found))
        self._look_at_folders()
        for file in self._beside.values():
            self._record_other(file, self._other(file))
        if self._is_as_before():
            return self._previous
        before = load_facts(self._folder)
        known = before.updated(self._fresh)
        self._settle(known.of(self._good.values(), self._judged).spans)
        files = sorted([*self._good.values(), *self._held()], key=lambda f: f.path)
        if not files:
            raise self._nothing_usable()
        facts = known.of(files, self._judged)
        others = tuple(self._others[path] for path in sorted(self._others))
        manifest = Manifest(
            source=self._root.where,
            files=tuple(files),
            quarantined=tuple(self._bad[path] for path in sorted(self._bad)),
            waiting=tuple(self._waiting[path] for path in sorted(self._waiting)),
            digest=content_version(tuple(files), others),
            observed_at=self._now,
            rows=sum(f.rows for f in files),
            reading=self._reading.digest,
            months=month_contents(facts.contents),
            below=self._root.below,
            others=others,
        )
        self._save(manifest, before, facts)
        return manifest

    def _save(self, manifest: Manifest, before: FileFacts, facts: FileFacts) -> None:
        """Keep the state, the manifest last: a scan that is killed before that is done again."""
        snapshots = snapshot_store(self._settings)
        last = snapshots.latest()
        # The last snapshot may be newer than the manifest: a scan was killed between the two.
        old = snapshots.load(last.number).manifest if last else None
        changes = file_changes(old, manifest, before.contents, facts.contents)
        sync(self._blobs.folder)
        facts.save(self._folder)
        snapshots.record(manifest, changes, now=self._now)
        write_json(self._folder / "manifest.json", manifest.to_json())
        remove_leftovers(self._folder)
        remove_leftovers(self._blobs.folder)

    def _outcome(self, file: Found) -> Outcome | SourceFile | None:
        """Return what a file is now; None where it went while we looked."""
        try:
            stamp = file.stamp(self._root.place)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._unreadable(file.name, f"cannot be read ({error.strerror or error})")
        if known := self._unchanged(file.name, stamp):
            return known
        if unfinished := self._unfinished(file, stamp):
            return WaitingFile(file.name, unfinished)
        return inspect(
            file, self._root.place, blobs=self._blobs, reading=self._reading, now=self._now
        )

    def _other(self, file: Found) -> OtherFile | QuarantinedFile | WaitingFile | None:
        """Return what a file beside the bars is now; None where it went while we looked."""
        try:
            stamp = file.stamp(self._root.place)
            known = self._old_beside.get(file.name)
            if known and _stamp_of(known) == stamp and known.digest in self._kept:
                return known
            if unfinished := self._unfinished(file, stamp):
                return WaitingFile(file.name, unfinished)
            blob = self._blobs.take(file, self._root.place)
        except FileNotFoundError:
            return None
        except FileBusyError as error:
            return WaitingFile(file.name, error.found)
        except (UnusableFileError, OSError) as error:
            return self._unreadable(file.name, f"cannot be read ({error})")
        stamp = blob.stamp
        return OtherFile(file.name, blob.digest, stamp.size, stamp.modified_at, stamp.tag)

    def _look_at_folders(self) -> None:
        """Quarantine files in whose place there is a folder now, unless bars are in it."""
        gone = self._old.keys() - self._found.keys()
        if not gone:
            return
        with_bars = {str(above) for name in self._found for above in PurePosixPath(name).parents}
        for name in gone - with_bars:
            if self._root.place.is_folder(self._root.below + name):
                self._bad[name] = self._unreadable(name, "is a folder now, without bars in it")

    def _unreadable(self, name: str, reason: str) -> QuarantinedFile:
        known = self._old_bad.get(name)
        if known and (known.digest, known.reason) == ("", reason):
            return known  # seen before: nothing changed
        return QuarantinedFile(name, "", 0, self._now, reason)

    def _unchanged(self, name: str, stamp: Stamp) -> SourceFile | QuarantinedFile | None:
        if not self._read_alike:
            return None
        for known in (self._old_bad.get(name), self._old.get(name)):
            if known and known.digest and _stamp_of(known) == stamp:
                check = known.check if isinstance(known, QuarantinedFile) else known
                return known if check is None or check.digest in self._kept else None
        return None

    def _unfinished(self, file: Found, stamp: Stamp) -> str | None:
        if self._settings.source.is_simulated:
            return None  # the built-in market appears whole, by one rename
        return self._sync.unfinished(file.folder, stamp, self._now)

    def _record_other(
        self, file: Found, outcome: OtherFile | QuarantinedFile | WaitingFile | None
    ) -> None:
        held = self._old_beside.get(file.name)
        match outcome:
            case OtherFile():
                self._others[file.name] = outcome
                return
            case QuarantinedFile():
                self._bad[file.name] = outcome
            case WaitingFile():
                self._waiting[file.name] = outcome
        if outcome is not None and held is not None and self._blobs.has(held.digest):
            self._others[file.name] = held

    def _record(self, file: Found, outcome: Outcome | SourceFile | None) -> None:
        match outcome:
            case SourceFile():
                self._good[file.name] = outcome
            case QuarantinedFile(check=SourceFile() as check):
                self._good[file.name] = check  # good by itself: judged against the others again
            case QuarantinedFile():
                self._bad[file.name] = outcome
            case WaitingFile():
                self._waiting[file.name] = outcome
            case UsableFile(check):
                self._good[file.name] = check
                self._fresh.append(outcome)

    def _is_as_before(self) -> bool:
        amiss = self._bad.keys() | self._waiting.keys()
        disputed = {q.path: q.check for q in self._old_bad.values() if q.check}
        before = {path: f for path, f in self._old.items() if path not in amiss} | disputed
        return (
            self._read_alike
            and bool(self._old)
            and self._previous.source == self._root.where
            and self._others == self._old_beside
            and self._good == before
            and self._bad == {p: q for p, q in self._old_bad.items() if not q.check}
            and self._waiting == {w.path: w for w in self._previous.waiting}
            and self._old.keys() <= self._found.keys() | self._bad.keys()
        )

    def _judged(self, version: SourceFile) -> UsableFile:
        return judge(
            version.path,
            dict(version.constants),
            version.digest,
            _stamp_of(version),
            blobs=self._blobs,
            reading=self._reading,
            now=version.observed_at,
        )

    def _settle(self, spans: pl.DataFrame) -> None:
        """Quarantine the files that contradict others."""
        incumbents = [f for f in self._good.values() if self._old.get(f.path) == f]
        if self._reading.timezone is None:
            self._refuse(foreign_zones(list(self._good.values()), incumbents))
        suspects = overlapping(spans) & self._good.keys()
        accepted = {f.path for f in incumbents}
        ordered = sorted(
            (self._good[path] for path in suspects),
            key=lambda f: (f.path not in accepted, f.modified_at, f.path),
        )
        if ordered:
            self._refuse(contradictions(ordered, self._rows))

    def _rows(self, version: SourceFile) -> pl.DataFrame:
        return sorted_out(kept_rows(version, blobs=self._blobs, reading=self._reading)).good

    def _refuse(self, reasons: dict[str, str]) -> None:
        for path, reason in reasons.items():
            check = self._good.pop(path)
            self._bad[path] = QuarantinedFile(
                path, check.digest, check.size, check.modified_at, reason, check, check.tag
            )

    def _held(self) -> list[SourceFile]:
        """Return the last good versions of files that cannot be used now."""
        held = []
        for path in self._bad.keys() | self._waiting.keys():
            version = self._old.get(path)
            refused = self._bad[path].check if path in self._bad else None
            if version is None or not self._blobs.has(version.digest):
                continue
            if refused and refused.digest == version.digest:
                continue
            try:
                held.append(version if self._read_alike else self._judged(version).check)
            except UnusableFileError:
                continue  # the good version does not fit the new settings either
        return held

    def _nothing_usable(self) -> SourceError:
        reasons = [f"{q.path}: {q.reason}" for q in self._bad.values()]
        reasons += [f"{w.path}: {w.reason}" for w in self._waiting.values()]
        shown = " | ".join(reasons[:_REASONS_SHOWN])
        more = (
            f" | and {len(reasons) - _REASONS_SHOWN} more" if len(reasons) > _REASONS_SHOWN else ""
        )
        kind = SourceBusyError if self._waiting else SourceError
        found = f"none of {len(self._found)} files can be used: {shown}{more}"
        return kind(self._root.where, found, "at least one usable file of daily bars is needed")


def _stamp_of(version: SourceFile | OtherFile | QuarantinedFile) -> Stamp:
    return Stamp(version.size, version.modified_at, version.tag)


def _folder(settings: Settings) -> Path:
    return settings.lake / "raw_bars"
