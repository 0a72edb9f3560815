"""Whether the score is something known under another name: size, momentum, reversal, volatility."""

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY

# Calendar days before the first prediction that the longest look-back surely lies in.
LOOK_BACK_DAYS: Final = 150
NEEDED: Final = ("close", "volume")

_CLOSE: Final = pl.col("close").forward_fill().over(INSTRUMENT)
_MOVE: Final = _CLOSE / _CLOSE.shift(1).over(INSTRUMENT) - 1
_LEAST_BARS: Final = 10

PROXIES: Final[Mapping[str, pl.Expr]] = MappingProxyType(
    {
        # Adjusted price times adjusted volume is the traded value; there are no share counts.
        "traded value, 20 days": (pl.col("close") * pl.col("volume"))
        .fill_null(0.0)
        .rolling_mean(20, min_samples=_LEAST_BARS)
        .over(INSTRUMENT),
        "momentum, 60 days": _CLOSE / _CLOSE.shift(60).over(INSTRUMENT) - 1,
        "return, 5 days": _CLOSE / _CLOSE.shift(5).over(INSTRUMENT) - 1,
        "volatility, 20 days": _MOVE.rolling_std(20, min_samples=_LEAST_BARS).over(INSTRUMENT),
    }
)


def first_day_needed(predictions: pl.DataFrame) -> date:
    """Return from which day on bars are needed."""
    first = predictions[DATE].min()
    assert isinstance(first, date)
    return first - timedelta(days=LOOK_BACK_DAYS)


def score_exposure(predictions: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Return by year the mean daily rank correlation of the score with what bars say anyway.

    Args:
        predictions: ``date, instrument, score`` of one segment.
        bars: ``instrument, date, close, volume``, adjusted, sorted, from well before the first
            prediction on.

    Returns:
        ``year``, and a column by proxy: traded value over 20 days (size and liquidity), momentum
        over 60, return over 5, volatility over 20. Null where no day of the year has one.
    """
    known = bars.select(*KEY, *(expression.alias(name) for name, expression in PROXIES.items()))
    rows = predictions.select(*KEY, "score").join(known, on=KEY, maintain_order="left")
    long = rows.unpivot(list(PROXIES), index=[DATE, "score"], variable_name="proxy")
    days = (
        long.drop_nulls()
        .filter(pl.col("value").is_finite())
        .group_by(DATE, "proxy", maintain_order=True)
        .agg(pl.corr("score", "value", method="spearman").alias("exposure"))
        .drop_nans()
    )
    years = (
        days.group_by(pl.col(DATE).dt.year().alias("year"), "proxy", maintain_order=True)
        .agg(pl.col("exposure").mean())
        .pivot("proxy", index="year", values="exposure")
        .sort("year")
    )
    missing = [
        pl.lit(None, pl.Float64).alias(name) for name in PROXIES if name not in years.columns
    ]
    return years.with_columns(missing).select("year", *PROXIES)
