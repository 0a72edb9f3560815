"""The simulated market's bars: what a day looked like between its reference price and its close."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from qlops_assets.lake.sources.simulated.trading import TICK, Trading, limits
from qlops_assets.lake.sources.simulated.world import Floats, World, stream

GAP_SHARE = 0.35  # of the day's move that happened before the open


@dataclass(frozen=True, slots=True)
class Prices:
    """Raw prices of the days beside the close; one row per day, one column per instrument."""

    open: Floats
    high: Floats
    low: Floats


def draw_prices(world: World, trading: Trading, *, seed: int) -> Prices:
    """Draw raw open, high and low prices, consistent with the closes and the limits."""
    rng = stream(seed, 21)
    close, reference = trading.close, trading.reference
    lowest, highest = limits(reference)
    gap = GAP_SHARE * np.log(close / reference)
    gap += 0.35 * world.own_vol * rng.standard_normal(close.shape)
    opened = np.clip(np.round(reference * np.exp(gap), 2), lowest, highest)
    up = 0.6 * world.own_vol * np.abs(rng.standard_normal(close.shape))
    down = 0.6 * world.own_vol * np.abs(rng.standard_normal(close.shape))
    low = np.maximum(np.round(np.minimum(opened, close) * np.exp(-down), 2), lowest)
    high = np.round(np.maximum(opened, close) * np.exp(up), 2)
    # Only a locked day trades at one price, so that a flat bar means what it means elsewhere.
    high = np.minimum(np.maximum(high, np.round(low + TICK, 2)), highest)
    still = trading.flat | (trading.volume == 0)
    return Prices(
        open=np.where(still, close, opened),
        high=np.where(still, close, high),
        low=np.where(still, close, low),
    )


def bars_frame(world: World, trading: Trading, prices: Prices, codes: list[str]) -> pl.DataFrame:
    """Return one row per instrument and trading day since its listing, sorted by both."""
    days = np.arange(len(world.dates))
    listed = (days[:, None] >= world.listed).T  # instruments first, as the rows are sorted
    column, day = np.nonzero(listed)
    values = {
        "open": prices.open,
        "high": prices.high,
        "low": prices.low,
        "close": trading.close,
        "volume": trading.volume.astype(np.int64),
        "factor": trading.factor,
    }
    dates = pl.Series("date", world.dates, dtype=pl.Date)
    return pl.DataFrame(
        [
            pl.Series("instrument", codes).gather(column),
            dates.gather(day),
            *(pl.Series(name, np.ascontiguousarray(v.T[listed])) for name, v in values.items()),
        ]
    )
