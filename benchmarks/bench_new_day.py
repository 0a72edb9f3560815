"""One new day of 750 instruments: from its file on disk to rows readable in the feature table.

Claim: at most 5 s in process, with 3,886 days of history: scan of the source, bars, Alpha158,
indicators, the table, and reading the day back. The file of the year is written anew, as a vendor's
sync does. The peer, in the same run: the stages for every month of that year, which is what a
file's change would ask for without digests of what it says.

    python benchmarks/bench_new_day.py
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import walks

from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.factors.sets import alpha158_set
from qlops_assets.factors.store import build_factors
from qlops_assets.factors.store import stale_months as stale_factors
from qlops_assets.features.store import FeatureStore
from qlops_assets.indicators.store import build_indicators
from qlops_assets.indicators.store import stale_months as stale_indicators
from qlops_assets.lake.bars import build_bars, stale_months
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.scan import scan

INSTRUMENTS, DAYS, RUNS, LIMIT_S = 750, 3886, 5, 5.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=DAYS, help="of history")
    days_wanted = parser.parse_args().days
    bars = walks.bars(INSTRUMENTS, days_wanted).with_columns(factor=pl.lit(1.0))
    days = bars["date"].unique().sort().to_list()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        settings = Settings(home=Path(folder) / "home", source=SourceSettings(path=source))
        settings = replace(settings, source=replace(settings.source, quiet_seconds=0.0))
        rounds = days[-RUNS - 1 :]
        for (year,), rows in bars.filter(pl.col("date") < rounds[0]).group_by(
            pl.col("date").dt.year(), maintain_order=True
        ):
            put(source, year, rows)
        started = time.perf_counter()
        chain(settings)
        print(f"history: {days_wanted:,} days in {time.perf_counter() - started:.1f} s")
        seconds, parts = [], []
        for day in rounds:
            inside = pl.col("date").dt.year() == day.year
            put(source, day.year, bars.filter(inside, pl.col("date") <= day))
            started = time.perf_counter()
            parts.append(chain(settings))
            latest = FeatureStore(settings).latest()
            assert latest is not None
            assert latest.online(day).num_rows == INSTRUMENTS
            seconds.append(time.perf_counter() - started)
        year = [m for m in bars_dataset(settings).months() if m[:4] == str(rounds[-1].year)]
        started = time.perf_counter()
        build_bars(settings, year)
        build_factors(settings, alpha158_set(), year)
        build_indicators(settings, year)
        peer = time.perf_counter() - started
    median = statistics.median(seconds[1:])
    for name in parts[0]:
        print(f"  {name:<12} {statistics.median(p[name] for p in parts[1:]):.2f} s")
    print(f"one new day {median:.2f} s (first {seconds[0]:.2f} s), on {rounds[-1]}")
    print(f"ratio {peer / median:.1f}x against all {len(year)} months of its file ({peer:.1f} s)")
    print(f"at most {LIMIT_S:g} s: {'holds' if median <= LIMIT_S else 'FAILS'}")
    sys.exit(0 if median <= LIMIT_S else 1)


def put(source: Path, year: int, rows: pl.DataFrame) -> None:
    source.mkdir(exist_ok=True)
    temporary = source / f".{year}.part"
    rows.write_parquet(temporary)
    temporary.rename(source / f"{year}.parquet")


def chain(settings: Settings) -> dict[str, float]:
    """Do what changed, stage by stage; return the seconds of each."""
    took: dict[str, float] = {}

    def stage(name: str, work) -> None:
        started = time.perf_counter()
        work()
        took[name] = time.perf_counter() - started

    stage("scan", lambda: scan(settings))
    stage("bars", lambda: build_bars(settings, stale_months(settings)))
    months = bars_dataset(settings).months()
    factors = alpha158_set()
    stage(
        "alpha158",
        lambda: build_factors(settings, factors, stale_factors(settings, factors, months)),
    )
    stage("indicators", lambda: build_indicators(settings, stale_indicators(settings, months)))
    stage("table", lambda: FeatureStore(settings).refresh())
    return took


if __name__ == "__main__":
    main()
