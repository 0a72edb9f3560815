"""Bars for benchmarks: random walks with halted days and staggered listings."""

from pathlib import Path

import numpy as np
import polars as pl


def bars(instruments: int, days: int, seed: int = 1) -> pl.DataFrame:
    """Return a bars frame; every second instrument lists late, one day in fifty is halted."""
    rng = np.random.default_rng(seed)
    calendar = np.arange("2008-01-01", "2040-01-01", dtype="datetime64[D]")
    calendar = calendar[np.is_busday(calendar)][:days]
    parts = [_one(rng, i, calendar) for i in range(instruments)]
    return pl.concat(parts).with_columns(pl.col(pl.Float64).fill_nan(None))


def _one(rng: np.random.Generator, place: int, calendar: np.ndarray) -> pl.DataFrame:
    listed = int(rng.integers(0, calendar.size * 3 // 4)) if place % 2 else 0
    n = calendar.size - listed
    close = 10.0 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    opened = close * np.exp(rng.normal(0, 0.005, n))
    high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
    halted = rng.random(n) < 0.02
    prices = {
        "open": opened,
        "high": high,
        "low": low,
        "close": close,
        "vwap": (opened + high + low + close) / 4,
    }
    return pl.DataFrame(
        {
            "instrument": [f"SH{600000 + place}"] * n,
            "date": calendar[listed:],
            **{name: np.where(halted, np.nan, values) for name, values in prices.items()},
            "volume": np.where(halted, 0.0, np.exp(rng.normal(12, 1, n))),
        }
    )


def write(folder: Path, frame: pl.DataFrame) -> None:
    """Write a frame as one Parquet file and as a Qlib provider."""
    from qlops_assets.lake.qlib_bin import write_provider

    frame.write_parquet(folder / "bars.parquet")
    write_provider(folder / "provider", frame)
