"""Everything about one factor: its figures, how it did over time, what it is like."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.web.factors.view import ReportView

MOST_POINTS: Final = 2000
ROLLING_DAYS: Final = 60
_LEAST_DAYS: Final = 20
_NORMAL_95: Final = 1.96


def factor_document(view: "ReportView", name: str) -> dict[str, Any]:
    """Return a factor's part of the report, its daily series and its neighbours.

    Beside the fields of ``FactorAnalysis.to_document``: ``rank``, ``turnover``, ``significant``,
    ``expression``, ``selection`` (what was decided, and why), ``interval`` (half width of the
    95 % interval of the mean Rank IC), ``daily``, ``neighbours`` and the report's own record.
    """
    row = view.by_name[name]
    shown = ("rank", "turnover", "significant", "expression")
    return {
        **view.documents[name],
        **{key: row[key] for key in shown},
        "interval": interval(row),
        "selection": view.decisions.get(name),
        "neighbours": view.neighbours(name),
        "daily": daily_document(view.by_day[name]),
        "report": view.record.to_document(),
    }


def interval(row: dict[str, Any]) -> float | None:
    """Return the half width of the 95 % interval of the mean Rank IC, from its HAC error.

    The error is the mean over its t-statistic.
    """
    mean, t_statistic = row["rank_ic"], row["rank_ic_t"]
    if mean is None or not t_statistic:
        return None
    return abs(_NORMAL_95 * float(mean) / float(t_statistic))


def daily_document(days: "pl.DataFrame") -> dict[str, Any]:
    """Return IC and Rank IC by day, cumulated and as a rolling mean, at most 2,000 points.

    Where there are more days, a point stands for ``days_per_point`` days: the IC is their mean,
    cumulated and rolling figures are those of the last of them. A day without an IC adds nothing;
    before the first that has one there is nothing.
    """
    import polars as pl

    rank_ic = pl.col("rank_ic")
    series = days.sort("date").with_columns(
        cumulative_rank_ic=pl.when(rank_ic.cum_count() > 0).then(rank_ic.fill_null(0.0).cum_sum()),
        rolling_rank_ic=rank_ic.rolling_mean(ROLLING_DAYS, min_samples=_LEAST_DAYS),
    )
    together = max(1, -(-series.height // MOST_POINTS))
    if together > 1:
        series = (
            series.with_row_index("place")
            .group_by(pl.col("place") // together, maintain_order=True)
            .agg(
                pl.col("date").last(),
                pl.col("ic", "rank_ic").mean(),
                pl.col("cumulative_rank_ic", "rolling_rank_ic").last(),
            )
            .drop("place")
        )
    return {
        "days_per_point": together,
        "rolling_days": ROLLING_DAYS,
        "date": [day.isoformat() for day in series["date"]],
        **{
            key: series[key].round(6).to_list()
            for key in ("ic", "rank_ic", "cumulative_rank_ic", "rolling_rank_ic")
        },
    }
