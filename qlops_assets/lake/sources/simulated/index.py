"""The simulated market's index: its members as of each day, and its level."""

from datetime import date

import numpy as np
import polars as pl

from qlops_assets.lake.sources.simulated.bars import Prices
from qlops_assets.lake.sources.simulated.trading import Trading
from qlops_assets.lake.sources.simulated.world import Flags, Floats, World

INDEX = "SIMINDEX"
BASE = 1000.0
MEMBER_SHARE = 0.82
REVIEW_MONTHS = (6, 12)
REVIEW_DAY = 15
LOOKBACK_DAYS = 120
SEASONING_DAYS = 60
PEAK_SHARE = 0.4  # members do not peak together: how far the index follows their highs
BUFFER = 0.05  # of the members: how far past the last place a member may fall and stay


def seats(instruments: int) -> int:
    """Return how many members the index has."""
    return round(MEMBER_SHARE * instruments)


def membership(world: World, trading: Trading) -> Flags:
    """Return who is a member on which day: the largest floats, reviewed twice a year.

    A review uses closes up to the day before it takes effect and nothing later.
    """
    days, instruments = trading.close.shape
    capital = trading.close * trading.shares
    members = np.zeros((days, instruments), dtype=np.bool_)
    seated = _seat(capital[0], world.listed == 0, np.zeros(instruments, dtype=np.bool_))
    reviews = set(_reviews(world.dates))
    for day in range(days):
        if day in reviews:
            average = capital[max(0, day - LOOKBACK_DAYS) : day].mean(axis=0)
            seasoned = (world.listed == 0) | (world.listed <= day - SEASONING_DAYS)
            seated = _seat(average, seasoned, seated)
        members[day] = seated
    return members


def _reviews(dates: list[date]) -> list[int]:
    """The first trading days from the middle of the review months on."""
    late = [d.month in REVIEW_MONTHS and d.day >= REVIEW_DAY for d in dates]
    return [n for n in range(1, len(dates)) if late[n] and not late[n - 1]]


def _seat(capital: Floats, eligible: Flags, seated: Flags) -> Flags:
    """Fill the seats by size; who sits keeps the seat while not far below the last place."""
    places = seats(capital.size)
    rank = np.empty(capital.size, dtype=np.int64)
    rank[np.argsort(-np.where(eligible, capital, -1.0), kind="stable")] = np.arange(capital.size)
    margin = max(1, int(BUFFER * places))
    chosen = eligible & ((rank < places - margin) | (seated & (rank < places + margin)))
    order = np.argsort(np.where(chosen, rank, rank + 2 * rank.size), kind="stable")
    seated = np.zeros_like(eligible)
    seated[order[:places]] = True
    return seated & eligible


def membership_frame(world: World, members: Flags, codes: list[str]) -> pl.DataFrame:
    """Return one row per spell of membership: instrument, start, end (both inclusive)."""
    padded = np.zeros((members.shape[0] + 2, members.shape[1]), dtype=np.int8)
    padded[1:-1] = members
    steps = np.diff(padded, axis=0).T
    column, start = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    dates = pl.Series(world.dates, dtype=pl.Date)
    return pl.DataFrame(
        [
            pl.Series("instrument", codes).gather(column),
            dates.gather(start).alias("start"),
            dates.gather(end - 1).alias("end"),
        ]
    )


def benchmark_frame(world: World, trading: Trading, prices: Prices, members: Flags) -> pl.DataFrame:
    """Return the index's bars: total return, weighted by yesterday's float capitalisation."""
    capital = trading.close * trading.shares
    weight = np.vstack([capital[:1], capital[:-1]]) * members
    weight /= weight.sum(axis=1, keepdims=True)

    def moved(price: Floats) -> Floats:
        mean: Floats = (weight * (price / trading.reference)).sum(axis=1)
        return mean

    daily = moved(trading.close)
    close = BASE * np.cumprod(daily) / daily[0]
    before = close / daily
    opened = before * moved(prices.open)
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    levels = {
        "open": opened,
        "high": top + PEAK_SHARE * np.maximum(before * moved(prices.high) - top, 0),
        "low": bottom - PEAK_SHARE * np.maximum(bottom - before * moved(prices.low), 0),
        "close": close,
    }
    return pl.DataFrame(
        [
            pl.Series("instrument", [INDEX] * len(world.dates)),
            pl.Series("date", world.dates, dtype=pl.Date),
            *(pl.Series(name, np.round(level, 3)) for name, level in levels.items()),
            pl.Series("volume", (trading.volume * members).sum(axis=1).astype(np.int64)),
        ]
    )
