"""The forms by name: what a path holds, its content, and any content in any form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

import polars as pl

from qlops_assets.core.atomic import output_folder
from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.errors import ConversionError
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import Benchmark, load_benchmark
from qlops_assets.lake.beside import files_beside
from qlops_assets.lake.conversions.bin_lists import universes
from qlops_assets.lake.conversions.bin_reader import read_fields, read_provider
from qlops_assets.lake.conversions.bin_writer import export_fields, export_provider
from qlops_assets.lake.conversions.calendars import read_calendar
from qlops_assets.lake.conversions.csv_reader import read_csv
from qlops_assets.lake.conversions.csv_writer import write_csv_file, write_csv_folder
from qlops_assets.lake.conversions.frames import ACCEPTED_CODES, named, within
from qlops_assets.lake.conversions.parquet_writer import write_source, write_years
from qlops_assets.lake.conversions.pickle_reader import read_pickle
from qlops_assets.lake.conversions.pickle_writer import write_pickle
from qlops_assets.lake.datasets import MonthlyDataset, bars_dataset
from qlops_assets.lake.instruments import canonical_codes
from qlops_assets.lake.sources.layout import BENCHMARK_FILE
from qlops_assets.lake.universe import ALL, load_universe

_PICKLES: Final = (".pkl", ".pickle")
_READABLE: Final = "qlib-bin (a folder with calendars/), csv or pickle files can be read"


class Form(StrEnum):
    """A form that data can be written in."""

    QLIB_BIN = "qlib-bin"
    CSV = "csv"
    PICKLE = "pickle"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of what is read.

    Attributes:
        is_bars: Whether it holds bars, or any columns (factors).
        instruments: Codes, or one name of a provider's list; everything where None.
        first: Drop earlier days.
        last: Drop later days.
        timezone: The zone whose day a time with a zone means.
    """

    is_bars: bool = True
    instruments: Sequence[str] | None = None
    first: date | None = None
    last: date | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A frame and what belongs to it.

    Attributes:
        frame: Bars or factors.
        is_bars: Which of them.
        calendar: Every trading day, where more than the frame's own.
        universes: Name -> ``instrument, start, end``.
        benchmark: The index to compare with.
    """

    frame: pl.DataFrame
    is_bars: bool = True
    calendar: Sequence[date] | None = None
    universes: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    benchmark: Benchmark | None = None

    @property
    def name(self) -> str:
        """What its single files are called."""
        return "bars" if self.is_bars else "factors"


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written, and where."""

    form: str
    folder: str
    files: int
    bytes: int
    rows: int
    instruments: int
    first: date
    last: date


def form_of(path: Path) -> Form:
    """Return the form of what a path holds.

    Raises:
        ConversionError: it holds none, or more than one.
    """
    if not path.exists():
        raise ConversionError(path, "there is no such file or folder", _READABLE)
    inside = list(path.iterdir()) if path.is_dir() else [path]
    names = [p.name.lower() for p in inside]
    found = [
        form
        for form, is_there in (
            (Form.QLIB_BIN, path.is_dir() and "calendars" in names),
            (Form.CSV, any(name.endswith(".csv") for name in names)),
            (Form.PICKLE, any(name.endswith(_PICKLES) for name in names)),
        )
        if is_there
    ]
    if len(found) != 1:
        held = f"holds {' and '.join(found)}" if found else "holds nothing that can be read"
        raise ConversionError(path, held, f"{_READABLE}; --from-format says which")
    return found[0]


def read_content(
    path: Path,
    wanted: Wanted,
    *,
    form: Form | None = None,
    progress: Progress | None = None,
) -> Content:
    """Return the content of a provider, CSV files or a pickle.

    Raises:
        ConversionError: the form cannot be told or read, a file is damaged, no row is wanted.
    """
    form = form or form_of(path)
    if form == Form.QLIB_BIN:
        return _provider_content(path, wanted, progress)
    if form == Form.CSV:
        read = read_csv(path, is_bars=wanted.is_bars, timezone=wanted.timezone, progress=progress)
    elif form == Form.PICKLE:
        read = read_pickle(_pickle_in(path), is_bars=wanted.is_bars, timezone=wanted.timezone)
    else:
        raise ConversionError(path, f"{form} is what a source is", "name it as the source instead")
    return Content(_chosen(read, wanted, path), wanted.is_bars)


