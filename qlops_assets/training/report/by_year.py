"""Signal and portfolio of every calendar year of the test."""

import polars as pl


def by_year(daily: pl.DataFrame, by_day: pl.DataFrame) -> pl.DataFrame:
    """Return one row a calendar year.

    Args:
        daily: ``date, ic, rank_ic``; NaN on days without a correlation.
        by_day: The table of ``backtest.run_backtest``.

    Returns:
        ``year``; ``days`` of the backtest; ``ic`` and ``rank_ic``, means of the year, null without
        any; ``return`` and ``excess``, sums of the daily ones after cost, not annualised;
        ``drawdown``, the deepest of the year's own cumulated excess; ``turnover``, mean of a day.
    """
    year = pl.col("date").dt.year().alias("year")
    signal = (
        daily.drop_nans(["ic", "rank_ic"])
        .group_by(year)
        .agg(pl.col("ic").mean(), pl.col("rank_ic").mean())
    )
    cumulated = pl.col("excess").cum_sum()
    portfolio = (
        by_day.sort("date")
        .group_by(year, maintain_order=True)
        .agg(
            pl.len().alias("days"),
            pl.col("strategy").sum().alias("return"),
            pl.col("excess").sum(),
            (cumulated - cumulated.cum_max()).min().alias("drawdown"),
            pl.col("turnover").mean(),
        )
    )
    order = ("year", "days", "ic", "rank_ic", "return", "excess", "drawdown", "turnover")
    return portfolio.join(signal, on="year", how="left").select(order).sort("year")
