"""Bars as Qlib reads them: an immutable provider folder per version of the data.

The format: ``calendars/day.txt``; ``instruments/<name>.txt``; per instrument and field a file of
little-endian float32 whose first number is the place of the first value in the calendar. A provider
is named by the digest of everything it was made from and never changed; new data make a new one.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.atomic import (
    new_folder,
    output_folder,
    remove_folder,
    remove_leftovers,
)
from qlops_assets.core.columns import DATE, FIELDS, INSTRUMENT, KEY
from qlops_assets.core.digests import value_digest
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import Benchmark, load_benchmark
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.instruments import folder_name
from qlops_assets.lake.universe import ALL, Universe, load_universe

NAMES_FILE: Final = "fields.txt"
_VERSION: Final = 1
_KEPT: Final = 3
_FUTURE_DAYS: Final = 5
_SATURDAY: Final = 5
_WRITERS: Final = 2

Places = NDArray[np.int64]


def build_provider(settings: Settings, *, progress: Progress | None = None) -> Path:
    """Return the Qlib provider of the present bars, universe and benchmark, made where missing.

    The newest three providers are kept, so that work in progress on an older one can end.

    Raises:
        DatasetMissingError: there are no bars yet.
        UniverseError: the universe cannot be read.
        SourceError: the benchmark cannot be read.
    """
    universe, benchmark = load_universe(settings), load_benchmark(settings)
    months = _digests(settings)
    digest = value_digest([_VERSION, months, universe.digest, benchmark.digest])
    target = settings.lake / "qlib" / digest
    if not target.is_dir():
        bars = bars_dataset(settings).read()
        if _digests(settings) != months:  # a month was written meanwhile: the name would lie
            return build_provider(settings, progress=progress)
        with new_folder(target) as folder:
            _Writer(folder, bars).write(universe, benchmark, progress or Unreported())
    os.utime(target)  # in use: among the newest
    _remove_old(target.parent)
    remove_leftovers(target.parent)
    return target


def _digests(settings: Settings) -> dict[str, str]:
    return {month: info.digest for month, info in bars_dataset(settings).infos().items()}


def write_provider(
    folder: Path,
    bars: pl.DataFrame,
    *,
    calendar: Sequence[date] | None = None,
    universes: Mapping[str, pl.DataFrame] | None = None,
    benchmark: Benchmark | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a provider of a bars frame into a new folder, whole or not at all.

    Columns that Qlib's fields need and the frame lacks (vwap, factor) are left empty or 1; other
    columns of numbers become fields of their own.

    Args:
        folder: Must not exist or be empty.
        bars: Codes are written as they are: Qlib asks for them so.
        calendar: Every trading day; the frame's own days where None.
        universes: Name -> ``instrument, start, end``.
        benchmark: An index, which is a field folder but no instrument of any list.
        progress: Is told of every field.
    """
    rows = bars.sort(KEY)
    missing = [pl.lit(None, pl.Float64).alias("vwap")] if "vwap" not in rows.columns else []
    if "factor" not in rows.columns:
        missing.append(pl.lit(1.0).alias("factor"))
    numbers = rows.select(pl.selectors.numeric()).columns
    with output_folder(folder) as made:
        writer = _Writer(made, rows.with_columns(missing), calendar)
        writer.write_fields((*FIELDS, *(n for n in numbers if n not in FIELDS)), progress)
        for name, spans in (universes or {}).items():
            writer.write_instruments(name, spans)
        writer.write_benchmark(benchmark)


