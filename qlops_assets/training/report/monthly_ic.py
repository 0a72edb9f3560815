"""Mean IC and Rank IC of every month."""

import polars as pl


def monthly_ic(daily: pl.DataFrame) -> pl.DataFrame:
    """Return ``year, month, days, ic, rank_ic`` of every month that has a day with both.

    Args:
        daily: ``date, ic, rank_ic``; NaN on days without a correlation, which are left out.
    """
    return (
        daily.drop_nans(["ic", "rank_ic"])
        .group_by(pl.col("date").dt.year().alias("year"), pl.col("date").dt.month().alias("month"))
        .agg(pl.len().alias("days"), pl.col("ic").mean(), pl.col("rank_ic").mean())
        .sort("year", "month")
    )
