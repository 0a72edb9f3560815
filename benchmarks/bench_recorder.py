"""What it costs to record a training in MLflow, by Qlib's recorder.

Claim: recording a training of 1,700 test days × 300 instruments and 1000 iterations takes at most
3 s; making MLflow's database, once per home, is told apart.

The training is a real one on a small market; its predictions, its backtest by day and its curves
are then replaced by as many as the claim says.

    python benchmarks/bench_recorder.py
"""

import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.progress import TrainingProgress
from qlops_assets.core.trainings.status import sign_path
from qlops_assets.training.recording.attempt import record_newest
from qlops_assets.training.recording.store import opened
from qlops_assets_tests.support.market import build_market, market_settings
from qlops_assets_tests.support.trained import train

DAYS, INSTRUMENTS, ITERATIONS, MOST_S = 1700, 300, 1000, 3.0


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_market(folder)
        settings = market_settings(folder / "home", folder / "source")
        version = train(settings)
        enlarge(settings, version)
        journal = Journal(settings.journal_url)
        started = time.perf_counter()
        with opened(settings):
            pass
        print(f"first use, MLflow's database: {time.perf_counter() - started:.1f} s")
        walls = []
        for number in range(3):
            report_fit(journal, settings, version, f"run-{number}")
            started = time.perf_counter()
            recorded = record_newest(settings, journal, version, by="bench", now=datetime.now(UTC))
            walls.append(time.perf_counter() - started)
        journal.close()
        size = sum(p.stat().st_size for p in settings.mlflow.rglob(f"{recorded.run}/**/*"))
        database = (settings.mlflow / "mlflow.db").stat().st_size
        print(f"one training: {', '.join(f'{wall:.2f}' for wall in walls)} s")
        print(f"artifacts {size / 1e6:.1f} MB, database {database / 1e6:.1f} MB")
        holds = max(walls) <= MOST_S
        print(f"at most {MOST_S:g} s: {'holds' if holds else 'FAILS'}")
    sys.exit(0 if holds else 1)


def enlarge(settings: Settings, version: str) -> None:
    """Replace predictions and backtest by day by larger ones."""
    rng = np.random.default_rng(3)
    days = [date(2019, 1, 1) + timedelta(n) for n in range(DAYS)]
    rows = DAYS * INSTRUMENTS
    predictions = pl.DataFrame(
        {
            "instrument": [f"SH{600000 + n}" for n in range(INSTRUMENTS)] * DAYS,
            "date": np.repeat(np.array(days, dtype="datetime64[D]"), INSTRUMENTS),
            "score": rng.normal(size=rows),
            "segment": ["test"] * rows,
            "LABEL0": rng.normal(size=rows).astype(np.float32),
        }
    )
    columns = ("strategy", "benchmark", "excess", "turnover", "cost", "drawdown")
    by_day = pl.DataFrame({"date": days, **{c: rng.normal(0, 0.01, DAYS) for c in columns}})
    predictions.write_parquet(settings.models / version / "predictions.parquet")
    by_day.write_parquet(settings.models / version / "equity.parquet")


def report_fit(journal: Journal, settings: Settings, version: str, run_id: str) -> None:
    """Report another training with its curves, from fit to evaluation."""
    sign = sign_path(settings.models, version)
    for step in ("trained_model", "model_evaluation"):
        progress = TrainingProgress(journal, version, step, sign=sign, run_id=run_id)
        if step == "trained_model":
            for n in range(1, ITERATIONS + 1):
                progress.report("fit", n, ITERATIONS, {"train.l2": 1 / n, "valid.l2": 2 / n})
        progress.end("finished", {})


if __name__ == "__main__":
    main()
