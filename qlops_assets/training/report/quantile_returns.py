"""What the instruments earn that the model puts into each quantile of a day."""

from dataclasses import dataclass

import polars as pl

from qlops_assets.core.columns import DATE, LABEL
from qlops_assets.training.overfitting.mean_error import mean_error

QUANTILES = 5


@dataclass(frozen=True, slots=True)
class QuantileReturns:
    """Returns by quantile of the score; the highest quantile has the highest scores.

    Attributes:
        by_day: ``date, quantile, mean, excess, count``: mean label of the quantile's instruments,
            the same less the mean of the day's whole sample, and how many there are.
        means: ``quantile, mean, excess, error, days``: means over the days, and the Newey-West
            standard error of the excess.
    """

    by_day: pl.DataFrame
    means: pl.DataFrame

    def cumulated(self) -> pl.DataFrame:
        """Return by day the cumulated excess of each quantile, and half of top less bottom."""
        names = {str(n): f"quantile {n}" for n in range(1, QUANTILES + 1)}
        wide = self.by_day.pivot("quantile", index=DATE, values="excess").sort(DATE).rename(names)
        columns = list(names.values())
        spread = (pl.col(columns[-1]) - pl.col(columns[0])) / 2
        return wide.select(
            DATE,
            *(pl.col(name).fill_null(0.0).cum_sum() for name in columns),
            spread.fill_null(0.0).cum_sum().alias("long-short"),
        )


def quantile_returns(predictions: pl.DataFrame, *, horizon_days: int) -> QuantileReturns:
    """Sort each day's instruments into five by their score, and average what they earned.

    The sample of a day is what has a score and a label. Edges are the sample's quantiles by linear
    interpolation and a score on an edge is below it, as ``pandas.qcut`` cuts and alphalens with it;
    equal scores stay together, also where two edges fall together, which qcut refuses.

    Args:
        predictions: ``date, instrument, score`` and the raw label, of one segment.
        horizon_days: Days that the label looks ahead, for the error.
    """
    edges = [
        pl.col("score").quantile(n / QUANTILES, "linear").alias(f"edge_{n}")
        for n in range(1, QUANTILES)
    ]
    label = pl.col(LABEL).cast(pl.Float64)
    known = predictions.select(DATE, "score", label).drop_nulls().drop_nans()
    above = [(pl.col("score") > pl.col(f"edge_{n}")).cast(pl.Int32) for n in range(1, QUANTILES)]
    of_day = known.group_by(DATE).agg(edges)
    # In order, so that sums are the same to the last bit in every run.
    cut = known.join(of_day, on=DATE, how="left", maintain_order="left").with_columns(
        (1 + pl.sum_horizontal(above)).alias("quantile"),
        (pl.col(LABEL) - pl.col(LABEL).mean().over(DATE)).alias("excess"),
    )
    by_day = (
        cut.group_by(DATE, "quantile")
        .agg(pl.col(LABEL).mean().alias("mean"), pl.col("excess").mean(), pl.len().alias("count"))
        .sort(DATE, "quantile")
    )
    return QuantileReturns(by_day, _means(by_day, horizon_days))


def _means(by_day: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    rows = []
    for (quantile,), days in by_day.group_by("quantile", maintain_order=True):
        excess = days["excess"].to_numpy()
        error = mean_error(excess, horizon_days) if excess.size > 1 else None
        rows.append((quantile, days["mean"].mean(), excess.mean(), error, excess.size))
    schema = {
        "quantile": pl.Int64,
        "mean": pl.Float64,
        "excess": pl.Float64,
        "error": pl.Float64,
        "days": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").sort("quantile")