def write_field_provider(
    folder: Path,
    frame: pl.DataFrame,
    *,
    calendar: Sequence[date] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a provider of any frame by instrument and date, whole or not at all.

    An instrument's spans are its runs of days without a hole, so that a row without any number is
    told from no row. Qlib's files have lower-case names; ``fields.txt`` keeps the real ones.
    """
    fields = [name for name in frame.columns if name not in KEY]
    with output_folder(folder) as made:
        writer = _Writer(made, frame.sort(KEY), calendar)
        writer.write_fields(fields, progress, spans=writer.runs())
        (made / NAMES_FILE).write_text("".join(f"{name}\n" for name in fields), encoding="utf-8")


def provider_instruments(provider: Path) -> list[str]:
    """Return the codes of every instrument with bars in a provider."""
    lines = (provider / "instruments" / f"{ALL}.txt").read_text(encoding="utf-8").splitlines()
    return [line.partition("\t")[0] for line in lines]


def read_field(
    provider: Path, code: str, field: str, first: int, last: int
) -> tuple[int, NDArray[np.float32]]:
    """Return an instrument's values of a field between two places of the calendar.

    Returns:
        The place of the first, and the values; none where the provider has no such file.
    """
    try:
        content = np.fromfile(_bin(provider, code, field), dtype="<f4")
    except FileNotFoundError:
        return first, np.empty(0, dtype=np.float32)
    begin = int(content[0])
    start = max(first, begin)
    return start, content[1 + start - begin : max(0, last + 2 - begin)]


def _bin(provider: Path, code: str, field: str) -> Path:
    return provider / "features" / folder_name(code) / f"{field.lower()}.day.bin"


def _remove_old(folder: Path) -> None:
    providers = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    providers.sort(key=lambda p: p.stat().st_mtime_ns, reverse=True)
    for provider in islice(providers, _KEPT, None):
        remove_folder(provider)


class _Writer:
    """Writes one provider from bars sorted by instrument and date."""

    def __init__(
        self, folder: Path, bars: pl.DataFrame, calendar: Sequence[date] | None = None
    ) -> None:
        self._folder, self._bars = folder, bars
        self._days = list(calendar or bars[DATE].unique().sort())
        spans = bars.group_by(INSTRUMENT, maintain_order=True).agg(
            start=pl.col(DATE).min(), end=pl.col(DATE).max()
        )
        self._spans = spans
        self._codes: list[str] = spans[INSTRUMENT].to_list()
        self._first, self._last = self._places(spans["start"]), self._places(spans["end"])
        codes = pl.Enum(self._codes)
        self._row = bars[INSTRUMENT].cast(codes).to_physical().cast(pl.Int64).to_numpy()
        self._column = self._places(bars[DATE])

    def write(self, universe: Universe, benchmark: Benchmark, progress: Progress) -> None:
        self.write_fields(FIELDS, progress)
        if universe.name != ALL:
            self.write_instruments(universe.name, universe.spans)
        self.write_benchmark(benchmark)

    def write_fields(
        self,
        fields: Sequence[str],
        progress: Progress | None = None,
        spans: pl.DataFrame | None = None,
    ) -> None:
        self._write_calendars()
        self.write_instruments(ALL, self._spans if spans is None else spans)
        for code in self._codes:
            self._home(code).mkdir(parents=True)
        with ThreadPoolExecutor(_WRITERS) as writers:  # most of it is opening files
            for done, _ in enumerate(writers.map(self._write_field, fields), start=1):
                (progress or Unreported()).report("qlib provider", done, len(fields))

    def write_benchmark(self, benchmark: Benchmark | None) -> None:
        if benchmark and benchmark.levels is not None and benchmark.name not in set(self._codes):
            self._write_index(benchmark.name, benchmark.levels)

    def runs(self) -> pl.DataFrame:
        """Return the spans of days without a hole in the calendar."""
        keyed = self._bars.select(INSTRUMENT, DATE, place=pl.Series(self._column))
        run = (pl.col("place").diff() != 1).fill_null(value=True)
        change = (pl.col(INSTRUMENT) != pl.col(INSTRUMENT).shift(1)).fill_null(value=True)
        return (
            keyed.with_columns(run=(run | change).cum_sum())
            .group_by(INSTRUMENT, "run", maintain_order=True)
            .agg(start=pl.col(DATE).min(), end=pl.col(DATE).max())
            .drop("run")
        )

    def _places(self, days: pl.Series) -> Places:
        calendar = np.array(self._days, dtype="datetime64[D]")
        return np.searchsorted(calendar, days.to_numpy().astype("datetime64[D]")).astype(np.int64)

    def _home(self, code: str) -> Path:
        return self._folder / "features" / folder_name(code)

    def _write_calendars(self) -> None:
        folder = self._folder / "calendars"
        folder.mkdir()
        known = "".join(f"{day}\n" for day in self._days)
        later = "".join(f"{day}\n" for day in _weekdays_after(self._days[-1], _FUTURE_DAYS))
        (folder / "day.txt").write_text(known, encoding="utf-8")
        # A backtest that ends on the last day asks for the day after it.
        (folder / "day_future.txt").write_text(known + later, encoding="utf-8")

    def write_instruments(self, name: str, spans: pl.DataFrame) -> None:
        folder = self._folder / "instruments"
        folder.mkdir(exist_ok=True)
        ordered = spans.select(INSTRUMENT, "start", "end")
        ordered.write_csv(folder / f"{name.lower()}.txt", separator="\t", include_header=False)

    def _write_field(self, field: str) -> None:
        is_given = field in self._bars.columns
        values = self._bars[field] if is_given else _change(self._bars)
        table = np.full((len(self._codes), len(self._days)), np.nan, dtype="<f4")
        table[self._row, self._column] = values.cast(pl.Float32).to_numpy()
        for row, code in enumerate(self._codes):
            first, last = int(self._first[row]), int(self._last[row])
            _write_bin(self._home(code), field.lower(), first, table[row, first : last + 1])

    def _write_index(self, code: str, levels: pl.DataFrame) -> None:
        own = levels.filter(pl.col(DATE).is_in(self._days)).sort(DATE)
        if own.is_empty():
            return
        places = self._places(own[DATE])
        home = self._home(code)
        home.mkdir(parents=True)
        change = own["close"] / own["close"].shift(1) - 1
        for field, values in (("close", own["close"]), ("change", change)):
            line = np.full(int(places[-1] - places[0]) + 1, np.nan, dtype="<f4")
            line[places - places[0]] = values.cast(pl.Float32).to_numpy()
            _write_bin(home, field, int(places[0]), line)


def _write_bin(home: Path, field: str, first: int, values: NDArray[np.float32]) -> None:
    content = np.concatenate([np.array([first], dtype="<f4"), values])
    (home / f"{field}.day.bin").write_bytes(content.tobytes())


def _change(bars: pl.DataFrame) -> pl.Series:
    """Return close ÷ the close of the traded day before - 1, null on halts and first days."""
    before = pl.col("close").forward_fill().shift(1).over(INSTRUMENT)
    return bars.select(pl.col("close") / before - 1).to_series()


def _weekdays_after(day: date, count: int) -> list[date]:
    following = (day + timedelta(days=n) for n in range(1, 2 * count + 3))
    return [d for d in following if d.weekday() < _SATURDAY][:count]
