"""Thirteen instruments with every oddity that a window can meet."""

from datetime import date
from typing import Final

import numpy as np
import polars as pl

from qlops_assets_tests.support.market import weekdays

DAYS: Final = weekdays(date(2021, 1, 4), 120)
PLAIN, HALTS, GAPS, LATE, GONE, FLAT = "PLAIN", "HALTS", "GAPS", "LATE", "GONE", "FLAT"
TIES, ZEROS, ONE, NONE, INDEX, SMALL = "TIES", "ZEROS", "ONE", "NONE", "INDEX", "SMALL"
SPIKES = "SPIKES"  # a volume and a price a million times too large, as in bad data
CODES: Final = (FLAT, GAPS, GONE, HALTS, INDEX, LATE, NONE, ONE, PLAIN, SMALL, SPIKES, TIES, ZEROS)
PRICES: Final = ("open", "high", "low", "close", "vwap")


def odd_bars(seed: int = 3, days: list[date] = DAYS) -> pl.DataFrame:
    """Return the bars, sorted."""
    rng = np.random.default_rng(seed)
    frames = [_plain(rng, code, days) for code in sorted(CODES)]
    bars = pl.concat(frames).with_columns(place=pl.int_range(pl.len()).over("instrument"))
    return _halted(_shaped(bars, len(days)), rng, len(days)).drop("place")


def _plain(rng: np.random.Generator, code: str, days: list[date]) -> pl.DataFrame:
    size = len(days)
    close = 20.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, size)))
    opening = close * (1 + rng.normal(0.0, 0.01, size))
    return pl.DataFrame(
        {
            "instrument": code,
            "date": days,
            "open": opening,
            "high": np.maximum(opening, close) * 1.01,
            "low": np.minimum(opening, close) * 0.99,
            "close": close,
            "volume": np.round(1e6 * rng.lognormal(0.0, 0.5, size)),
            "vwap": (opening + close) / 2,
        }
    )


def _shaped(bars: pl.DataFrame, days: int) -> pl.DataFrame:
    """Give each instrument its own prices."""
    code, place = pl.col("instrument"), pl.col("place")
    flat = (code == FLAT) & (place % 60 >= 25)
    spike = (code == SPIKES) & (place % 31 == 10)
    for name in PRICES:
        value = pl.col(name)
        value = pl.when(flat).then(12.34).otherwise(value)
        value = pl.when(code == TIES).then((value * 2).round() / 2).otherwise(value)
        value = pl.when(code == SMALL).then(1 + value * 1e-5).otherwise(value)
        value = pl.when(spike).then(value * 1e6).otherwise(value)
        bars = bars.with_columns(value.alias(name))
    volume = pl.when(flat).then(5000.0).otherwise(pl.col("volume"))
    zero = (code == ZEROS) & (place % 17 == 9)
    bars = bars.with_columns(
        pl.when(zero).then(0.0).when(spike).then(volume * 1e6).otherwise(volume).alias("volume"),
        pl.when(zero).then(0.0).otherwise(pl.col("open")).alias("open"),
    )
    absent = (
        ((code == LATE) & (place < days // 2))
        | ((code == GONE) & (place >= 2 * days // 3))
        | ((code == ONE) & (place != days // 3))
        | ((code == GAPS) & (place % 23).is_between(11, 19))
    )
    return bars.filter(~absent)


def _halted(bars: pl.DataFrame, rng: np.random.Generator, days: int) -> pl.DataFrame:
    """Take prices out: on some days of one instrument, on all of another, volume on its own."""
    code, place = pl.col("instrument"), pl.col("place")
    halted = (code == HALTS) & ((pl.Series(rng.random(bars.height)) < 0.15) | (place % 50 < 9))
    none = code == NONE
    lost = (code == GAPS) & (place % 7 == 3)  # the volume alone
    volume = (
        pl.when(halted).then(0.0).otherwise(pl.when(none | lost).then(None).otherwise("volume"))
    )
    prices = [pl.when(halted | none).then(None).otherwise(name).alias(name) for name in PRICES]
    return bars.with_columns(volume.alias("volume"), *prices)
