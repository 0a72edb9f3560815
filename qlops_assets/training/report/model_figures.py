"""Charts of the fit and of the model."""

from typing import TYPE_CHECKING

import polars as pl

from qlops_assets.training.pictures import BENCHMARK, LOSS, STRATEGY, make_plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves_figure(curves: pl.DataFrame, best: int) -> "Figure":
    """Return what was measured on train and valid by iteration, a panel a metric.

    Args:
        curves: ``iteration``, and a column by ``train.<metric>`` and ``valid.<metric>``.
        best: The iteration that is used.
    """
    from matplotlib.figure import Figure

    metrics = list(dict.fromkeys(name.partition(".")[2] for name in curves.columns[1:]))
    figure = Figure(figsize=(10.0, 3.4), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    style = "." if curves.height == 1 else "-"
    for axes, metric in zip(panels, metrics, strict=True):
        for segment, colour in (("train", BENCHMARK), ("valid", STRATEGY)):
            name = f"{segment}.{metric}"
            if name in curves.columns:
                known = curves.select("iteration", name).drop_nulls()
                steps, values = (known[column].to_numpy() for column in known.columns)
                axes.plot(steps, values, style, label=segment, color=colour, linewidth=1.5)
        axes.axvline(best, color=LOSS, linewidth=1, linestyle="--", label=f"used: {best}")
        axes.set_xlabel("iteration")
        axes.set_ylabel(metric)
        axes.legend(frameon=False, fontsize="small")
        make_plain(axes)
    return figure


def importance_figure(importance: pl.DataFrame) -> "Figure":
    """Return the features' shares of the whole importance, the largest on top.

    Args:
        importance: ``feature, share``, the largest first.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 0.8 + 0.21 * importance.height), layout="constrained")
    axes = figure.subplots()
    smallest_first = importance.reverse()
    shares = 100 * smallest_first["share"].to_numpy()
    axes.barh(smallest_first["feature"].to_list(), shares, color=STRATEGY)
    axes.set_xlabel("share of the whole, %")
    axes.tick_params(axis="y", labelsize="small", length=0)
    make_plain(axes)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", alpha=0.25, linewidth=0.6)
    return figure
