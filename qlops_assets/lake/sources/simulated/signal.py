"""The planted signal of the simulated market: what it is made of and what it pays.

It can be seen in the bars at a day's close and is paid for two days later, which is what Qlib's
label ``Ref($close,-2)/Ref($close,-1)-1`` measures:

1. reversal: the return of the last 5 days,
2. volume surprise: the log of volume over its mean of 20 days,
3. restlessness: the standard deviation of 20 daily returns;

each standardised across the market and clipped at ±2.5, added with the weights below, standardised
again and turned round: what has fallen, trades little and moves little does better. The payment is
a risk premium, small on average and different every day, and smaller for winners than for losers.
"""

import numpy as np

from qlops_assets.lake.sources.simulated.world import Flags, Floats, World, balanced, stream

REVERSAL_DAYS, WINDOW_DAYS = 5, 20
REVERSAL_WEIGHT, SURPRISE_WEIGHT, RESTLESS_WEIGHT = 0.5, 0.6, 0.35
PAID_AFTER_DAYS = 2
MOST = 2.5
UPSIDE = 0.4  # winners win less than losers lose: selling short is hard

# Per unit of the signal and day, in units of the instruments' mean own volatility on that day, so
# that it pays more when there is more to fear and the Rank IC is alike in calm and volatile times.
PREMIUM_MEAN, PREMIUM_SPREAD = 0.088, 0.17
QUARTER_DAYS = 62
FULL_SIZE = 300 * 8  # instrument-years; a smaller market pays more, so that it can be learnt
MOST_FOR_SMALL = 1.35


def premium_mean(instruments: int, years: int) -> float:
    """Return what one unit of the signal pays on an average day, in units of volatility."""
    size = min(instruments * years / FULL_SIZE, 1.0)
    return float(PREMIUM_MEAN * min(size**-0.12, MOST_FOR_SMALL))


def draw_premium(world: World, *, seed: int, years: int) -> Floats:
    """Return what one unit of the signal pays on each day, as a log return."""
    days, instruments = world.own_vol.shape
    spread = PREMIUM_SPREAD * balanced(stream(seed, 10), (days, 1), QUARTER_DAYS)[:, 0]
    premium: Floats = (premium_mean(instruments, years) + spread) * world.own_vol.mean(axis=1)
    return premium


def planted_signal(returns: Floats, volume: Floats, known: Flags) -> Floats:
    """Return the signal at the close of a day; 0 where it is not known.

    Args:
        returns: Daily returns of the last 20 days, the day itself last; one column per instrument.
        volume: Volume ÷ factor of the same days; 0 on halted days.
        known: Instruments that traded today and are listed for 20 days.
    """
    if known.sum() < 2:
        return np.zeros(known.size)
    usual = volume.sum(axis=0) / np.maximum((volume > 0).sum(axis=0), 1)
    surprise = np.log(np.maximum(volume[-1], 1.0) / np.maximum(usual, 1.0))
    score = -_standard(
        REVERSAL_WEIGHT * _standard(returns[-REVERSAL_DAYS:].sum(axis=0), known)
        + SURPRISE_WEIGHT * _standard(surprise, known)
        + RESTLESS_WEIGHT * _standard(returns.std(axis=0), known),
        known,
    )
    score = np.where(score > 0, UPSIDE * score, score)
    signal: Floats = np.where(known, score - score[known].mean(), 0.0)
    return signal


def _standard(values: Floats, known: Flags) -> Floats:
    chosen = values[known]
    scaled = (values - chosen.mean()) / max(float(chosen.std()), 1e-12)
    standard: Floats = np.where(known, np.clip(scaled, -MOST, MOST), 0.0)
    return standard
