"""The chain file → bars → expression → column, for any row; and from a file back to the models."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import polars as pl

from qlops_assets.core.errors import DatasetMissingError, FactorError
from qlops_assets.core.months import month_of, months_between
from qlops_assets.core.settings import Settings
from qlops_assets.features.definitions import ColumnDefinition, column_definition
from qlops_assets.lake.calendar import trading_days
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.intake.facts import load_facts
from qlops_assets.lake.manifest import SourceFile
from qlops_assets.lake.versions.file_history import FileVersion, file_history
from qlops_assets.lake.versions.provenance import bars_origin
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.used_data import trainings


@dataclass(frozen=True, slots=True)
class FileUsed:
    """A file version that a row was computed from."""

    path: str
    digest: str
    snapshot: int
    modified_at: str
    observed_at: str


@dataclass(frozen=True, slots=True)
class RowLineage:
    """Where one value, or all values of a day, come from.

    Attributes:
        column: What it is computed by.
        day: Of the row.
        instrument: Of the row; None for every instrument.
        rows_digest: Of the stored rows of the day's month.
        first_bar: The first day of bars that its look-back reaches.
        bars: Month -> digest of the bars, of every month from there to the day.
        snapshots: Numbers of the snapshots that those bars were made of.
        files: The file versions.
        models: Registered models whose features it is among.
    """

    column: ColumnDefinition
    day: date
    instrument: str | None
    rows_digest: str
    first_bar: date
    bars: dict[str, str]
    snapshots: tuple[int, ...]
    files: tuple[FileUsed, ...]
    models: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        dates = {"day": self.day.isoformat(), "first_bar": self.first_bar.isoformat()}
        return {**asdict(self), **dates}


@dataclass(frozen=True, slots=True)
class VersionUse:
    """One version of a file, and the registered models that were trained on it."""

    version: FileVersion
    models: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self.version.to_json(), "models": list(self.models)}


def row_lineage(
    settings: Settings,
    registry: Registry,
    column: str,
    *,
    day: date | None = None,
    instrument: str | None = None,
) -> RowLineage:
    """Return what a column's value of some day was computed from, down to the files.

    Args:
        settings: Of the home.
        registry: Of the home.
        column: Name of a stored feature.
        day: The newest one that is stored where None.
        instrument: Only files that have rows of it; all where None.

    Raises:
        FactorError: there is no such column, or the instrument has no bar in reach.
        DatasetMissingError: the rows of that day are not stored.
        LakeError: what the bars were made of is no longer known.
    """
    definition, dataset = column_definition(settings, column)
    months = dataset.months()
    if not months:
        raise DatasetMissingError(dataset.name, [], f"materialize {dataset.name} first")
    chosen = day or _newest(dataset.read([months[-1]], columns=[])["date"])
    info = dataset.info(month_of(chosen))
    calendar = trading_days(settings)
    if info is None or chosen not in calendar:
        accepted = f"a trading day from {calendar[0]} to {calendar[-1]}"
        raise DatasetMissingError(dataset.name, [str(chosen)], accepted)
    first = _first_bar(calendar, chosen, definition.look_back_days)
    window = months_between(month_of(first), month_of(chosen))
    origin = bars_origin(settings, window)
    infos = bars_dataset(settings).infos()
    return RowLineage(
        column=definition,
        day=chosen,
        instrument=instrument,
        rows_digest=info.digest,
        first_bar=first,
        bars={month: infos[month].digest for month in window if month in infos},
        snapshots=tuple(origin.numbers),
        files=tuple(_files(settings, origin.files, first, chosen, instrument)),
        models=tuple(
            version
            for version, document in trainings(settings, registry)
            if column in document.get("feature_names", ())
        ),
    )


def _newest(days: pl.Series) -> date:
    newest = days.max()
    assert isinstance(newest, date)
    return newest


def _first_bar(calendar: Sequence[date], day: date, look_back: int | None) -> date:
    if look_back is None:
        return calendar[0]
    return calendar[max(0, bisect_left(calendar, day) - look_back)]


def _files(
    settings: Settings,
    used: Iterable[tuple[str, str, int]],
    first: date,
    last: date,
    instrument: str | None,
) -> list[FileUsed]:
    store = snapshot_store(settings)
    elsewhere = _without(settings, instrument)
    by_snapshot: dict[int, dict[str, SourceFile]] = {}
    found = []
    for path, digest, number in used:
        if number not in by_snapshot:
            files = store.load(number).manifest.files
            by_snapshot[number] = {file.path: file for file in files}
        file = by_snapshot[number][path]
        if file.first_date > last or file.last_date < first or (path, digest) in elsewhere:
            continue
        moments = file.modified_at.isoformat(), file.observed_at.isoformat()
        found.append(FileUsed(path, digest, number, *moments))
    if not found:
        raise FactorError(
            f"instrument {instrument!r}: no file has a bar of it from {first} to {last}; "
            "codes are as in the bars, such as SH600000"
        )
    return found


def _without(settings: Settings, instrument: str | None) -> set[tuple[str, str]]:
    """Return the file versions that are known to have no row of an instrument."""
    if instrument is None:
        return set()
    spans = load_facts(settings.lake / "raw_bars").spans
    has = (pl.col("instrument") == instrument).any().alias("has")
    known = spans.group_by("path", "digest").agg(has)
    return set(known.filter(~pl.col("has")).select("path", "digest").iter_rows())


def file_lineage(settings: Settings, registry: Registry, path: str) -> list[VersionUse]:
    """Return every version of a file that was seen, with the models that were trained on it.

    Raises:
        SourceError: no kept snapshot has a file of that name.
    """
    history = file_history(settings, path)
    used: dict[tuple[str, str], list[str]] = {}
    for version, document in trainings(settings, registry):
        for name, digest, _ in document.get("source_files", ()):
            used.setdefault((name, digest), []).append(version)
    return [
        VersionUse(
            seen,
            tuple(used.get((path, seen.file.digest), ())) if seen.file else (),
        )
        for seen in history
    ]
