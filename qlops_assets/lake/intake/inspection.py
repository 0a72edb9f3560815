"""One file of the source, new or changed: kept, read in full, and judged."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from qlops_assets.core.columns import DATE
from qlops_assets.core.errors import FileBusyError, UnusableFileError
from qlops_assets.core.months import month_of
from qlops_assets.lake.intake.agreement import spans_of
from qlops_assets.lake.intake.blobs import BlobStore, Stamp
from qlops_assets.lake.intake.faults import TOLERATED, sorted_out
from qlops_assets.lake.intake.rows import Reading, read_rows
from qlops_assets.lake.manifest import QuarantinedFile, SourceFile, WaitingFile
from qlops_assets.lake.sources.layout import FoundFile
from qlops_assets.lake.versions.contents import contents_of


@dataclass(frozen=True, slots=True)
class UsableFile:
    """A file that can be used: the days it covers per instrument, digests of what it says."""

    check: SourceFile
    spans: pl.DataFrame
    contents: pl.DataFrame


Outcome = UsableFile | QuarantinedFile | WaitingFile


def inspect(file: FoundFile, *, blobs: BlobStore, reading: Reading, now: datetime) -> Outcome:
    """Keep a file's bytes, read them once and say what they are."""
    try:
        blob = blobs.take(file.path)
    except FileBusyError as error:
        return WaitingFile(file.name, error.found)
    except UnusableFileError as error:
        return QuarantinedFile(file.name, "", 0, now, error.found)
    try:
        return judge(file, blob.digest, blob.stamp, blobs=blobs, reading=reading, now=now)
    except UnusableFileError as error:
        blobs.drop(blob)
        reason = f"{error.found}; {error.accepted}"
        return QuarantinedFile(
            file.name, blob.digest, blob.stamp.size, blob.stamp.modified_at, reason
        )


def kept_rows(version: SourceFile, *, blobs: BlobStore, reading: Reading) -> pl.DataFrame:
    """Return the rows of a file version as they were given, faulty and repeated ones included."""
    path = blobs.existing(version.digest, version.path)
    constants = dict(version.constants)
    return read_rows(path, name=version.path, constants=constants, reading=reading).frame


def judge(
    file: FoundFile, digest: str, stamp: Stamp, *, blobs: BlobStore, reading: Reading, now: datetime
) -> UsableFile:
    """Read kept bytes and return their facts.

    Raises:
        UnusableFileError: they cannot be read as bars, or too many of their rows are faulty.
    """
    kept = blobs.existing(digest, file.name)
    read = read_rows(kept, name=file.name, constants=file.constants, reading=reading)
    rows = sorted_out(read.frame)
    if rows.bad_share > TOLERATED or rows.good.is_empty():
        raise UnusableFileError(
            file.name,
            f"{rows.bad.height} of {read.frame.height} rows cannot be right: {rows.examples()}",
            f"up to {TOLERATED:.0%} would be set aside and the file used",
        )
    spans = spans_of(file.name, digest, rows.good)
    check = SourceFile(
        path=file.name,
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
        constants=tuple(sorted(file.constants.items())),
    )
    return UsableFile(check, spans, contents_of(file.name, digest, read.frame))
