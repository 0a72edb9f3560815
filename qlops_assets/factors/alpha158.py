"""Alpha158: Qlib's 158 factors, taken from Qlib's own definitions."""

from datetime import date
from functools import cache

import polars as pl

from qlops_assets.core.digests import value_digest
from qlops_assets.factors.engine import NATIVE, evaluate


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
    bars: pl.DataFrame, *, engine: str = NATIVE, since: date | None = None
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
    return evaluate(alpha158_expressions(), bars, engine=engine, since=since)
