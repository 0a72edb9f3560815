"""What the simulated market's prices do not decide: its days, listings, halts, risks and noise.

Everything is drawn before trading starts, from one seed. Each subject has its own stream of random
numbers, so that a change to one of them leaves the others as they were.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

LAST_YEAR = 2025
INDUSTRIES = 8
STYLES = 3  # fixed exposures: size, value, leverage
LATE_SHARE = 0.15

MARKET_DRIFT = 0.06 / 246  # a day; the sample mean is set to it, whatever the seed
STAY_CALM, STAY_VOLATILE = 1 - 1 / 120, 1 - 1 / 40
CALM_VOL, VOLATILE_VOL = 0.0080, 0.0170
CALM_DRIFT, VOLATILE_DRIFT = 0.0004, -0.0008
INDUSTRY_VOL, STYLE_VOL, OWN_VOL = 0.0065, 0.0045, 0.0150
HALT_CHANCE, HALT_DAYS = 0.0017, 9.0

YEAR_DAYS = 246


@dataclass(frozen=True, slots=True)
class World:
    """The drawn part of the market; matrices have one row per day, one column per instrument.

    Attributes:
        dates: The trading days.
        listed: Each instrument's first trading day, as an index into ``dates``.
        halted: Whether trading is suspended.
        returns: Log returns before the planted signal.
        own_vol: Standard deviation of the part of the return that is the instrument's alone.
        capital: Float capitalisation at listing.
        price: Raw price at listing.
        turnover: Log of the traded share of the float, before the day's move adds to it.
    """

    dates: list[date]
    listed: Whole
    halted: Flags
    returns: Floats
    own_vol: Floats
    capital: Floats
    price: Floats
    turnover: Floats


def stream(seed: int, subject: int) -> np.random.Generator:
    """Return the random numbers of one subject."""
    return np.random.default_rng([seed, subject])


def trading_days(years: int) -> list[date]:
    """Return the weekdays of the last ``years`` years up to 2025-12-31, less fixed holidays."""
    day, last = date(LAST_YEAR + 1 - years, 1, 1), date(LAST_YEAR, 12, 31)
    days = [day + timedelta(n) for n in range((last - day).days + 1)]
    return [d for d in days if d.weekday() < 5 and not _is_holiday(d)]


def _is_holiday(day: date) -> bool:
    """New year, a spring week, labour days and an autumn week: 12 to 15 weekdays a year."""
    spans = {1: (1, 2), 2: (4, 10), 5: (1, 3), 10: (1, 7)}
    first, last = spans.get(day.month, (0, -1))
    return first <= day.day <= last


def draw_world(*, seed: int, instruments: int, years: int) -> World:
    """Draw everything that prices do not decide."""
    dates = trading_days(years)
    shape = (len(dates), instruments)
    listed = _listings(stream(seed, 1), *shape)
    volatile = _regimes(stream(seed, 2), shape[0])
    own_vol = _own_vol(stream(seed, 3), shape, volatile)
    rng = stream(seed, 4)
    capital = np.exp(rng.normal(np.log(6e9), 1.0, instruments))
    size = np.log(capital / 6e9)
    common = _common_returns(rng, shape, volatile, size)
    noise = np.clip(rng.standard_t(5, shape) / np.sqrt(5 / 3), -6, 6)
    rng = stream(seed, 5)
    return World(
        dates=dates,
        listed=listed,
        halted=_halts(rng, shape, listed),
        returns=common + own_vol * noise - 0.5 * own_vol**2,
        own_vol=own_vol,
        capital=capital,
        price=np.round(np.clip(np.exp(rng.normal(np.log(18), 0.6, instruments)), 5, 90), 2),
        turnover=_turnover(rng, shape),
    )


def _listings(rng: np.random.Generator, days: int, instruments: int) -> Whole:
    listed = np.zeros(instruments, dtype=np.int64)
    late = rng.choice(instruments, size=int(LATE_SHARE * instruments), replace=False)
    listed[late] = rng.integers(int(0.05 * days), int(0.85 * days), late.size)
    return listed


def _regimes(rng: np.random.Generator, days: int) -> Flags:
    """A Markov chain of calm and volatile days."""
    draws = rng.random(days)
    volatile = np.zeros(days, dtype=np.bool_)
    for day in range(1, days):
        stays = STAY_VOLATILE if volatile[day - 1] else STAY_CALM
        volatile[day] = volatile[day - 1] ^ bool(draws[day] > stays)
    return volatile


def _own_vol(rng: np.random.Generator, shape: tuple[int, int], volatile: Flags) -> Floats:
    """Volatility that differs between instruments, clusters in time and rises with the market's."""
    level = np.exp(rng.normal(-0.04, 0.28, shape[1]))
    cluster = np.exp(_persistent(rng, shape, memory=0.97, spread=0.30) - 0.045)
    market = np.where(volatile, 1.3, 0.9)[:, None]
    own_vol: Floats = np.clip(OWN_VOL * level * cluster * market, 0.005, 0.05)
    return own_vol


def _persistent(
    rng: np.random.Generator, shape: tuple[int, int], *, memory: float, spread: float
) -> Floats:
    """First-order autoregressions with that stationary standard deviation, one per column."""
    steps: Floats = rng.standard_normal(shape) * spread * np.sqrt(1 - memory**2)
    steps[0] = rng.standard_normal(shape[1]) * spread
    for day in range(1, shape[0]):
        steps[day] += memory * steps[day - 1]
    return steps


def balanced(rng: np.random.Generator, shape: tuple[int, int], block_days: int) -> Floats:
    """Standard draws whose mean is zero over each block of days: nothing wins by luck alone."""
    draws = rng.standard_normal(shape)
    for block in np.array_split(np.arange(shape[0]), max(1, shape[0] // block_days)):
        draws[block] -= draws[block].mean(axis=0)
    return draws


def _common_returns(
    rng: np.random.Generator, shape: tuple[int, int], volatile: Flags, size: Floats
) -> Floats:
    """Market, industries and styles: what makes instruments move together."""
    days, instruments = shape
    market = rng.standard_normal(days) * np.where(volatile, VOLATILE_VOL, CALM_VOL)
    market += np.where(volatile, VOLATILE_DRIFT, CALM_DRIFT)
    market += MARKET_DRIFT - market.mean()
    beta = np.clip(rng.normal(1.0, 0.2, instruments), 0.4, 1.8)
    stress = np.where(volatile, 1.3, 0.9)[:, None]
    industries = INDUSTRY_VOL * stress * balanced(rng, (days, INDUSTRIES), YEAR_DAYS)
    styles = STYLE_VOL * stress * balanced(rng, (days, STYLES), YEAR_DAYS)
    exposure = rng.standard_normal((STYLES, instruments))
    exposure[0] = size
    of_industry = rng.integers(0, INDUSTRIES, instruments)
    return market[:, None] * beta + industries[:, of_industry] + styles @ exposure


def _halts(rng: np.random.Generator, shape: tuple[int, int], listed: Whole) -> Flags:
    """Spells of several days without trading, never on the first day of an instrument."""
    halted = np.zeros(shape, dtype=np.bool_)
    starts = np.argwhere(rng.random(shape) < HALT_CHANCE)
    lengths = 1 + rng.geometric(1 / HALT_DAYS, len(starts))
    for (day, column), length in zip(starts, lengths, strict=True):
        if day > listed[column]:
            halted[day : day + length, column] = True
    return halted


def _turnover(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    level = rng.normal(np.log(0.008), 0.4, shape[1])
    return level + _persistent(rng, shape, memory=0.90, spread=0.45)
