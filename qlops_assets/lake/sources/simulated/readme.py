"""The README of a simulated source: says that it is simulated, how it was made, what is planted."""

from qlops_assets.lake.sources.simulated import index, signal, trading, world

_TEXT = """\
# SIMULATED market: no real instrument, no real price

Everything in this folder was made by a program (`qlops_assets.lake.sources.simulated`) from the
seed {seed}: {instruments} instruments, {years} years up to {last_year}-12-31. It exists so that the
platform can be tried and tested without market data. **Nothing in it says anything about a
real market**, and a model that does well here has only found what was planted. The same arguments
give the same bytes (with the same versions of NumPy and Polars).

## Files
- `bars/YYYY.parquet`: instrument, date, open, high, low, close (raw, two decimals), volume (raw
  shares), factor (cumulative back-adjustment, 1 at listing). Adjusted price = price × factor,
  adjusted volume = volume ÷ factor. Sorted by instrument and date.
- `benchmark.parquet`: `{index}`, total return of the members weighted by the float capitalisation
  of the day before, 1000 on the first day.
- `simindex.txt`: the members as of each day, {seats} at any time, as `code TAB start TAB end`, both
  days inclusive. The largest floats, reviewed in June and December, with a buffer, from what was
  known the day before.

## How it was made
- Days: weekdays less a fixed set of holidays.
- Returns: a market with calm and volatile regimes (a Markov chain; its mean over all days is set to
  a log return of {drift:.0%} a year), {industries} industries, {styles} styles with
  fixed exposures, and own noise with fat tails (Student's t, 5 degrees of freedom) and clustered
  volatility. Industries and styles have a mean of zero over every year or so.
- Limits: a price moves at most {limit:.0%} a day from its reference price; what is left over is
  carried into the next day. A locked day may trade at one price only (open = high = low = close).
- Halts: spells of several days with volume 0, prices at the last close, factor frozen.
- Listings: {late:.0%} of the instruments list after the first day. None is ever delisted.
- Dividends once in most years; splits when a price is high, consolidations (1 for 5) when it is
  below {low:g}. The reference price is rounded to 0.01 and the factor takes exactly that step, so
  that adjusted returns are continuous.
- Volume: persistent, higher on days of large moves.

## The planted signal
At each close, for every instrument that trades and has been listed for {window} days:

    score  = -({w_reversal} z(return of {reversal} days)
               + {w_surprise} z(log(volume / mean volume of {window} days))
               + {w_restless} z(standard deviation of {window} daily returns))
    signal = s where s < 0, else {upside} s, with s = z(score); less its mean

where z standardises across the market and clips at ±{most}, and volume is adjusted. It is paid for
{delay} days later, so Qlib's label `Ref($close,-2)/Ref($close,-1)-1` is what it predicts: the log
return of that day gets premium × signal. The premium is drawn anew every day, in units of the
instruments' mean own volatility (about {own_vol:.1%} a day): mean {mean:.3f}, the same in every
quarter, standard deviation {spread:.2f}; so the signal loses on many days. Smaller markets get a
larger mean. Nothing else is planted; only what a limit or a halt left over can be foreseen besides.

The score has a Rank IC near 0.05 with the label in the default market. LightGBM with Qlib's
CSI 300 parameters on Alpha158 (60/20/20 by date) finds most of it.
"""


def readme(*, seed: int, instruments: int, years: int) -> str:
    """Return the README of the market made from these arguments."""
    return _TEXT.format(
        seed=seed,
        instruments=instruments,
        years=years,
        last_year=world.LAST_YEAR,
        index=index.INDEX,
        seats=index.seats(instruments),
        drift=world.MARKET_DRIFT * world.YEAR_DAYS,
        industries=world.INDUSTRIES,
        styles=world.STYLES,
        limit=trading.LIMIT,
        late=world.LATE_SHARE,
        low=trading.CONSOLIDATE_BELOW,
        window=signal.WINDOW_DAYS,
        reversal=signal.REVERSAL_DAYS,
        w_reversal=signal.REVERSAL_WEIGHT,
        w_surprise=signal.SURPRISE_WEIGHT,
        w_restless=signal.RESTLESS_WEIGHT,
        upside=signal.UPSIDE,
        most=signal.MOST,
        delay=signal.PAID_AFTER_DAYS,
        own_vol=world.OWN_VOL,
        mean=signal.premium_mean(instruments, years),
        spread=signal.PREMIUM_SPREAD,
    )
