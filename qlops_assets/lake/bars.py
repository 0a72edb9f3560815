"""From the source's rows to bars: cleaned, adjusted, one Parquet file per month.

Rows come from the kept copies that the manifest names, never from the source itself, so the bars
of a month are a function of the manifest and of how files are read.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import polars as pl

from qlops_assets.core.atomic import remove_leftovers, replacing
from qlops_assets.core.columns import BARS, DATE, INSTRUMENT, KEY, PRICES
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import DatasetMissingError
from qlops_assets.core.months import contiguous_spans, first_day, next_month
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.lake.datasets import bars_dataset, by_month
from qlops_assets.lake.intake.blobs import BlobStore, blob_store
from qlops_assets.lake.intake.faults import sorted_out
from qlops_assets.lake.intake.inspection import kept_rows
from qlops_assets.lake.intake.rows import NUMBERS, Reading
from qlops_assets.lake.intake.tables import is_adjusted
from qlops_assets.lake.manifest import Manifest, SourceFile, month_versions
from qlops_assets.lake.scan import load_manifest

_VERSION: Final = 1
_ROWS_AT_ONCE: Final = 4_000_000
_WRITERS: Final = 2
_VWAP_TOLERANCE: Final = 0.01
FILE: Final = "file"
_NOTHING: Final = pl.DataFrame(
    schema={
        INSTRUMENT: pl.String,
        DATE: pl.Date,
        **dict.fromkeys(NUMBERS, pl.Float64),
        FILE: pl.Categorical,
    }
)


@dataclass(frozen=True, slots=True)
class MonthReport:
    """What became of a month.

    Attributes:
        month: The month key.
        rows: Bars written; 0 where the month was removed.
        instruments: With at least one bar.
        days: With at least one bar.
        digest: Of the bars; empty where the month was removed.
        halted: Bars of days without trading: volume 0, prices null.
        duplicates: Identical rows that were dropped.
        set_aside: Rows with a fault, now in ``<lake>/quarantine/<month>.parquet``.
        vwap_filled: Whether some traded day had to take the mean of its prices as its vwap.
    """

    month: str
    rows: int = 0
    instruments: int = 0
    days: int = 0
    digest: str = ""
    halted: int = 0
    duplicates: int = 0
    set_aside: int = 0
    vwap_filled: bool = False


def bars_code(settings: Settings) -> str:
    """Return the digest of how bars are made: months made otherwise are stale."""
    return value_digest(["bars", _VERSION, Reading.of(settings).digest])


def build_bars(
    settings: Settings, months: Sequence[str], *, progress: Progress | None = None
) -> dict[str, MonthReport]:
    """Make the bars of the given months anew and return what became of each.

    A month that no file touches any more, or of which no row is left, is removed.

    Raises:
        DatasetMissingError: the source was never scanned.
        LakeError: the kept copy of a file is gone.
    """
    manifest = load_manifest(settings)
    if manifest is None:
        raise DatasetMissingError("raw_bars", list(months), "scan the source first")
    build = _Build(settings, manifest)
    reports: dict[str, MonthReport] = {}
    wanted = sorted(set(months))
    for batch in _batches(manifest, wanted):
        reports |= build.months(batch)
        (progress or Unreported()).report("bars", len(reports), len(wanted))
    remove_leftovers(bars_dataset(settings).folder)
    return reports


def stale_months(settings: Settings) -> list[str]:
    """Return the months whose bars differ from what the scanned files would give now.

    Raises:
        DatasetMissingError: the source was never scanned.
    """
    manifest = load_manifest(settings)
    if manifest is None:
        raise DatasetMissingError("raw_bars", [], "scan the source first")
    wanted = month_versions(manifest)
    dataset = bars_dataset(settings)
    gone = set(dataset.months()) - set(wanted)
    return sorted({*dataset.stale(wanted, bars_code(settings)), *gone})


def _batches(manifest: Manifest, months: Sequence[str]) -> Iterator[list[str]]:
    """Cut the months so that what is read at once fits into memory, a file mostly once."""
    rows: defaultdict[str, float] = defaultdict(float)
    for file in manifest.files:
        for month in file.months:
            rows[month] += file.rows / len(file.months)
    batch: list[str] = []
    size = 0.0
    for month in months:
        if batch and size + rows[month] > _ROWS_AT_ONCE:
            yield batch
            batch, size = [], 0.0
        batch.append(month)
        size += rows[month]
    if batch:
        yield batch


class _Build:
    """Makes months of bars from one manifest."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self._manifest = manifest
        self._versions = month_versions(manifest)
        self._reading, self._code = Reading.of(settings), bars_code(settings)
        self._blobs, self._bars = blob_store(settings), bars_dataset(settings)
        self._aside = settings.lake / "quarantine"

    def months(self, batch: Sequence[str]) -> dict[str, MonthReport]:
        raw = rows_of(self._manifest.files, batch, blobs=self._blobs, reading=self._reading)
        given = _counts(raw)
        rows = sorted_out(raw.sort(INSTRUMENT, DATE))
        del raw
        bad = by_month(rows.bad)
        adjusted = are_adjusted(self._manifest, self._reading)
        good = by_month(cleaned(rows.good, adjusted=adjusted))

        def write(month: str) -> MonthReport:
            return self._written(month, good.get(month), bad.get(month), given.get(month, 0))

        with ThreadPoolExecutor(_WRITERS) as writers:
            return dict(zip(batch, writers.map(write, batch), strict=True))

    def _written(
        self, month: str, bars: pl.DataFrame | None, bad: pl.DataFrame | None, given: int
    ) -> MonthReport:
        self._set_aside(month, bad)
        aside = 0 if bad is None else bad.height
        if bars is None:
            self._bars.remove(month)
            return MonthReport(month, set_aside=aside, duplicates=given - aside)
        info = self._bars.write(
            month, bars.select(BARS), inputs=self._versions[month], code=self._code
        )
        return MonthReport(
            month=month,
            rows=bars.height,
            instruments=bars[INSTRUMENT].n_unique(),
            days=bars[DATE].n_unique(),
            digest=info.digest,
            halted=int((bars["volume"] == 0).sum()),
            duplicates=given - bars.height - aside,
            set_aside=aside,
            vwap_filled=bool(bars["vwap_filled"].any()),
        )

    def _set_aside(self, month: str, bad: pl.DataFrame | None) -> None:
        path = self._aside / f"{month}.parquet"
        if bad is None:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as temporary:
            bad.write_parquet(temporary)


