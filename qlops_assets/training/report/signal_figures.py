"""Charts of how well scores and returns agreed."""

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from qlops_assets.training.pictures import BENCHMARK, EXCESS, LOSS, STRATEGY, make_plain, show_dates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MONTHS: Final = ("J", "F", "M", "A", "M", "J", "J", "A", "S", "O", "N", "D")
QUANTILE_COLOURS: Final = (LOSS, "#cc79a7", BENCHMARK, "#56b4e9", STRATEGY)


def heat_map_figure(monthly: pl.DataFrame) -> "Figure":
    """Return the mean IC and Rank IC of each month, a row a year.

    Args:
        monthly: The table of ``monthly_ic``.
    """
    from matplotlib.figure import Figure

    years = monthly["year"].unique().sort().to_list()
    figure = Figure(figsize=(10.0, 0.9 + 0.42 * len(years)), layout="constrained")
    pair = figure.subplots(1, 2)
    for axes, column, title in zip(pair, ("ic", "rank_ic"), ("IC", "Rank IC"), strict=True):
        _draw_months(axes, monthly, years, column)
        axes.set_title(title, loc="left", fontsize="medium")
    return figure


def _draw_months(axes: "Axes", monthly: pl.DataFrame, years: list[int], column: str) -> None:
    """Draw a cell a month: green above 0 and red below, the stronger the further away."""
    from matplotlib.patches import Rectangle

    largest = float(np.abs(monthly[column].to_numpy()).max())
    for year, month, value in monthly.select("year", "month", column).iter_rows():
        place = (month - 1, years.index(year))
        strength = 0.08 + 0.72 * abs(value) / largest if largest else 0.08
        colour = EXCESS if value >= 0 else LOSS
        cell = Rectangle(place, 0.94, 0.9, facecolor=colour, alpha=strength, linewidth=0)
        axes.add_patch(cell)
        middle = (place[0] + 0.47, place[1] + 0.45)
        text = f"{value:.2f}".replace("0.", ".", 1).replace("-", "−")
        axes.annotate(text, middle, ha="center", va="center", fontsize=8.5)
    axes.set_xlim(0, 12)
    axes.set_ylim(len(years), 0)
    axes.set_xticks(np.arange(12) + 0.47, _MONTHS)
    axes.set_yticks(np.arange(len(years)) + 0.45, [str(year) for year in years])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def cumulative_ic_figure(cumulated: pl.DataFrame) -> "Figure":
    """Return the sum of the daily IC and Rank IC, over valid and on over test.

    Args:
        cumulated: ``date, segment, IC, Rank IC``, sorted by date.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 3.6), layout="constrained")
    axes = figure.subplots()
    days = cumulated["date"].to_numpy()
    for name, colour in (("IC", EXCESS), ("Rank IC", STRATEGY)):
        axes.plot(days, cumulated[name].to_numpy(), color=colour, linewidth=1.5, label=name)
    start = cumulated.filter(pl.col("segment") == "test")["date"].to_numpy()[0]
    axes.axvline(start, color=LOSS, linewidth=1, linestyle="--", label="test begins")
    axes.set_ylabel("sum of the daily figures")
    axes.legend(loc="upper left", frameon=False, fontsize="small")
    make_plain(axes)
    show_dates(axes, most=12)
    return figure


def quantile_figure(means: pl.DataFrame, cumulated: pl.DataFrame) -> "Figure":
    """Return the mean excess of each quantile with its error, and the cumulated excess.

    Args:
        means: ``QuantileReturns.means``.
        cumulated: ``QuantileReturns.cumulated()``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 3.8), layout="constrained")
    bars, lines = figure.subplots(1, 2, width_ratios=[2, 3])
    places = means["quantile"].to_list()
    errors = 1.96e4 * means["error"].fill_null(0.0).to_numpy()
    colours = [QUANTILE_COLOURS[place - 1] for place in places]
    bars.bar(places, 1e4 * means["excess"].to_numpy(), color=colours, width=0.7)
    bars.errorbar(
        places, 1e4 * means["excess"].to_numpy(), yerr=errors, fmt="none", color="black", capsize=3
    )
    bars.axhline(0.0, color=BENCHMARK, linewidth=0.6)
    bars.set_xticks(places)
    bars.set_xlabel("quantile of the score")
    bars.set_ylabel("mean excess of a day, basis points")
    days = cumulated["date"].to_numpy()
    for name, colour in zip(cumulated.columns[1:], (*QUANTILE_COLOURS, "black"), strict=True):
        style = "--" if name == "long-short" else "-"
        values = 100 * cumulated[name].to_numpy()
        lines.plot(days, values, color=colour, linewidth=1.3, linestyle=style, label=name)
    lines.set_ylabel("cumulated excess, %")
    lines.legend(loc="upper left", frameon=False, fontsize="small")
    make_plain(bars, lines)
    show_dates(lines, most=7)
    return figure
