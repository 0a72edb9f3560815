"""Measures as tables: one row per factor, and per factor and day, horizon, quantile or year."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE
from qlops_assets.factors.analysis.clusters import clusters_of, representatives
from qlops_assets.factors.analysis.inference import mean_test, q_values
from qlops_assets.factors.analysis.measures import Measures

FACTOR: Final = "factor"
EMPTY: Final = "empty"
CONSTANT: Final = "constant"
MOSTLY_MISSING: Final = "mostly_missing"
FEW_DAYS: Final = "few_days"
INFINITE: Final = "infinite"
TIED: Final = "tied"
FLAGS: Final[Mapping[str, str]] = {
    EMPTY: "it has no value",
    CONSTANT: "on no day two names differ",
    MOSTLY_MISSING: "more than half of its values are missing",
    FEW_DAYS: "too few days have a Rank IC",
    INFINITE: "some of its values are infinite; such days have no IC",
    TIED: "on most days so many values are equal that quantiles go by mean places",
}

Matrix = NDArray[np.float64]


def daily_table(measures: Measures, days: NDArray[np.int32]) -> pl.DataFrame:
    """Return ``date, factor, ic, rank_ic`` of the main horizon; null where a day has none."""
    daily = measures.daily()
    count, factors = len(days), len(measures.names)
    return pl.DataFrame(
        {
            DATE: pl.Series(np.tile(days, factors)).cast(pl.Date),
            FACTOR: pl.Series(measures.names).gather(np.repeat(np.arange(factors), count)),
            "ic": daily[:, :, 0].T.ravel(),
            "rank_ic": daily[:, :, 1].T.ravel(),
        }
    ).fill_nan(None)


def decay_table(measures: Measures) -> pl.DataFrame:
    """Return ``factor, horizon, ic, rank_ic``: means over days."""
    decay, horizons = measures.decay(), measures.rules.horizons
    frame = _by_factor(measures.names, "horizon", list(horizons))
    return frame.with_columns(
        ic=pl.Series(decay[:, 0].ravel()), rank_ic=pl.Series(decay[:, 1].ravel())
    ).fill_nan(None)


def quantile_table(measures: Measures) -> pl.DataFrame:
    """Return ``factor, quantile, mean_return, mean_excess, count``.

    Means over days of each day's mean, as alphalens' ``mean_return_by_quantile``: ``mean_return``
    is its ``demeaned=False``, ``mean_excess`` its ``demeaned=True``. ``count`` sums
    names over days.
    """
    means, counts = measures.by_quantile()
    quantiles = list(range(1, measures.rules.quantiles + 1))
    return (
        _by_factor(measures.names, "quantile", quantiles)
        .with_columns(
            mean_return=pl.Series(means[:, 0].ravel()),
            mean_excess=pl.Series(means[:, 1].ravel()),
            count=pl.Series(counts.ravel()),
        )
        .fill_nan(None)
    )


def _by_factor(names: list[str], key: str, values: list[int]) -> pl.DataFrame:
    return pl.DataFrame({FACTOR: names}).join(pl.DataFrame({key: values}), how="cross")


def yearly_table(daily: pl.DataFrame) -> pl.DataFrame:
    """Return ``factor, year, rank_ic, days`` from the daily table."""
    return daily.group_by(FACTOR, pl.col(DATE).dt.year().alias("year"), maintain_order=True).agg(
        pl.col("rank_ic").mean(), days=pl.col("rank_ic").count().cast(pl.Int64)
    )


def correlation_table(measures: Measures) -> pl.DataFrame:
    """Return ``factor`` and one column per factor; null where a pair was never comparable."""
    related = measures.correlation()
    columns = {name: related[:, place] for place, name in enumerate(measures.names)}
    return pl.DataFrame({FACTOR: measures.names, **columns}).fill_nan(None)


def summary_table(
    measures: Measures, rows: int, yearly: pl.DataFrame, quantiles: pl.DataFrame
) -> pl.DataFrame:
    """Return one row per factor.

    Args:
        measures: Of all factors.
        rows: How many rows the universe has, of which coverage is the share.
        yearly: Rank IC by year.
        quantiles: Mean returns by quantile.
    """
    rules, names = measures.rules, measures.names
    columns: dict[str, list[float] | Matrix | NDArray[np.int64]] = {
        "coverage": measures.values() / max(1, rows),
        "covered_days": measures.covered / max(1, len(measures.days)),
        **_agreement(measures),
        **_trading(measures, quantiles),
    }
    rank_ic, rank_icir = np.array(columns["rank_ic"]), np.array(columns["rank_icir"])
    columns["sign_stability"] = _sign_stability(names, rank_ic, yearly, rules.least_days)
    clusters = clusters_of(measures.correlation(), rules.cluster_correlation)
    columns["cluster"] = clusters
    frame = pl.DataFrame({FACTOR: names, **columns}).with_columns(
        representative=pl.Series(representatives(clusters, np.abs(rank_icir))),
        flags=pl.Series(_flags(measures, columns, rows), dtype=pl.List(pl.String)),
    )
    return frame.select(FACTOR, "days", pl.exclude(FACTOR, "days")).fill_nan(None)


def _agreement(measures: Measures) -> dict[str, Matrix | NDArray[np.int64]]:
    daily, horizon = measures.daily(), measures.rules.horizon_days
    columns: dict[str, Matrix | NDArray[np.int64]] = {
        "days": (~np.isnan(daily[:, :, 1])).sum(axis=0),
    }
    for place, name in enumerate(("ic", "rank_ic")):
        tables = [_mean_and_spread(daily[:, f, place]) for f in range(len(measures.names))]
        means, spreads = np.array(tables).T
        tests = [mean_test(daily[:, f, place], horizon) for f in range(len(measures.names))]
        t_statistics, p_values = np.array(tests).T
        columns |= {
            name: means,
            f"{name}_std": spreads,
            f"{name}ir": _ratio(means, spreads),
            f"{name}_t": t_statistics,
            f"{name}_p": p_values,
            f"{name}_q": q_values(p_values, measures.rules.false_discovery),
        }
    columns["positive_share"] = np.array([_positive(daily[:, f, 0]) for f in range(means.size)])
    return columns


def _mean_and_spread(figures: Matrix) -> tuple[float, float]:
    known = figures[~np.isnan(figures)]
    mean = float(known.mean()) if known.size else float("nan")
    return mean, float(known.std(ddof=1)) if known.size > 1 else float("nan")


def _ratio(means: Matrix, spreads: Matrix) -> Matrix:
    """Return mean over standard deviation; NaN where there is no deviation."""
    return np.divide(means, spreads, out=np.full_like(means, np.nan), where=spreads > 0)


def _positive(figures: Matrix) -> float:
    known = figures[~np.isnan(figures)]
    return float((known > 0).mean()) if known.size else float("nan")


def _trading(measures: Measures, quantiles: pl.DataFrame) -> dict[str, Matrix]:
    spread, top, bottom, autocorrelation, _ = measures.trading().T
    means = quantiles["mean_return"].fill_null(np.nan).to_numpy()
    by_factor = means.reshape(len(measures.names), measures.rules.quantiles)
    return {
        "spread": spread,
        "monotonicity": np.array([_monotonicity(row) for row in by_factor]),
        "turnover_top": top,
        "turnover_bottom": bottom,
        "autocorrelation": autocorrelation,
    }


def _monotonicity(means: Matrix) -> float:
    """Return the rank correlation of a quantile's number and its mean return."""
    from scipy.stats import rankdata

    known = np.flatnonzero(~np.isnan(means))
    if known.size < 2 or np.ptp(means[known]) == 0:
        return float("nan")
    return float(np.corrcoef(known, rankdata(means[known]))[0, 1])


def _sign_stability(
    names: list[str], rank_ic: Matrix, yearly: pl.DataFrame, least_days: int
) -> list[float]:
    """Return the share of years whose mean Rank IC has the sign of the whole."""
    signs = pl.DataFrame({FACTOR: names, "whole": np.sign(rank_ic)})
    shares = (
        signs.join(yearly.filter(pl.col("days") >= least_days), on=FACTOR, how="left")
        .group_by(FACTOR, maintain_order=True)
        .agg(share=(pl.col("rank_ic").sign() == pl.col("whole")).mean())
    )
    return shares["share"].fill_null(np.nan).to_list()


def _flags(measures: Measures, columns: Mapping[str, object], rows: int) -> list[list[str]]:
    values, tied = measures.values(), measures.trading()[:, 4]
    raised = {
        EMPTY: values == 0,
        CONSTANT: (values > 0) & (measures.varied_days() == 0),
        MOSTLY_MISSING: 2 * values < rows,
        FEW_DAYS: np.asarray(columns["days"]) < measures.rules.least_days,
        INFINITE: measures.infinite_days() > 0,
        TIED: np.nan_to_num(tied) > 0.5,
    }
    return [[flag for flag in FLAGS if raised[flag][place]] for place in range(len(measures.names))]