def rows_of(
    files: Iterable[SourceFile], months: Sequence[str], *, blobs: BlobStore, reading: Reading
) -> pl.DataFrame:
    """Return the rows of months as file versions gave them, with a column ``file``.

    Raises:
        LakeError: the kept copy of a file is gone.
    """
    wanted = set(months)
    parts = [_NOTHING]
    for file in files:
        if wanted.isdisjoint(file.months):
            continue
        frame = kept_rows(file, blobs=blobs, reading=reading)
        if not wanted.issuperset(file.months):
            frame = frame.filter(_in(months))
        parts.append(frame.with_columns(pl.lit(file.path).cast(pl.Categorical).alias(FILE)))
    return pl.concat(parts)


def bars_of(settings: Settings, manifest: Manifest, months: Sequence[str]) -> pl.DataFrame:
    """Return the bars that a state of the source gives for some months; nothing is written."""
    reading, blobs = Reading.of(settings), blob_store(settings)
    parts = [
        cleaned(
            sorted_out(rows_of(manifest.files, batch, blobs=blobs, reading=reading).sort(KEY)).good,
            adjusted=are_adjusted(manifest, reading),
        ).select(BARS)
        for batch in _batches(manifest, sorted(set(months)))
    ]
    schema = {INSTRUMENT: pl.String, DATE: pl.Date, **dict.fromkeys(BARS[2:], pl.Float64)}
    return pl.concat([pl.DataFrame(schema=schema), *parts]).sort(KEY)


def are_adjusted(manifest: Manifest, reading: Reading) -> bool:
    """Whether prices are adjusted already: a provider's are, and those of which the user says so.

    A source is a provider or holds no file of one.
    """
    return reading.adjusted or any(is_adjusted(file.path) for file in manifest.files)


def cleaned(rows: pl.DataFrame, *, adjusted: bool) -> pl.DataFrame:
    """Return bars from rows without faults, with a column ``vwap_filled``.

    On a halted day (volume 0) prices and vwap are null. Otherwise prices are multiplied by the
    factor and volume is divided by it, unless they are already adjusted. The vwap is the one
    given; else amount ÷ volume where that lies between low and high (within 1 %); else the mean of
    open, high, low and close.
    """
    traded = pl.col("volume") > 0
    scale = pl.lit(1.0) if adjusted else pl.col("factor")
    mean = (pl.col("open") + pl.col("high") + pl.col("low") + pl.col("close")) / 4
    return (
        rows.with_columns(raw_vwap=_raw_vwap())
        .with_columns(
            *(pl.when(traded).then(pl.col(price) * scale) for price in PRICES),
            raw_vwap=pl.when(traded).then(pl.col("raw_vwap") * scale),
            volume=pl.when(traded).then(pl.col("volume") / scale).otherwise(0.0),
        )
        .with_columns(
            vwap=pl.col("raw_vwap").fill_null(mean),
            vwap_filled=traded & pl.col("raw_vwap").is_null(),
        )
    )


def _raw_vwap() -> pl.Expr:
    given = pl.col("vwap")
    average = pl.col("amount") / pl.col("volume")
    fits = average.is_between(
        pl.col("low") * (1 - _VWAP_TOLERANCE), pl.col("high") * (1 + _VWAP_TOLERANCE)
    )
    return pl.coalesce(
        pl.when(given.is_finite() & (given > 0)).then(given), pl.when(fits).then(average)
    )


def _in(months: Sequence[str]) -> pl.Expr:
    day = pl.col(DATE)
    return pl.any_horizontal(
        day.is_between(first_day(first), first_day(next_month(last)), closed="left")
        for first, last in contiguous_spans(months)
    )


def _counts(frame: pl.DataFrame) -> dict[str, int]:
    return {month: part.height for month, part in by_month(frame.select(DATE)).items()}
