"""A frame as Parquet by year; bars in the shape that a source has, so that they can be taken in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from qlops_assets.core.atomic import output_folder
from qlops_assets.core.columns import DATE, INSTRUMENT, KEY, PRICES
from qlops_assets.core.errors import ConversionError
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.lake.benchmark import Benchmark
from qlops_assets.lake.conversions.frames import bars_of, keyed, with_canonical_codes
from qlops_assets.lake.sources.layout import BENCHMARK_FILE

_YEAR: Final = "_year"


def write_source(
    folder: Path,
    bars: pl.DataFrame,
    *,
    universes: Mapping[str, pl.DataFrame] | None = None,
    benchmark: Benchmark | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a bars frame as a source: ``bars/<year>.parquet``, universes, benchmark.

    A source has raw prices and a factor unless ``[source] adjusted`` says otherwise, so prices are
    divided by the factor here and volume is multiplied by it; taken in, the bars are the same to
    the bit of float32.

    Raises:
        ConversionError: the frame is no bars frame, or a traded row has prices without volume or
            no factor where its instrument has one elsewhere.
        FileExistsError: the folder holds something.
    """
    rows = _raw(bars_of(keyed(bars, "bars"), "bars"))
    with output_folder(folder) as made:
        _write_years(made / "bars", rows, progress or Unreported())
        for name, spans in (universes or {}).items():
            ordered = with_canonical_codes(spans, name).select(INSTRUMENT, "start", "end")
            path = made / f"{name}.txt"
            ordered.write_csv(path, separator="\t", include_header=False)
        if benchmark is not None and benchmark.levels is not None:
            levels = benchmark.levels.select(
                pl.lit(benchmark.name).alias(INSTRUMENT), DATE, "close"
            )
            levels.write_parquet(made / BENCHMARK_FILE)


def write_years(folder: Path, frame: pl.DataFrame, *, progress: Progress | None = None) -> None:
    """Write any frame as ``<year>.parquet``, its columns as they are.

    Raises:
        ConversionError: the frame has no keys or no rows, or a key twice.
        FileExistsError: the folder holds something.
    """
    with output_folder(folder) as made:
        _write_years(made, keyed(frame, folder), progress or Unreported())


def _write_years(folder: Path, rows: pl.DataFrame, progress: Progress) -> None:
    folder.mkdir(exist_ok=True)
    years = rows.with_columns(pl.col(DATE).dt.year().alias(_YEAR)).partition_by(
        _YEAR, as_dict=True, include_key=False, maintain_order=True
    )
    for number, ((year,), part) in enumerate(sorted(years.items()), start=1):
        part.write_parquet(folder / f"{year}.parquet", compression="zstd")
        progress.report("parquet", number, len(years))


def _raw(rows: pl.DataFrame) -> pl.DataFrame:
    traded = pl.col("volume") > 0
    priced = pl.any_horizontal(pl.col(name).is_not_null() for name in PRICES)
    untold = rows.filter(priced & pl.col("volume").is_null())
    _refuse(untold, "has prices and no volume", "a day without volume is taken for a halt")
    if "factor" not in rows.columns:
        return rows
    is_given = pl.col("factor").is_finite() & (pl.col("factor") > 0)
    has_any = is_given.any().over(INSTRUMENT)
    gaps = rows.filter(traded & has_any & ~is_given.fill_null(value=False))
    _refuse(gaps, "is traded and has no factor", "an instrument has factors everywhere or nowhere")
    scale = pl.when(is_given).then("factor").otherwise(1.0)
    prices = [name for name in (*PRICES, "vwap") if name in rows.columns]
    return rows.with_columns(
        *(pl.col(name) / scale for name in prices),
        volume=pl.col("volume") * scale,
        factor=pl.when(has_any).then("factor").otherwise(1.0),
    )


def _refuse(rows: pl.DataFrame, found: str, accepted: str) -> None:
    if rows.height:
        code, day = rows.select(KEY).row(0)
        where = f"{code} on {day}"
        raise ConversionError(where, f"{found} ({rows.height} such rows)", accepted)
