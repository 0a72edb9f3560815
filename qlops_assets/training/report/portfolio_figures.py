"""Charts of what trading by the scores would have earned, and of what the scores lean to."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from qlops_assets.training.pictures import BENCHMARK, EXCESS, LOSS, STRATEGY, make_plain, show_dates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PROXY_COLOURS = (STRATEGY, EXCESS, LOSS, "#cc79a7")


def cumulated_returns_figure(cumulated: pl.DataFrame) -> "Figure":
    """Return cumulated returns of strategy, benchmark and excess.

    Args:
        cumulated: ``date, strategy, benchmark, excess``, sums of daily returns.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 3.8), layout="constrained")
    axes = figure.subplots()
    days = cumulated["date"].to_numpy()
    for name, colour, width, label in (
        ("benchmark", BENCHMARK, 1.1, "benchmark"),
        ("strategy", STRATEGY, 1.5, "strategy, after cost"),
        ("excess", EXCESS, 1.5, "excess over benchmark, after cost"),
    ):
        values = 100 * cumulated[name].to_numpy()
        axes.plot(days, values, color=colour, linewidth=width, label=label)
    axes.axhline(0.0, color=BENCHMARK, linewidth=0.6)
    axes.set_ylabel("cumulated return, %")
    axes.legend(loc="upper left", frameon=False, fontsize="small")
    make_plain(axes)
    show_dates(axes, most=12)
    return figure


def drawdown_figure(drawdowns: pl.DataFrame) -> "Figure":
    """Return how far strategy and excess are below their highest point.

    Args:
        drawdowns: ``date, strategy, excess``, 0 or below.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 2.6), layout="constrained")
    axes = figure.subplots()
    days = drawdowns["date"].to_numpy()
    excess = 100 * drawdowns["excess"].to_numpy()
    axes.fill_between(days, excess, 0, color=LOSS, alpha=0.3, linewidth=0)
    axes.plot(days, excess, color=LOSS, linewidth=1.0, label="excess over benchmark")
    strategy = 100 * drawdowns["strategy"].to_numpy()
    axes.plot(days, strategy, color=STRATEGY, linewidth=1.0, label="strategy")
    axes.set_ylabel("drawdown, %")
    axes.legend(loc="lower left", frameon=False, fontsize="small")
    make_plain(axes)
    show_dates(axes, most=12)
    return figure


def years_figure(years: pl.DataFrame) -> "Figure":
    """Return Rank IC and excess return of each calendar year.

    Args:
        years: The table of ``by_year``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 2.8), layout="constrained")
    names = [str(year) for year in years["year"]]
    for axes, column, scale, label in zip(
        figure.subplots(1, 2),
        ("rank_ic", "excess"),
        (1, 100),
        ("mean Rank IC", "excess return after cost, %"),
        strict=True,
    ):
        values = scale * years[column].fill_null(np.nan).to_numpy()
        axes.bar(names, values, width=0.5, color=[LOSS if v < 0 else EXCESS for v in values])
        axes.axhline(0.0, color=BENCHMARK, linewidth=0.6)
        axes.set_ylabel(label)
        make_plain(axes)
        axes.set_xlim(-0.8, len(names) - 0.2)
    return figure


def exposure_figure(exposure: pl.DataFrame) -> "Figure":
    """Return the score's rank correlation with each proxy, grouped by year.

    Args:
        exposure: The table of ``score_exposure``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 3.2), layout="constrained")
    axes = figure.subplots()
    proxies = exposure.columns[1:]
    places = np.arange(exposure.height)
    width = 0.8 / len(proxies)
    for number, (proxy, colour) in enumerate(zip(proxies, _PROXY_COLOURS, strict=True)):
        shift = (number - (len(proxies) - 1) / 2) * width
        values = exposure[proxy].fill_null(np.nan).to_numpy()
        axes.bar(places + shift, values, width=0.9 * width, color=colour, label=proxy)
    axes.axhline(0.0, color=BENCHMARK, linewidth=0.6)
    axes.set_xticks(places, [str(year) for year in exposure["year"]])
    axes.set_ylabel("mean rank correlation with the score")
    figure.legend(loc="outside upper left", frameon=False, fontsize="small", ncols=len(proxies))
    make_plain(axes)
    return figure
