"""Every strategy of the backtest on 300 instruments and two years, against TopkDropout.

The peer is Qlib's TopkDropout in the same market and the same run: what is left of the ratio is the
cost of choosing weights, 101 times.
"""

import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.core.settings import Settings
from qlops_assets.lake.benchmark import Benchmark
from qlops_assets.lake.qlib_bin import write_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import run_backtest
from qlops_assets.training.portfolio.catalog import STRATEGIES

NAMES, BEFORE, DAYS = 300, 130, 504
BOUNDED = ("gmv", "mvo", "rp", "enhanced-indexing")


def market() -> tuple[pl.DataFrame, pl.DataFrame, Benchmark]:
    rng = np.random.default_rng(7)
    total = BEFORE + DAYS
    days = [date(2019, 1, 1) + timedelta(days=n) for n in range(2 * total)]
    days = [day for day in days if day.weekday() < 5][:total]
    moves = rng.normal(0, 0.008, (total, 3)) @ rng.normal(0.7, 0.3, (3, NAMES))
    moves += rng.normal(0, 1, (total, NAMES)) * rng.uniform(0.008, 0.02, NAMES)
    close = 20 * np.exp(np.cumsum(moves, axis=0))
    key = {
        "instrument": np.repeat([f"SH60{n:04d}" for n in range(NAMES)], total),
        "date": days * NAMES,
    }
    prices = {name: close.T.ravel() for name in ("open", "high", "low", "close", "vwap")}
    bars = pl.DataFrame({**key, **prices}).with_columns(volume=pl.lit(1e7), factor=pl.lit(1.0))
    noise = rng.normal(0, 0.01, (total, NAMES))
    score = 0.1 * np.vstack([moves[1:], np.zeros((1, NAMES))]) + noise
    predictions = pl.DataFrame({**key, "score": score.T.ravel()}).with_columns(
        segment=pl.when(pl.col("date") >= days[BEFORE]).then(pl.lit("test")).otherwise(pl.lit("")),
        LABEL0=pl.lit(0.0),
    )
    returns = pl.DataFrame({"date": days, "return": moves.mean(axis=1)})
    return bars, predictions, Benchmark("mean", returns)


def main() -> None:
    bars, predictions, benchmark = market()
    wanted = [("topk-dropout", None), ("inv", None)]
    wanted += [(name, delta) for name in BOUNDED for delta in (None, 0.3)]
    assert {name for name, _ in wanted} == set(STRATEGIES.names())
    peer = None
    with tempfile.TemporaryDirectory() as folder:
        write_provider(Path(folder) / "provider", bars)
        with qlib_session(Path(folder) / "provider"):
            for name, delta in (wanted[0], *wanted):  # the first warms up what is imported
                settings = Settings(
                    home=Path(folder), backtest=BacktestSettings(strategy=name, delta=delta)
                )
                start = time.perf_counter()
                metrics, _ = run_backtest(predictions, settings, benchmark)
                took = time.perf_counter() - start
                if peer is None:
                    peer = 0.0
                    continue
                peer = peer or took
                failed = metrics.facts.get("failed_rebalances", 0)
                print(
                    f"{name:18} delta {delta or '-':>4}: {took:6.1f} s, {took / peer:5.2f} x "
                    f"TopkDropout; {failed} of {metrics.facts.get('rebalances', 0)} failed"
                )


if __name__ == "__main__":
    main()
