"""Alpha158: Qlib's 158 factors, taken from Qlib's own definitions."""

from datetime import date
from functools import cache

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.digests import value_digest
from qlops_assets.factors.engine import evaluate, require_bars
from qlops_assets.factors.look_back import LOOK_BACK_DAYS


@cache
def alpha158_expressions() -> dict[str, str]:
    """Return name -> Qlib expression of the 158 factors, in Qlib's order.

    Source: ``qlib.contrib.data.loader.Alpha158DL.get_feature_config``.
    """
    from qlib.contrib.data.loader import Alpha158DL

    fields, names = Alpha158DL.get_feature_config()
    return dict(zip(names, fields, strict=True))


def alpha158_digest() -> str:
    """Return the digest of the definitions: the code version of every factor row."""
    return value_digest(alpha158_expressions())


def alpha158(
    bars: pl.DataFrame, *, engine: str = "qlib", since: date | None = None
) -> pl.DataFrame:
    """Return the 158 factors of a bars frame.

    Args:
        bars: A bars frame (``core.columns``).
        engine: A name of ``factors.engine.ENGINES``.
        since: Only rows from this day on; earlier bars serve as look-back.

    Returns:
        ``instrument, date`` and one float32 column per factor, in Qlib's order and with Qlib's
        rows: every calendar day between an instrument's first and last bar.

    Raises:
        UnknownEntryError: there is no such engine.
        FactorError: the bars are empty or lack a column that a factor needs, such as vwap.
    """
    if since is None:
        return evaluate(alpha158_expressions(), bars, engine=engine)
    require_bars(bars)
    frame = evaluate(alpha158_expressions(), _looking_back(bars, since), engine=engine)
    return frame.filter(pl.col(DATE) >= since)


def _looking_back(bars: pl.DataFrame, since: date) -> pl.DataFrame:
    """Return the bars that factors from ``since`` on depend on.

    An instrument whose rows begin earlier has rows from the first day of the window on, as it has
    in the whole: an empty one is put there where the source left that day out.
    """
    days = bars.get_column(DATE).unique().sort()
    first = days[max(0, int(days.search_sorted(since)) - LOOK_BACK_DAYS)]
    window = bars.filter(pl.col(DATE) >= first)
    begun = bars.filter(pl.col(DATE) < first).select(INSTRUMENT).unique()
    present = window.filter(pl.col(DATE) == first).select(INSTRUMENT)
    absent = window.select(INSTRUMENT).unique().join(begun, on=INSTRUMENT, how="semi")
    absent = absent.join(present, on=INSTRUMENT, how="anti").with_columns(pl.lit(first).alias(DATE))
    return pl.concat([window, absent], how="diagonal").sort(KEY)
