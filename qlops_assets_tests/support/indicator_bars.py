"""Bars for tests of indicators: drawn by hand, at random, or real ones."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets_tests.support.market import weekdays

FIRST_DAY = date(2020, 1, 1)
REAL = Path(__file__).parents[2].parent / "shared" / "data"
HALTED = {"open": None, "high": None, "low": None, "close": None, "volume": 0.0}


def drawn(
    close: Sequence[float],
    *,
    high: Sequence[float] | None = None,
    low: Sequence[float] | None = None,
    volume: Sequence[float] | None = None,
    instrument: str = "SH600000",
) -> pl.DataFrame:
    """Return one instrument's bars; what is not given equals the close, the volume is 100."""
    return pl.DataFrame(
        {
            "instrument": [instrument] * len(close),
            "date": weekdays(FIRST_DAY, len(close)),
            "open": close,
            "high": close if high is None else high,
            "low": close if low is None else low,
            "close": close,
            "volume": [100.0] * len(close) if volume is None else volume,
        },
        schema_overrides=dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
    )


def walks(
    seed: int, lengths: Sequence[int], *, halted: float = 0.0, tick: float = 1e-6
) -> pl.DataFrame:
    """Return instruments of those many days, beginning on different ones.

    Prices are whole ticks: a coarse one leaves them still for days. Halted days have no price and
    no volume.
    """
    rng = np.random.default_rng(seed)
    parts = [_walk(rng, place, days, halted, tick) for place, days in enumerate(lengths)]
    return pl.concat(parts)


def _walk(
    rng: np.random.Generator, place: int, days: int, halted: float, tick: float
) -> pl.DataFrame:
    close = 10.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, days)))
    opened = close * np.exp(rng.normal(0.0, 0.005, days))
    swing = 1.0 + rng.uniform(0.0, 0.02, (2, days))
    prices = {
        "open": opened,
        "high": np.maximum(opened, close) * swing[0],
        "low": np.minimum(opened, close) / swing[1],
        "close": close,
    }
    still = rng.random(days) < halted
    volume = np.round(np.exp(rng.normal(10.0, 1.0, days))) + 1.0
    listed = int(rng.integers(0, 30))
    whole = {name: np.maximum(np.round(v / tick), 1.0) * tick for name, v in prices.items()}
    return pl.DataFrame(
        {
            "instrument": [f"SH{600000 + place}"] * days,
            "date": weekdays(FIRST_DAY, listed + days)[listed:],
            **{name: np.where(still, np.nan, v) for name, v in whole.items()},
            "volume": np.where(still, 0.0, volume),
        },
        schema_overrides={"instrument": pl.String, "date": pl.Date},
    ).with_columns(pl.col("open", "high", "low", "close").fill_nan(None))


def real_bars(name: str) -> pl.DataFrame:
    """Return real bars as a bars frame, prices adjusted; skip aloud where there are none.

    On days with volume 0 the source repeats the last close; a bars frame has no prices there.
    """
    folder = REAL / name
    if not folder.is_dir():
        pytest.skip(f"no real market data in {folder}")
    files = sorted(folder.glob("bars/*.parquet")) or [folder / "bars.parquet"]
    traded, factor = pl.col("volume") > 0, pl.col("factor")
    return (
        pl.scan_parquet(files)
        .select(
            "instrument",
            pl.col("date").cast(pl.Date),
            *(
                pl.when(traded).then(pl.col(price) * factor).alias(price)
                for price in ("open", "high", "low", "close")
            ),
            (pl.col("volume") / factor).alias("volume"),
        )
        .sort("instrument", "date")
        .collect()
    )


def traded(bars: pl.DataFrame) -> pl.Series:
    """Return which rows were traded: all prices there, and a volume."""
    prices = [pl.col(name).is_not_null() for name in ("open", "high", "low", "close")]
    return bars.select(
        pl.all_horizontal(*prices, (pl.col("volume") > 0).fill_null(value=False))
    ).to_series()


def assert_same_bits(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Compare frames of doubles to the bit, what is missing included."""
    assert found.columns == expected.columns
    assert found.height == expected.height
    wrong = [name for name in found.columns if not _same(found[name], expected[name])]
    assert not wrong, f"other values: {', '.join(wrong)}"


def _same(one: pl.Series, other: pl.Series) -> bool:
    if not one.dtype.is_float():
        return one.equals(other)
    if not one.is_null().equals(other.is_null()):
        return False
    values = (series.drop_nulls().to_numpy() for series in (one, other))
    first, second = values
    return first.tobytes() == second.tobytes()
