"""One file of the source, new or changed: kept, read in full, and judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from qlops_assets.core.columns import DATE
from qlops_assets.core.errors import FileBusyError, UnusableFileError
from qlops_assets.core.months import month_of
from qlops_assets.lake.intake.agreement import spans_of
from qlops_assets.lake.intake.blobs import BlobStore
from qlops_assets.lake.intake.faults import TOLERATED, sorted_out
from qlops_assets.lake.intake.rows import Reading, read_rows
from qlops_assets.lake.manifest import QuarantinedFile, SourceFile, WaitingFile
from qlops_assets.lake.sources.layout import Found
from qlops_assets.lake.sources.place import Place, Stamp
from qlops_assets.lake.versions.contents import contents_of


@dataclass(frozen=True, slots=True)
class UsableFile:
    """A file that can be used: the days it covers per instrument, digests of what it says."""

    check: SourceFile
    spans: pl.DataFrame
    contents: pl.DataFrame


Outcome = UsableFile | QuarantinedFile | WaitingFile


def inspect(
    file: Found, place: Place, *, blobs: BlobStore, reading: Reading, now: datetime
) -> Outcome:
    """Keep a file's bytes, read them once and say what they are.

    Raises:
        LakeError: there is no room to keep them.
    """
    try:
        blob = blobs.take(file, place)
    except FileBusyError as error:
        return WaitingFile(file.name, error.found)
    except UnusableFileError as error:
        return QuarantinedFile(file.name, "", 0, now, error.found)
    try:
        return judge(
            file.name,
            file.constants,
            blob.digest,
            blob.stamp,
            blobs=blobs,
            reading=reading,
            now=now,
        )
    except UnusableFileError as error:
        blobs.drop(blob)
        reason, stamp = f"{error.found}; {error.accepted}", blob.stamp
        return QuarantinedFile(
            file.name, blob.digest, stamp.size, stamp.modified_at, reason, tag=stamp.tag
        )


def kept_rows(version: SourceFile, *, blobs: BlobStore, reading: Reading) -> pl.DataFrame:
    """Return the rows of a file version as they were given, faulty and repeated ones included."""
    path = blobs.existing(version.digest, version.path)
    constants = dict(version.constants)
    return read_rows(path, name=version.path, constants=constants, reading=reading).frame


def judge(
    name: str,
    constants: Mapping[str, str],
    digest: str,
    stamp: Stamp,
    *,
    blobs: BlobStore,
    reading: Reading,
    now: datetime,
) -> UsableFile:
    """Read kept bytes and return their facts.

    Args:
        name: The file's.
        constants: Columns that its path gives.
        digest: Of its bytes.
        stamp: It had when they were taken.
        blobs: Where they are kept.
        reading: How to read them.
        now: When they are seen.

    Raises:
        UnusableFileError: they cannot be read as bars, or too many of their rows are faulty.
    """
    kept = blobs.existing(digest, name)
    read = read_rows(kept, name=name, constants=constants, reading=reading)
    rows = sorted_out(read.frame)
    if rows.bad_share > TOLERATED or rows.good.is_empty():
        raise UnusableFileError(
            name,
            f"{rows.bad.height} of {read.frame.height} rows cannot be right: {rows.examples()}",
            f"up to {TOLERATED:.0%} would be set aside and the file used",
        )
    spans = spans_of(name, digest, rows.good)
    check = SourceFile(
        path=name,
        digest=digest,
        size=stamp.size,
        modified_at=stamp.modified_at,
        observed_at=now,
        months=tuple(month_of(day) for day in rows.good[DATE].dt.month_start().unique().sort()),
        rows=read.frame.height,
        first_date=spans["first"].sort()[0],
        last_date=spans["last"].sort()[-1],
        instruments=spans.height,
        timezone=read.timezone,
        set_aside=rows.bad.height,
        duplicates=rows.duplicates,
        constants=tuple(sorted(constants.items())),
        tag=stamp.tag,
    )
    return UsableFile(check, spans, contents_of(name, digest, read.frame))
