"""Random bars: what a property must hold for."""

from datetime import date
from typing import Final

import numpy as np
import polars as pl
from hypothesis import strategies as st

from qlops_assets_tests.support.market import weekdays

FIRST_DAY: Final = date(2021, 1, 4)
_SHARES: Final = st.sampled_from([0.0, 0.0, 0.1, 0.5, 0.95])


@st.composite
def histories(draw: st.DrawFn, *, most_days: int = 60, most_codes: int = 4) -> pl.DataFrame:
    """Draw a bars frame: late and short listings, halts, days left out, ties, zeros, no factor."""
    days = weekdays(FIRST_DAY, draw(st.integers(1, most_days)))
    frames = [
        _history(draw, f"I{number}", days) for number in range(draw(st.integers(1, most_codes)))
    ]
    bars = pl.concat(frames)
    return bars if draw(st.booleans()) else bars.with_columns(factor=pl.lit(2.0))


def _history(draw: st.DrawFn, code: str, days: list[date]) -> pl.DataFrame:
    """Draw one instrument's bars; at least one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    begin = draw(st.just(0) | st.integers(0, len(days) - 1))
    size = draw(st.just(len(days) - begin) | st.integers(1, len(days) - begin))
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, size)))
    close = np.round(close) if draw(st.booleans()) else close
    opening = close * (1 + rng.normal(0, 0.01, size)) * (rng.random(size) >= draw(_SHARES))
    volume = np.round(1e6 * rng.lognormal(0, 0.5, size)) * (rng.random(size) >= draw(_SHARES))
    prices = {
        "open": opening,
        "high": np.maximum(opening, close) * 1.01,
        "low": np.minimum(opening, close) * 0.99,
        "close": close,
        "vwap": (opening + close) / 2,
    }
    halted = rng.random(size) < draw(_SHARES)
    frame = pl.DataFrame(
        {
            "instrument": code,
            "date": days[begin : begin + size],
            **{name: np.where(halted, np.nan, values) for name, values in prices.items()},
            "volume": volume,
        }
    )
    left_out = rng.random(size) < draw(_SHARES)
    left_out[rng.integers(size)] = False
    return frame.filter(pl.Series(~left_out)).with_columns(pl.selectors.float().fill_nan(None))
