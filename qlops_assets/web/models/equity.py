"""The equity curve of a model's backtest, as charts take it."""

from pathlib import Path
from typing import Any, Final

_CURVES: Final = ("strategy", "benchmark", "excess")


def equity_document(path: Path) -> dict[str, Any]:
    """Return cumulative returns and drawdown by day.

    Daily returns are summed, not compounded: that is how Qlib's ``risk_analysis`` cumulates, so
    the curves agree with the metrics beside them. A day without a return adds nothing.
    """
    import polars as pl

    days = pl.read_parquet(path, columns=["date", *_CURVES, "drawdown"]).sort("date")
    curves = days.select(
        pl.col(*_CURVES).fill_nan(None).fill_null(0.0).cum_sum().round(6),
        pl.col("drawdown").fill_nan(None).round(6),
    )
    return {
        "date": [day.isoformat() for day in days.get_column("date")],
        **{name: curves.get_column(name).to_list() for name in (*_CURVES, "drawdown")},
    }


def equity_extent(path: Path) -> dict[str, Any]:
    """Return how many days the curve has, the first and the last."""
    import polars as pl

    day = pl.col("date")
    facts = pl.scan_parquet(path).select(
        pl.len().alias("days"), day.min().alias("first"), day.max().alias("last")
    )
    days, first, last = facts.collect().row(0)
    return {"days": days, "first_date": _iso(first), "last_date": _iso(last)}


def _iso(day: Any) -> str | None:
    return None if day is None else day.isoformat()