def lake_content(
    settings: Settings, dataset: MonthlyDataset, wanted: Wanted, *, with_lists: bool
) -> Content:
    """Return the content of a dataset of the home.

    Args:
        settings: Of the home.
        dataset: The bars, or factors.
        wanted: Which rows.
        with_lists: Whether the universe and the benchmark come along with bars.

    Raises:
        DatasetMissingError: the home has no rows of it yet.
        ConversionError: no row is wanted.
        SourceError, UniverseError: the universe or the benchmark cannot be read.
    """
    read = dataset.read(first=wanted.first, last=wanted.last)
    frame = _chosen(read, wanted, dataset.name)
    if not (wanted.is_bars and with_lists):
        return Content(frame, wanted.is_bars)
    universe = load_universe(settings)
    lists = {} if universe.name == ALL else {universe.name: universe.spans}
    has_index = BENCHMARK_FILE in files_beside(settings)
    return Content(
        frame, universes=lists, benchmark=load_benchmark(settings) if has_index else None
    )


def bars_content(settings: Settings, wanted: Wanted, *, with_lists: bool) -> Content:
    """Return the home's bars as :func:`lake_content` does."""
    return lake_content(settings, bars_dataset(settings), wanted, with_lists=with_lists)


def require_free(folder: Path) -> None:
    """Refuse a folder that holds something, before any work is done for it.

    Raises:
        ConversionError: it is not empty, or no folder.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConversionError(folder, "is there already and not empty", "name a new folder")


def write_content(
    content: Content,
    form: Form,
    folder: Path,
    *,
    is_one_file: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Write content into a new folder, whole or not at all, and say what was written.

    Raises:
        ConversionError: the folder holds something, or the content does not fit the form.
    """
    require_free(folder)
    _write(content, form, folder, is_one_file=is_one_file, progress=progress)
    files = [path for path in folder.rglob("*") if path.is_file()]
    days = content.frame[DATE]
    return Summary(
        form=form,
        folder=str(folder),
        files=len(files),
        bytes=sum(path.stat().st_size for path in files),
        rows=content.frame.height,
        instruments=content.frame[INSTRUMENT].n_unique(),
        first=days.sort()[0],
        last=days.sort()[-1],
    )


def _write(
    content: Content, form: Form, folder: Path, *, is_one_file: bool, progress: Progress | None
) -> None:
    frame, days, lists = content.frame, content.calendar, content.universes
    match form:
        case Form.QLIB_BIN if content.is_bars:
            export_provider(
                folder,
                frame,
                calendar=days,
                universes=lists,
                benchmark=content.benchmark,
                progress=progress,
            )
        case Form.QLIB_BIN:
            export_fields(folder, frame, calendar=days, progress=progress)
        case Form.CSV if not is_one_file:
            write_csv_folder(folder, frame, progress=progress)
        case Form.CSV:
            with output_folder(folder) as made:
                write_csv_file(made / f"{content.name}.csv", frame)
        case Form.PICKLE:
            with output_folder(folder) as made:
                write_pickle(made / f"{content.name}.pkl", frame)
        case Form.PARQUET if content.is_bars:
            write_source(
                folder, frame, universes=lists, benchmark=content.benchmark, progress=progress
            )
        case Form.PARQUET:
            write_years(folder, frame, progress=progress)


def _provider_content(path: Path, wanted: Wanted, progress: Progress | None) -> Content:
    lists, chosen = universes(path), wanted.instruments
    instruments: str | Sequence[str] | None = chosen
    if chosen and len(chosen) == 1 and chosen[0].lower() in {*lists, ALL}:
        instruments = chosen[0]
    frame = (read_provider if wanted.is_bars else read_fields)(
        path,
        instruments=instruments,
        first=wanted.first,
        last=wanted.last,
        progress=progress,
    )
    days = pl.DataFrame({DATE: read_calendar(path / "calendars" / "day.txt")})
    calendar = within(days, wanted.first, wanted.last)[DATE].to_list()
    return Content(frame, wanted.is_bars, calendar, lists)


def _pickle_in(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in _PICKLES)
    if len(found) != 1:
        held = f"holds {len(found)} pickles: {named([p.name for p in found])}"
        raise ConversionError(path, held, "name one of them")
    return found[0]


def _chosen(frame: pl.DataFrame, wanted: Wanted, where: Path | str) -> pl.DataFrame:
    rows = within(frame, wanted.first, wanted.last)
    if wanted.instruments is not None:
        try:
            codes = sorted(canonical_codes(wanted.instruments).values())
        except ValueError as error:
            raise ConversionError("instruments", f"holds {error}", ACCEPTED_CODES) from error
        missing = sorted(set(codes) - set(frame[INSTRUMENT].unique()))
        if missing:
            found = f"has no rows of {len(missing)} instruments: {named(missing)}"
            raise ConversionError(where, found, "ask for others")
        rows = rows.filter(pl.col(INSTRUMENT).is_in(codes))
    if rows.is_empty():
        span = f"{frame[DATE].min()!s} to {frame[DATE].max()!s}"
        raise ConversionError(where, "has no row of those asked for", f"it goes from {span}")
    return rows
