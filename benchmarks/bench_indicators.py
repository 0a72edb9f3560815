"""All default indicators, against pandas-ta-classic computing the same list on the same bars.

Claim, 750 instruments x 3,886 days with halts and staggered listings: at least 20x less time on two
cores than the peer, which computes instrument by instrument on one, as its users do
(``pandas_peer.py``). It is run in both of its modes: as it is by default, and with ``talib=True``,
in which TA-Lib's C code computes what it can, as it does under ours. The claim is of either mode.

Every run is a new process that holds the bars in memory, each library in its own frame, and has
computed ten instruments before: importing, reading and compiling are nobody's time. They take
turns, and a ratio is of runs of one round; medians of 3 rounds (``--runs``). Both give doubles; the
peer may leave out the days without trading.

By default the peer takes minutes, so it is run on a part of the instruments and its time is
multiplied, by rows or by instruments, whichever is less. That is done only where it needs as many
CPU seconds a row for half of that part, within 15 % in the median; ``--whole`` runs it on all.

    pip install -e '.[bench]'        # and TA-Lib, which `.[dev]` has
    python benchmarks/bench_indicators.py
"""

import argparse
import gc
import json
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

INSTRUMENTS, DAYS, PART, MOST_SLOPE = 750, 3886, 120, 0.15
OURS, TALIB, DEFAULT = "ours", "peer with talib=True", "peer by default"
CLAIMED = {TALIB: 20.0, DEFAULT: 20.0}
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
Figures = dict[tuple[str, int], list[dict[str, float]]]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--whole", action="store_true", help="run the peer on all instruments")
    options.add_argument("--part", choices=[OURS, TALIB, DEFAULT], help=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    if given.part:
        print(json.dumps(measured(given.part, given.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = prepare(Path(folder))
        agreed = agreement(Path(folder) / f"{min(rows)}.parquet")
        sys.exit(not (agreed & compared(Path(folder), rows, given.runs, whole=given.whole)))


def prepare(folder: Path) -> dict[int, int]:
    """Write bars of all instruments and of parts of them; return the rows of each size."""
    import walks

    from qlops_assets.indicators.names import DEFAULT_NAMES

    bars = walks.bars(INSTRUMENTS, DAYS)
    names = f"{len(DEFAULT_NAMES)} indicators"
    print(f"{INSTRUMENTS} instruments, {DAYS} days, {bars.height:,} rows, {names}")
    codes, rows = bars.get_column("instrument").unique(maintain_order=True), {}
    for size in (PART // 2, PART, INSTRUMENTS):
        part = bars.filter(pl.col("instrument").is_in(codes.head(size).implode()))
        part.write_parquet(folder / f"{size}.parquet")
        rows[size] = part.height
    return rows


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


def compared(folder: Path, rows: dict[int, int], runs: int, *, whole: bool) -> bool:
    """Let all take turns, print what came of it, and return whether the claims hold."""
    parts = [(DEFAULT, INSTRUMENTS)] if whole else [(DEFAULT, PART // 2), (DEFAULT, PART)]
    found: Figures = {}
    for _ in range(runs):
        for part, size in [(OURS, INSTRUMENTS), (TALIB, INSTRUMENTS), *parts]:
            command = [sys.executable, __file__, "--part", part]
            command += ["--file", str(folder / f"{size}.parquet")]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            found.setdefault((part, size), []).append(json.loads(done.stdout))
    for (part, size), each in found.items():
        median = {name: statistics.median(run[name] for run in each) for name in each[0]}
        print(
            f"{part:<22}{size:4} instruments{median['wall']:9.2f} s wall{median['cpu']:9.2f} s CPU"
            f"{median['peak_mb']:8,.0f} MB peak"
        )
    held = whole or is_linear(found, rows)
    for mode, size in ((TALIB, INSTRUMENTS), parts[-1]):
        held &= is_faster(
            found, mode, size, min(INSTRUMENTS / size, rows[INSTRUMENTS] / rows[size])
        )
    return held


def is_faster(found: Figures, mode: str, size: int, times: float) -> bool:
    """Print how much faster ours is; return whether that is as claimed."""
    rounds = list(zip(found[mode, size], found[OURS, INSTRUMENTS], strict=True))
    wall = [theirs["wall"] * times / mine["wall"] for theirs, mine in rounds]
    cpu = statistics.median(theirs["cpu"] * times / mine["cpu"] for theirs, mine in rounds)
    ratio = statistics.median(wall)
    scaled = "" if size == INSTRUMENTS else f", its time multiplied by {times:.2f}"
    print(
        f"{mode:<22}{ratio:6.1f}x our time ({min(wall):.1f} to {max(wall):.1f}), {cpu:.1f}x our "
        f"CPU seconds{scaled}; claimed {CLAIMED[mode]:g}x: "
        f"{'holds' if ratio >= CLAIMED[mode] else 'FAILS'}"
    )
    return ratio >= CLAIMED[mode]


def is_linear(found: Figures, rows: dict[int, int]) -> bool:
    """Print how the CPU seconds a row of the peer change from half of the part to all of it."""
    each = zip(found[DEFAULT, PART // 2], found[DEFAULT, PART], strict=True)
    by = rows[PART // 2] / rows[PART]
    slope = statistics.median(large["cpu"] / small["cpu"] * by for small, large in each)
    linear = abs(slope - 1) <= MOST_SLOPE
    print(
        f"{DEFAULT:<22}{slope:6.2f}x the CPU seconds a row from {PART // 2} to {PART} instruments: "
        f"{'linear' if linear else 'NOT LINEAR, give --whole'}"
    )
    return linear


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
