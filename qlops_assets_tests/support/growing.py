"""The small market as it grows: a home whose source gets its days in parts."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from qlops_assets.core.settings import Settings
from qlops_assets_tests.support.market import (
    build_table,
    index_levels,
    market_days,
    market_settings,
    raw_bars,
    universe_spans,
)


def growing_market(folder: Path) -> Settings:
    """Return the settings of a home without a day, whose trainings take a moment."""
    source = folder / "source"
    (source / "bars").mkdir(parents=True)
    lines = (f"{code}\t{start}\t{end}\n" for code, start, end in universe_spans())
    (source / "core.txt").write_text("".join(lines), encoding="utf-8")
    return quick(market_settings(folder / "home", source))


def quick(settings: Settings) -> Settings:
    """Return settings whose training takes a moment: a linear model of two features."""
    training = replace(
        settings.training,
        model="linear",
        features=("KMID", "ROC5"),
        parameters={},
        topk=4,
        n_drop=1,
        min_rank_ic=-1.0,
    )
    return replace(settings, training=training)


def grow(settings: Settings, days: int) -> None:
    """Let the source have so many days of the market, and build everything before a training."""
    from qlops_assets.factors.sets import alpha158_set
    from qlops_assets.factors.store import build_factors
    from qlops_assets.lake.bars import build_bars, stale_months
    from qlops_assets.lake.scan import scan

    source = Path(settings.source_folder)
    bars = raw_bars().filter(pl.col("date") <= market_days()[days - 1])
    for (year,), rows in bars.group_by(pl.col("date").dt.year(), maintain_order=True):
        rows.write_parquet(source / "bars" / f"{year}.parquet")
    index_levels(bars).write_parquet(source / "benchmark.parquet")
    scan(settings)
    months = stale_months(settings)
    build_bars(settings, months)
    build_factors(settings, alpha158_set(), months)
    build_table(settings)
