"""Charts of a training: SVG for the report, a small PNG for Dagster's metadata."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe-Ito: told apart by people with any colour vision.
STRATEGY, BENCHMARK, EXCESS, LOSS = "#0072B2", "#7A7A7A", "#009E73", "#D55E00"


def equity_figure(by_day: pl.DataFrame, *, title: str, size: tuple[float, float]) -> "Figure":
    """Return cumulated returns of strategy, benchmark and excess, with the drawdown below.

    Args:
        by_day: The table of ``backtest.run_backtest``.
        title: Says what is shown, and that it is simulated where it is.
        size: Width and height in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    days = by_day.get_column("date").to_numpy()
    for name, colour, width in (
        ("benchmark", BENCHMARK, 1.0),
        ("strategy", STRATEGY, 1.4),
        ("excess", EXCESS, 1.4),
    ):
        label = "excess over benchmark, after cost" if name == "excess" else name
        values = 100 * by_day.get_column(name).cum_sum().to_numpy()
        upper.plot(days, values, color=colour, linewidth=width, label=label)
    upper.set_ylabel("cumulated return, %")
    upper.legend(loc="upper left", frameon=False, fontsize="small")
    upper.set_title(title, loc="left", fontsize="medium")
    drawdown = 100 * by_day.get_column("drawdown").to_numpy()
    lower.fill_between(days, drawdown, 0, color=LOSS, alpha=0.35, linewidth=0)
    lower.plot(days, drawdown, color=LOSS, linewidth=0.8)
    lower.set_ylabel("drawdown, %")
    make_plain(upper, lower)
    return figure


def ic_figure(daily: pl.DataFrame, *, title: str, size: tuple[float, float]) -> "Figure":
    """Return monthly mean Rank IC as bars and the cumulated Rank IC as a line.

    Args:
        daily: Columns ``date`` and ``rank_ic``.
        title: Says what is shown.
        size: Width and height in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    bars = figure.subplots()
    monthly = (
        daily.drop_nans("rank_ic")
        .sort("date")
        .group_by_dynamic("date", every="1mo")
        .agg(pl.col("rank_ic").mean())
    )
    values = monthly.get_column("rank_ic").to_numpy()
    colours = [EXCESS if value >= 0 else LOSS for value in values]
    bars.bar(monthly.get_column("date").to_numpy(), values, width=25, color=colours, alpha=0.7)
    bars.set_ylabel("mean Rank IC of the month")
    line = bars.twinx()
    rank_ic = daily.drop_nans("rank_ic").sort("date")
    line.plot(
        rank_ic.get_column("date").to_numpy(),
        rank_ic.get_column("rank_ic").cum_sum().to_numpy(),
        color=STRATEGY,
        linewidth=1.4,
    )
    line.set_ylabel("cumulated", color=STRATEGY)
    line.spines["top"].set_visible(False)
    bars.set_title(title, loc="left", fontsize="medium")
    make_plain(bars)
    return figure


def curves_figure(
    curves: Mapping[str, Sequence[float]], best: int, *, size: tuple[float, float]
) -> "Figure":
    """Return the loss on train and valid by iteration, with the iteration that is used."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for (name, values), colour in zip(curves.items(), (BENCHMARK, STRATEGY), strict=False):
        axes.plot(range(1, len(values) + 1), values, label=name, color=colour, linewidth=1.4)
    axes.axvline(best, color=LOSS, linewidth=1, linestyle="--", label=f"used: {best}")
    axes.set_xlabel("iteration")
    axes.set_title("Learning curves", loc="left", fontsize="medium")
    axes.legend(frameon=False, fontsize="small")
    make_plain(axes)
    return figure


def importance_figure(gain: Mapping[str, float], *, size: tuple[float, float]) -> "Figure":
    """Return the twenty features with the largest gain, as shares of the whole."""
    from matplotlib.figure import Figure

    top = sorted(gain.items(), key=lambda item: item[1], reverse=True)[:20][::-1]
    whole = sum(gain.values()) or 1.0
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in top], [100 * value / whole for _, value in top], color=STRATEGY)
    axes.set_xlabel("share of gain, %")
    axes.tick_params(axis="y", labelsize="small")
    axes.set_title("Feature importance", loc="left", fontsize="medium")
    make_plain(axes)
    return figure


def make_plain(*axes: "Axes") -> None:
    """Take away what a chart does not need."""
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(axis="y", alpha=0.25, linewidth=0.6)
        one.margins(x=0.01)


def as_svg(figure: "Figure") -> str:
    """Return a figure as an SVG element, the same text for the same figure."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "qlops", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def as_small_png(figure: "Figure", *, dots_per_inch: int = 72) -> bytes:
    """Return a figure as a PNG of few colours: some kilobytes, fit for an event's metadata."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    buffer.seek(0)
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(24).save(small, format="PNG", optimize=True)
    return small.getvalue()
