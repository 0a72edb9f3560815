"""How fast the command line and the definitions module answer, against Dagster's own.

Claim: `qlops --help` and `import qlops_assets.definitions` in less than 0.5 s, without importing
qlib, torch, lightgbm, xgboost, nannyml, shap, lime, lancedb or mlflow. Median of 9 fresh processes.

    python benchmarks/bench_startup.py
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
LIMIT_S, RUNS = 0.5, 9
HEAVY = ["qlib", "torch", "lightgbm", "xgboost", "nannyml", "shap", "lime", "lancedb", "mlflow"]

COMMANDS = {
    "qlops --help": [str(BIN / "qlops"), "--help"],
    "import qlops_assets.definitions": [sys.executable, "-c", "import qlops_assets.definitions"],
}
PEERS = {
    "qlops --help": ("dagster --help", [str(BIN / "dagster"), "--help"]),
    "import qlops_assets.definitions": ("import dagster", [sys.executable, "-c", "import dagster"]),
}


def median_seconds(command: list[str]) -> float:
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)  # warm the disk cache
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def heavy_modules() -> list[str]:
    code = (
        f"import sys, qlops_assets.definitions; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return answer.stdout.split()


def main() -> None:
    failed = bool(heavy_modules())
    for name, command in COMMANDS.items():
        peer_name, peer_command = PEERS[name]
        ours, peer = median_seconds(command), median_seconds(peer_command)
        failed |= ours >= LIMIT_S
        print(f"{name:<34}{ours:6.3f} s   {peer_name:<16}{peer:6.3f} s   ratio {peer / ours:5.1f}x")
    print(f"heavy modules imported: {' '.join(heavy_modules()) or 'none'}")
    print(f"claimed below {LIMIT_S} s and none: {'FAILS' if failed else 'holds'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
