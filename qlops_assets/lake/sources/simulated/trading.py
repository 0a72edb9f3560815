"""Trading in the simulated market, day by day: limits, locks, corporate actions.

An instrument has a fair price that takes every return at once. The traded price follows it, but
moves at most 10 % a day from the reference price (yesterday's close less what was split off or
paid out) and not at all during a halt; what it could not follow is carried into the next day.
"""

from dataclasses import dataclass

import numpy as np

from qlops_assets.lake.sources.simulated.signal import (
    PAID_AFTER_DAYS,
    WINDOW_DAYS,
    planted_signal,
)
from qlops_assets.lake.sources.simulated.world import Flags, Floats, Whole, World, stream

LIMIT = 0.10
TICK = 0.01
LOCKED_FLAT_SHARE = 0.35
HALT_NEWS = 0.5  # a halted instrument learns half of its returns
SPLIT_ABOVE, CONSOLIDATE_BELOW = (40.0, 150.0), 4.0
CONSOLIDATION = 0.2
DIVIDEND_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Trading:
    """The traded part of the market; one row per day, one column per instrument.

    Attributes:
        close: Raw closing prices.
        reference: Yesterday's raw close less today's split or dividend.
        factor: Cumulative back-adjustment; price × factor is continuous.
        volume: Raw shares; 0 on a halted day.
        shares: Raw shares of the float.
        flat: Days that traded at the limit price only.
    """

    close: Floats
    reference: Floats
    factor: Floats
    volume: Floats
    shares: Floats
    flat: Flags

    @classmethod
    def blank(cls, shape: tuple[int, int]) -> "Trading":
        """Return matrices to be filled day by day."""
        return cls(
            close=np.zeros(shape),
            reference=np.zeros(shape),
            factor=np.zeros(shape),
            volume=np.zeros(shape),
            shares=np.zeros(shape),
            flat=np.zeros(shape, dtype=np.bool_),
        )


def limits(reference: Floats) -> tuple[Floats, Floats]:
    """Return the lowest and the highest price of the day for these reference prices."""
    return _ticks(reference * (1 - LIMIT)), _ticks(reference * (1 + LIMIT))


def _ticks(price: Floats) -> Floats:
    rounded: Floats = np.rint(price / TICK) / 100
    return rounded


def trade(world: World, premium: Floats, *, seed: int) -> Trading:
    """Trade through all days; ``premium`` is what the planted signal pays on each of them."""
    days, instruments = shape = world.returns.shape
    actions, out = _Actions(world, seed), Trading.blank(shape)
    flat_draws = stream(seed, 11).random(shape)
    signals, moves = np.zeros(shape), np.zeros(shape)
    close, factor = world.price.copy(), np.ones(instruments)
    shares, carry = world.capital / world.price, np.zeros(instruments)
    for day in range(days):
        trading = ~world.halted[day] & (day >= world.listed)
        ratio, reference = actions.of(day, close, trading & (day > world.listed))
        factor *= close / reference
        shares *= ratio
        paid = premium[day] * signals[max(day - PAID_AFTER_DAYS, 0)]
        news = np.where(day > world.listed, world.returns[day] + paid, 0.0)
        fair = carry + news * np.where(trading, 1.0, HALT_NEWS)
        wanted = reference * np.exp(fair)
        lowest, highest = limits(reference)
        close = np.where(trading, np.clip(_ticks(wanted), lowest, highest), reference)
        carry = fair - np.log(close / reference)
        moves[day] = close / reference - 1
        locked = trading & ((wanted > highest) | (wanted < lowest))
        out.flat[day] = locked & ((np.abs(carry) > 0.03) | (flat_draws[day] < LOCKED_FLAT_SHARE))
        out.close[day], out.reference[day], out.factor[day] = close, reference, factor
        out.shares[day] = shares
        out.volume[day] = trading * _volume(world, day, moves[day], shares, out.flat[day])
        if day >= WINDOW_DAYS:
            window = slice(day + 1 - WINDOW_DAYS, day + 1)
            known = trading & (world.listed + WINDOW_DAYS <= day)
            adjusted = out.volume[window] / out.factor[window]
            signals[day] = planted_signal(moves[window], adjusted, known)
    return out


def _volume(world: World, day: int, move: Floats, shares: Floats, flat: Flags) -> Floats:
    """Shares traded: persistent, larger on days of large moves, small when locked all day."""
    excitement = 0.35 * np.minimum(np.abs(move) / world.own_vol[day], 4.0)
    traded = np.exp(world.turnover[day] + excitement) * np.where(flat, 0.2, 1.0)
    volume: Floats = np.maximum(np.rint(shares * np.minimum(traded, 0.4)), 100.0)
    return volume


class _Actions:
    """Dividends and splits: what they make of yesterday's close."""

    def __init__(self, world: World, seed: int) -> None:
        rng = stream(seed, 12)
        days, instruments = world.returns.shape
        self._split_above = rng.uniform(*SPLIT_ABOVE, instruments)
        self._ratio = rng.choice([1.5, 2.0, 2.0, 3.0], (days, instruments))
        self._yield = rng.uniform(0.005, 0.03, (days, instruments))
        self._due = self._dividend_days(rng, world)
        self._pending = np.zeros(instruments, dtype=np.bool_)

    @staticmethod
    def _dividend_days(rng: np.random.Generator, world: World) -> Flags:
        """One day in the middle of most years, its own for every instrument."""
        due = np.zeros(world.returns.shape, dtype=np.bool_)
        years = np.array([d.year for d in world.dates])
        columns: Whole = np.arange(world.price.size)
        for year in np.unique(years):
            first = int(np.argmax(years == year))
            days = first + rng.integers(85, 145, columns.size)
            pays = (rng.random(columns.size) < DIVIDEND_SHARE) & (days < len(world.dates))
            due[days[pays], columns[pays]] = True
        return due

    def of(self, day: int, close: Floats, trading: Flags) -> tuple[Floats, Floats]:
        """Return the split ratio and the reference price; actions wait for a trading day."""
        self._pending |= self._due[day]
        pays = trading & self._pending
        self._pending &= ~pays
        cash = np.where(pays, np.maximum(_ticks(close * self._yield[day]), TICK), 0.0)
        ratio = np.where(trading & (close > self._split_above), self._ratio[day], 1.0)
        ratio = np.where(trading & (close < CONSOLIDATE_BELOW), CONSOLIDATION, ratio)
        reference = np.where(pays | (ratio != 1.0), _ticks((close - cash) / ratio), close)
        return ratio, reference
