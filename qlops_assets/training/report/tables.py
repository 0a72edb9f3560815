"""The tables that the charts of a report are drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from qlops_assets.training.report.by_year import by_year
from qlops_assets.training.report.monthly_ic import monthly_ic
from qlops_assets.training.report.quantile_returns import QuantileReturns, quantile_returns
from qlops_assets.training.report.score_exposure import score_exposure

_MOST_FEATURES = 20


@dataclass(frozen=True, slots=True)
class Measured:
    """What an evaluation measured by day, and what the fit left.

    Attributes:
        predictions: ``instrument, date, score, segment`` and the raw label.
        daily: ``date, segment, ic, rank_ic`` of valid and test; NaN on days without.
        by_day: The table of ``backtest.run_backtest``.
        bars: ``instrument, date, close, volume`` from well before the test on.
        fitted: ``curves``, ``importance`` and ``best_iteration`` of the fit.
        horizon_days: Days that the label looks ahead.
    """

    predictions: pl.DataFrame
    daily: pl.DataFrame
    by_day: pl.DataFrame
    bars: pl.DataFrame
    fitted: Mapping[str, Any]
    horizon_days: int


@dataclass(frozen=True, slots=True)
class ReportTables:
    """Everything that is drawn, as tables.

    Attributes:
        monthly: Of ``monthly_ic``, on test.
        cumulated_ic: ``date, segment, IC, Rank IC``, sums over valid and on over test.
        quantiles: On test.
        cumulated: ``date, strategy, benchmark, excess``, sums of daily returns after cost.
        drawdowns: ``date, strategy, excess``, below the highest sum so far.
        years: Of ``by_year``.
        exposure: Of ``score_exposure``, on test.
        curves: ``iteration``, and a column by curve.
        importance: ``feature, share`` of the twenty largest; empty where the model does not say.
    """

    monthly: pl.DataFrame
    cumulated_ic: pl.DataFrame
    quantiles: QuantileReturns
    cumulated: pl.DataFrame
    drawdowns: pl.DataFrame
    years: pl.DataFrame
    exposure: pl.DataFrame
    curves: pl.DataFrame
    importance: pl.DataFrame


def report_tables(measured: Measured) -> ReportTables:
    """Compute the tables of a report."""
    on_test = pl.col("segment") == "test"
    test = measured.predictions.filter(on_test)
    daily = measured.daily.filter(on_test)
    cumulated = _cumulated(measured.by_day)
    return ReportTables(
        monthly=monthly_ic(daily),
        cumulated_ic=measured.daily.drop_nans(["ic", "rank_ic"])
        .sort("date")
        .select(
            "date",
            "segment",
            pl.col("ic").cum_sum().alias("IC"),
            pl.col("rank_ic").cum_sum().alias("Rank IC"),
        ),
        quantiles=quantile_returns(test, horizon_days=measured.horizon_days),
        cumulated=cumulated,
        drawdowns=cumulated.select(
            "date", *(pl.col(name) - pl.col(name).cum_max() for name in ("strategy", "excess"))
        ),
        years=by_year(daily, measured.by_day),
        exposure=score_exposure(test, measured.bars),
        curves=_curves(measured.fitted.get("curves", {})),
        importance=_importance(measured.fitted.get("importance", {})),
    )


def _cumulated(by_day: pl.DataFrame) -> pl.DataFrame:
    return by_day.sort("date").select(
        "date", *(pl.col(name).cum_sum() for name in ("strategy", "benchmark", "excess"))
    )


def _curves(curves: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    longest = max(map(len, curves.values()), default=0)
    columns = {
        name: [*values, *[None] * (longest - len(values))] for name, values in curves.items()
    }
    return pl.DataFrame({"iteration": range(1, longest + 1), **columns}, strict=False)


def _importance(importance: Mapping[str, float]) -> pl.DataFrame:
    whole = sum(importance.values())
    names = sorted(importance, key=lambda name: importance[name], reverse=True)[:_MOST_FEATURES]
    shares = [importance[name] / whole for name in names] if whole > 0 else []
    return pl.DataFrame(
        {"feature": names if whole > 0 else [], "share": shares},
        schema={"feature": pl.String, "share": pl.Float64},
    )
