"""The report of a training: one self-contained HTML page."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from qlops_assets.core.atomic import write_text
from qlops_assets.training.pictures import (
    as_svg,
    curves_figure,
    equity_figure,
    ic_figure,
    importance_figure,
)

if TYPE_CHECKING:
    from qlops_assets.training.evaluation import Evaluation

_WIDE, _HALF = (10.0, 4.6), (5.2, 3.8)


def write_report(
    evaluation: "Evaluation",
    training_set: Mapping[str, Any],
    fitted: Mapping[str, Any],
    *,
    by_day: pl.DataFrame,
    daily: pl.DataFrame,
) -> None:
    """Write the page with metrics, backtest, learning curves, importance, data and spec.

    Args:
        evaluation: What was measured, and where the page goes.
        training_set: The training set's document.
        fitted: ``curves``, ``importance`` and ``best_iteration`` of the fit.
        by_day: The backtest by day.
        daily: IC and Rank IC by day.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("qlops_assets.training"), autoescape=True, undefined=StrictUndefined
    )
    curves: Mapping[str, list[float]] = fitted.get("curves", {})
    pictures = {
        "equity": equity_figure(by_day, title="Backtest on the test segment", size=_WIDE),
        "ic": ic_figure(daily, title="Rank IC on the test segment", size=_WIDE),
        "curves": curves_figure(curves, fitted["best_iteration"], size=_HALF),
        "importance": importance_figure(fitted.get("importance", {}), size=_HALF),
    }
    page = environment.get_template("report.html").render(
        evaluation=evaluation,
        metrics=evaluation.metrics(),
        spec=training_set,
        pictures={name: as_svg(figure) for name, figure in pictures.items()},
    )
    write_text(evaluation.report, page)
