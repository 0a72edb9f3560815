"""A look at a source of 5,000 files, one per instrument, none of which changed.

Claim: at most 2 s in a process that has imported what it needs, with no file read again. The peer,
in the same run: Polars reading every file, which is the least that it takes to know what they say
without a record of what was seen. Also: hashing every file, one changed file, the first look.

    python benchmarks/bench_scan.py
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import walks

from qlops_assets.core.digests import file_digest
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.bars import stale_months
from qlops_assets.lake.scan import scan

FILES, DAYS, ROUNDS, LIMIT_S = 5_000, 500, 5, 2.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--days", type=int, default=DAYS, help="of history in each")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        settings = Settings(
            home=Path(folder) / "home", source=SourceSettings(path=source, quiet_seconds=0.0)
        )
        paths = written(source, chosen.files, chosen.days)
        size = sum(path.stat().st_size for path in paths)
        started = time.perf_counter()
        first = scan(settings)
        print(f"first look: {time.perf_counter() - started:.1f} s, {size / 1e6:,.0f} MB")
        assert len(first.files) == chosen.files
        looks, peers, asked, hashed = [], [], [], []
        for _ in range(ROUNDS):
            looks.append(seconds(lambda: scan(settings)))
            asked.append(seconds(lambda: stale_months(settings)))
            peers.append(seconds(lambda: [pl.read_parquet(path) for path in paths]))
            hashed.append(seconds(lambda: [file_digest(path) for path in paths]))
        rows = pl.read_parquet(paths[7])
        rows.with_columns(close=pl.col("close") * 1.0001).write_parquet(paths[7])
        changed = seconds(lambda: scan(settings))
    look, peer = statistics.median(looks), statistics.median(peers)
    print(f"unchanged: {look:.2f} s (rounds {min(looks):.2f} to {max(looks):.2f})")
    print(f"and which months of bars are stale: {statistics.median(asked):.2f} s")
    print(f"one changed file among them: {changed:.2f} s")
    print(f"hashing every file, from memory: {statistics.median(hashed):.2f} s")
    print(f"ratio {peer / look:.1f}x against reading every file from memory ({peer:.2f} s)")
    print(f"at most {LIMIT_S:g} s: {'holds' if look <= LIMIT_S else 'FAILS'}")
    sys.exit(0 if look <= LIMIT_S else 1)


def written(source: Path, files: int, days: int) -> list[Path]:
    source.mkdir()
    bars = walks.bars(files, days).with_columns(factor=pl.lit(1.0))
    paths = []
    for rows in bars.partition_by("instrument"):
        paths.append(source / f"{rows['instrument'][0]}.parquet")
        rows.write_parquet(paths[-1])
    return paths


def seconds(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
