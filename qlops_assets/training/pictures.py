"""What charts share, and the small picture of a backtest for Dagster's metadata."""

import io
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
    # Above the lines, which may go anywhere.
    beside = {"loc": "outside upper left", "ncols": 3}
    figure.legend(title=title, alignment="left", frameon=False, fontsize="small", **beside)
    drawdown = 100 * by_day.get_column("drawdown").to_numpy()
    lower.fill_between(days, drawdown, 0, color=LOSS, alpha=0.35, linewidth=0)
    lower.plot(days, drawdown, color=LOSS, linewidth=0.8)
    lower.set_ylabel("drawdown, %")
    make_plain(upper, lower)
    return figure


def make_plain(*axes: "Axes") -> None:
    """Take away what a chart does not need."""
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(axis="y", alpha=0.25, linewidth=0.6)
        one.set_axisbelow(True)
        one.margins(x=0.01)


def show_dates(axes: "Axes", *, most: int) -> None:
    """Label a time axis with at most so many dates, each no longer than it needs to be."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=most)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _laid_out(figure: "Figure") -> "Figure":
    """Return a figure that stays as its layout puts it: every drawing would lay it out again."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    return figure


def as_svg(figure: "Figure") -> str:
    """Return a figure as an SVG element, the same text for the same figure."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "qlops", "svg.fonttype": "none"}):
        # By the canvas: `savefig` draws all of it once without a picture first.
        FigureCanvasSVG(_laid_out(figure)).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def as_small_png(figure: "Figure", *, dots_per_inch: int = 72) -> bytes:
    """Return a figure as a PNG of few colours: some kilobytes, fit for an event's metadata."""
    from PIL import Image

    buffer = io.BytesIO()
    _laid_out(figure).savefig(buffer, format="png", dpi=dots_per_inch)
    buffer.seek(0)
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(24).save(small, format="PNG", optimize=True)
    return small.getvalue()
