"""The main job on real bars from nothing: wall time and peak memory of the whole process tree.

Claim: `qlops demo --bars data/cn-csi300` (750 instruments, 2.5 M rows, 2010-2025) completes and
serves within 20 minutes and 10 GB on 2 cores; run again with nothing changed it does no work twice.
The ratio is of the second run against the first. Test the built-in market with `--simulated`:
claim within 4 minutes.

    python benchmarks/bench_main_job.py [--data ../shared/data/cn-csi300 | --simulated]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"real": (20 * 60, 10_000), "simulated": (4 * 60, 10_000)}


def run(command: list[str]) -> tuple[dict, float, float]:
    """Return the summary, wall seconds and the tree's peak resident memory in MB."""
    started, peak = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, cwd=ROOT)
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            total = 0
            for one in [tree, *children(tree)]:
                try:
                    total += one.memory_info().rss
                except psutil.Error:
                    continue
            peak = max(peak, total)
            time.sleep(0.1)
        output.seek(0)
        if process.returncode:
            sys.exit(f"failed: {output.read()}")
        return json.load(output), time.monotonic() - started, peak / 1e6


def children(tree: psutil.Process) -> list[psutil.Process]:
    try:
        return tree.children(recursive=True)
    except psutil.Error:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/cn-csi300")
    parser.add_argument("--simulated", action="store_true")
    arguments = parser.parse_args()
    kind = "simulated" if arguments.simulated else "real"
    if kind == "real" and not arguments.data.is_dir():
        print(f"SKIPPED: no data at {arguments.data}")
        return
    with tempfile.TemporaryDirectory() as home:
        qlops = [sys.executable, "-m", "qlops_assets.cli", "--home", home]
        demo = [*qlops, "--json", "demo"]
        if kind == "real":
            demo += ["--bars", str(arguments.data.resolve())]
            demo += ["--train-end", "2016-12-31", "--valid-end", "2018-12-31"]
        try:
            summary, first_s, peak_mb = run(demo)
            again, second_s, _ = run(demo)
        finally:
            subprocess.run([*qlops, "down"], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    for step in summary["steps"]:
        print(f"  {step['step']:<24}{step['wall_s']:>8.1f} s{step['peak_mb']:>9,.0f} MB")
    url = summary["prediction"]["url"]
    print(f"first run  {first_s:7.0f} s  peak {peak_mb:,.0f} MB  serves {url}")
    print(
        f"second run {second_s:7.1f} s  ratio {first_s / second_s:.0f}x  skipped {again['skipped']}"
    )
    print(f"test Rank IC {summary['metrics']['rank_ic']:.4f}")
    most_s, most_mb = LIMITS[kind]
    holds = first_s <= most_s and peak_mb <= most_mb
    print(f"claimed at most {most_s} s and {most_mb:,} MB: {'holds' if holds else 'FAILS'}")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
