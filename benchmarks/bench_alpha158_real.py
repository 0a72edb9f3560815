"""All 158 factors over the real CSI 300 set: how fast, and whether every cell is Qlib's.

Claims: at most 10 s of computing on 2 cores; every cell within 1e-5 + 1e-4 |y| of Qlib's, NaN in
the same places. Qlib's loader computes the same rows with 2 processes for the comparison.

    python benchmarks/bench_alpha158_real.py [--bars ../shared/data/cn-csi300]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.native.engine import NativeEngine
from qlops_assets.factors.native.factors import Factors
from qlops_assets.factors.native.panel import Panel
from qlops_assets.factors.qlib_engine import QlibEngine
from qlops_assets.lake.bars import build_bars, stale_months
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.scan import scan

ROOT = Path(__file__).resolve().parents[1]
RUNS, LIMIT_S = 5, 10


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--bars", type=Path, default=ROOT.parent / "shared/data/cn-csi300")
    given = options.parse_args()
    if not given.bars.is_dir():
        sys.exit(f"{given.bars}: no such folder; skipped")
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home)).with_source(given.bars)
        scan(settings)
        build_bars(settings, stale_months(settings))
        seconds = compute(settings)
        wrong = disagreements(settings)
    print(f"at most {LIMIT_S} s of computing: {'holds' if seconds <= LIMIT_S else 'FAILS'}")
    print(f"every cell agrees with Qlib: {'FAILS' if wrong else 'holds'}")
    sys.exit(bool(wrong) or seconds > LIMIT_S)


def compute(settings: Settings) -> float:
    bars = bars_dataset(settings).read()
    factors = Factors.of(alpha158_expressions())
    seconds, whole = [], []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        panel = Panel.of(bars)
        fields = factors.fields(panel, 2)
        begun = time.perf_counter()
        factors.program.compute(fields, panel.bounds, threads=2)
        seconds.append(time.perf_counter() - begun)
        whole.append(time.perf_counter() - started)
    median = statistics.median(seconds[1:])
    print(
        f"{panel.rows:,} rows x 158: {median:.2f} s of computing, {panel.rows / median:,.0f} rows "
        f"per second; {statistics.median(whole[1:]):.2f} s from the bars frame"
    )
    return median


def disagreements(settings: Settings) -> int:
    started = time.perf_counter()
    theirs = by_instrument(QlibEngine().from_lake(settings, alpha158_expressions()))
    ours = by_instrument(NativeEngine().from_lake(settings, alpha158_expressions()))
    cells, missing, far = 0, Counter[str](), Counter[str]()
    for (code, own), (other, qlib) in zip(ours, theirs, strict=True):
        if code != other or not own["date"].equals(qlib["date"]):
            sys.exit(f"{code} and {other} have different rows")
        for name in alpha158_expressions():
            x, y = own[name].to_numpy(), qlib[name].to_numpy().astype(np.float64)
            cells += x.size
            missing[name] += int((np.isnan(x) != np.isnan(y)).sum())
            far[name] += int((np.abs(x - y) > 1e-5 + 1e-4 * np.abs(y)).sum())
    print(
        f"{cells:,} cells against Qlib: NaN elsewhere {missing.total()}, too far {far.total()} "
        f"({time.perf_counter() - started:.0f} s, most of it Qlib's)"
    )
    for name in sorted((missing + far).keys()):
        print(f"  {name}: NaN elsewhere {missing[name]}, too far {far[name]}")
    return missing.total() + far.total()


def by_instrument(frames: Iterator[pl.DataFrame]) -> Iterator[tuple[str, pl.DataFrame]]:
    for frame in frames:
        for (code,), part in frame.partition_by(
            "instrument", as_dict=True, maintain_order=True
        ).items():
            yield str(code), part


if __name__ == "__main__":
    main()
