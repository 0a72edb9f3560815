"""All default indicators, against pandas-ta-classic computing the same list on the same bars.

Claim, 750 instruments x 3,886 days with halts and staggered listings: at least 20x less time on two
cores than the peer, which computes instrument by instrument on one, as its users do
(``pandas_peer.py``). It is run in both of its modes: as it is by default, and with ``talib=True``,
in which TA-Lib's C code computes what it can, as it does under ours; the claim is of the first.

Every run is a new process that holds the bars in memory, each library in its own frame, and has
computed ten instruments before: importing, reading and compiling are nobody's time. They take
turns, and a ratio is of runs of one round; medians of 3 rounds (``--runs``). Both give doubles; the
peer may leave out the days without trading.

    pip install -e '.[bench]'        # and TA-Lib, which `.[dev]` has
    python benchmarks/bench_indicators.py
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import polars as pl

from qlops_assets.core.settings import MEMORY

INSTRUMENTS, DAYS, AGREED = 750, 3886, 60
OURS, TALIB, DEFAULT = "ours", "peer with talib=True", "peer by default"
CLAIMED = 20.0
# Of these the peer's definition is another one, by mode.
DIFFERENT = {
    TALIB: {"kdj": "begins with the first RSV, not with 50"},
    DEFAULT: {
        "kdj": "begins with the first RSV, not with 50",
        "macd": "its fast average begins 14 days earlier",
        "sar": "begins in another direction",
    },
}
Run = Callable[[], int]
Figures = dict[str, list[dict[str, float]]]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--part", choices=[OURS, TALIB, DEFAULT], help=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    if given.part:
        print(json.dumps(measured(given.part, given.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        agreed = agreement(Path(folder) / f"{AGREED}.parquet")
        sys.exit(not (agreed & compared(Path(folder) / f"{INSTRUMENTS}.parquet", given.runs)))


def prepare(folder: Path) -> None:
    """Write bars of all instruments and of some of them."""
    import walks

    from qlops_assets.indicators.names import DEFAULT_NAMES

    bars = walks.bars(INSTRUMENTS, DAYS)
    names = f"{len(DEFAULT_NAMES)} indicators"
    print(f"{INSTRUMENTS} instruments, {DAYS} days, {bars.height:,} rows, {names}")
    codes = bars.get_column("instrument").unique(maintain_order=True)
    for size in (AGREED, INSTRUMENTS):
        part = bars.filter(pl.col("instrument").is_in(codes.head(size).implode()))
        part.write_parquet(folder / f"{size}.parquet")


def computing(part: str, bars: pl.DataFrame) -> Run:
    """Return a run of a part over bars that are in memory."""
    if part == OURS:
        from qlops_assets.indicators.apply import indicators

        return lambda: indicators(bars).height
    import pandas_peer

    frame = bars.to_pandas()
    return lambda: len(pandas_peer.indicators(frame, talib=part == TALIB))


def measured(part: str, file: Path) -> dict[str, float]:
    """Return the figures of one run in this process."""
    bars = pl.read_parquet(file)
    ten = bars.get_column("instrument").unique(maintain_order=True).head(10)
    computing(part, bars.filter(pl.col("instrument").is_in(ten.implode())))()
    run = computing(part, bars)
    gc.collect()
    started, used = time.perf_counter(), time.process_time()
    run()
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall, "cpu": cpu, "peak_mb": peak}


def compared(file: Path, runs: int) -> bool:
    """Let all take turns, print what came of it, and return whether the claim holds."""
    found: Figures = {}
    for _ in range(runs):
        for part in (OURS, TALIB, DEFAULT):
            command = [sys.executable, __file__, "--part", part, "--file", str(file)]
            # Memory is kept as it is in every process of `qlops`.
            environment = {**os.environ, **MEMORY}
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
            found.setdefault(part, []).append(json.loads(done.stdout))
    for part, each in found.items():
        median = {name: statistics.median(run[name] for run in each) for name in each[0]}
        print(
            f"{part:<22}{median['wall']:9.2f} s wall{median['cpu']:9.2f} s CPU"
            f"{median['peak_mb']:8,.0f} MB peak"
        )
    shown_ratio(found, TALIB)
    ratio = shown_ratio(found, DEFAULT)
    print(f"at least {CLAIMED:g}x by default: {'holds' if ratio >= CLAIMED else 'FAILS'}")
    return ratio >= CLAIMED


def shown_ratio(found: Figures, mode: str) -> float:
    """Print and return how much faster ours is than a mode of the peer."""
    rounds = list(zip(found[mode], found[OURS], strict=True))
    wall = [theirs["wall"] / mine["wall"] for theirs, mine in rounds]
    cpu = statistics.median(theirs["cpu"] / mine["cpu"] for theirs, mine in rounds)
    ratio = statistics.median(wall)
    print(
        f"{mode:<22} ratio {ratio:.1f}x our time ({min(wall):.1f} to {max(wall):.1f}), "
        f"{cpu:.1f}x our CPU seconds"
    )
    return ratio


def agreement(file: Path) -> bool:
    """Print where values differ; return whether they do only where the definitions do."""
    import pandas_peer

    from qlops_assets.indicators.apply import indicators
    from qlops_assets.indicators.names import DEFAULT_NAMES, column

    bars = pl.read_parquet(file)
    ours = indicators(bars).filter(bars.get_column("volume") > 0)
    held = True
    for mode in (TALIB, DEFAULT):
        theirs = pandas_peer.indicators(bars.to_pandas(), talib=mode == TALIB)
        differing = {name for name in DEFAULT_NAMES if cells_apart(ours[name], theirs[name])}
        families = {name: column(name).indicator.name for name in differing}
        held &= set(families.values()) <= set(DIFFERENT[mode])
        same = len(DEFAULT_NAMES) - len(differing)
        print(f"{mode:<22}{same} of {len(DEFAULT_NAMES)} agree wherever both have a value")
        for family in sorted(set(families.values())):
            why = DIFFERENT[mode].get(family, "unexpectedly: FAILS")
            print(f"{'':<22}{family}: {why}")
    written = ", ".join(pandas_peer.WRITTEN_WITH_PANDAS)
    print(f"not in the peer, written with pandas: {written}; vwap_5, vwap_20 are its vwma")
    return held


def cells_apart(ours: pl.Series, theirs: "object") -> int:
    """Return how many cells differ where both have a value."""
    import numpy as np

    mine, other = ours.cast(pl.Float64).to_numpy(), np.asarray(theirs, np.float64)
    both = np.isfinite(mine) & np.isfinite(other)
    return int((np.abs(mine - other)[both] > 1e-9 + 1e-6 * np.abs(other[both])).sum())


if __name__ == "__main__":
    main()
