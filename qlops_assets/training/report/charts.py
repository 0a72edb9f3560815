"""The charts of a report: each with what it shows, a text in its place, and its data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from qlops_assets.training.report.inline_svg import inline_svg
from qlops_assets.training.report.model_figures import curves_figure, importance_figure
from qlops_assets.training.report.portfolio_figures import (
    cumulated_returns_figure,
    drawdown_figure,
    exposure_figure,
    years_figure,
)
from qlops_assets.training.report.signal_figures import (
    cumulative_ic_figure,
    heat_map_figure,
    quantile_figure,
)
from qlops_assets.training.report.tables import ReportTables
from qlops_assets.training.report.words import in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture of the page.

    Attributes:
        name: Unique on the page, and its anchor.
        title: A few words.
        shows: What it shows, in a sentence.
        alternative: What it says, in figures, for who does not see it.
        svg: The picture.
        data: What it is drawn from.
    """

    name: str
    title: str
    shows: str
    alternative: str
    svg: str
    data: pl.DataFrame

    @property
    def rows(self) -> pl.DataFrame:
        """The data as a table to read: of many days, the last of each month."""
        if self.data.height <= _MOST_ROWS or "date" not in self.data.columns:
            return self.data.head(_MOST_ROWS)
        month = pl.col("date").dt.truncate("1mo")
        return self.data.group_by(month.alias("month")).last().sort("month").drop("month")


def report_charts(tables: ReportTables, *, best_iteration: int) -> dict[str, Chart]:
    """Return the charts of a report by name; those without data are left out.

    Args:
        tables: What they are drawn from.
        best_iteration: The iteration that is used.
    """
    charts = [
        *_signal(tables),
        *_portfolio(tables),
        *_by_year(tables),
        *_model(tables, best_iteration),
    ]
    return {chart.name: chart for chart in charts}


def _chart(
    figure: "Figure", data: pl.DataFrame, *, name: str, title: str, shows: str, alternative: str
) -> Chart:
    svg = inline_svg(figure, name=name, alternative=f"{title}. {alternative}")
    return Chart(name, title, shows, alternative, svg, data)


def _signal(tables: ReportTables) -> Iterator[Chart]:
    monthly, cumulated, quantiles = tables.monthly, tables.cumulated_ic, tables.quantiles
    rank_ic = pl.col("Rank IC")
    daily = cumulated.with_columns(rank_ic.diff().fill_null(rank_ic))
    means = daily.group_by("segment", maintain_order=True).agg(pl.len(), rank_ic.mean())
    yield _chart(
        cumulative_ic_figure(cumulated),
        cumulated,
        name="cumulative-ic",
        title="Cumulative IC",
        shows="A straight line upwards is a signal that is always there; a bend where the test "
        "begins is what the model lost on days it was not chosen by.",
        alternative="; ".join(
            f"{segment}: {days} days with a mean Rank IC of {mean:.4f}"
            for segment, days, mean in means.iter_rows()
        ),
    )
    best, worst = (monthly.sort("rank_ic", descending=d).row(0, named=True) for d in (True, False))
    positive = monthly.filter(pl.col("rank_ic") > 0).height
    yield _chart(
        heat_map_figure(monthly),
        monthly,
        name="monthly-ic",
        title="IC by month",
        shows="Mean daily IC and Rank IC of each month of the test: green above 0, red below.",
        alternative=f"Rank IC is above 0 in {positive} of {monthly.height} months; the best is "
        f"{best['year']}-{best['month']:02d} with {best['rank_ic']:.3f}, the worst "
        f"{worst['year']}-{worst['month']:02d} with {worst['rank_ic']:.3f}.",
    )
    by_day = quantiles.cumulated()
    yield _chart(
        quantile_figure(quantiles.means, by_day),
        by_day,
        name="quantiles",
        title="Returns by quantile of the score",
        shows="Each day's instruments in five by their score, and what each fifth earned beyond "
        "the mean of all, before cost; bars with 95 % intervals. A good score makes a staircase.",
        alternative="Mean excess of a day in basis points, from the lowest scores to the highest: "
        + ", ".join(f"{1e4 * value:.1f}" for value in quantiles.means["excess"]),
    )


def _portfolio(tables: ReportTables) -> Iterator[Chart]:
    cumulated, drawdowns = tables.cumulated, tables.drawdowns
    last = cumulated.row(-1, named=True)
    yield _chart(
        cumulated_returns_figure(cumulated),
        cumulated,
        name="equity",
        title="Equity against the benchmark",
        shows="Sums of daily returns on the test, as Qlib cumulates them, not compounded.",
        alternative=f"At the end, {last['date']}, the strategy stands at "
        f"{100 * last['strategy']:.1f} %, the benchmark at {100 * last['benchmark']:.1f} %, the "
        f"excess at {100 * last['excess']:.1f} %.",
    )
    deepest = drawdowns.sort("excess").row(0, named=True)
    yield _chart(
        drawdown_figure(drawdowns),
        drawdowns,
        name="drawdown",
        title="Drawdown",
        shows="How far the cumulated returns are below their highest point so far.",
        alternative=f"The excess is deepest on {deepest['date']}, {100 * deepest['excess']:.1f} %; "
        f"the strategy at worst {100 * float(drawdowns['strategy'].to_numpy().min()):.1f} %.",
    )


def _by_year(tables: ReportTables) -> Iterator[Chart]:
    years, exposure = tables.years, tables.exposure
    yield _chart(
        years_figure(years),
        years,
        name="years",
        title="Signal and excess by year",
        shows="Whether one year made the result; the first and the last are seldom whole.",
        alternative=_in_years(years, ("rank_ic", "excess")),
    )
    if exposure.height:
        yield _chart(
            exposure_figure(exposure),
            exposure,
            name="exposure",
            title="What the score leans to",
            shows="Mean daily rank correlation of the score with what bars say anyway: near 0 it "
            "is something of its own; far from 0 it is mostly that.",
            alternative=_in_years(exposure, exposure.columns[1:]),
        )


def _model(tables: ReportTables, best: int) -> Iterator[Chart]:
    curves, importance = tables.curves, tables.importance
    if curves.height:
        yield _chart(
            curves_figure(curves, best),
            curves,
            name="curves",
            title="Learning curves",
            shows="What was measured while fitting; where valid turns and train goes on, the model "
            "learns its training days by heart.",
            alternative=f"{curves.height} iterations, of which number {best} is used. There: "
            + ", ".join(
                f"{name} {value:.6g}"
                for name, value in zip(curves.columns, curves.row(best - 1), strict=True)
                if name != "iteration" and value is not None
            ),
        )
    if importance.height:
        yield _chart(
            importance_figure(importance),
            importance,
            name="importance",
            title="Feature importance",
            shows="The twenty features that add most by the model's own account (gain of a tree, "
            "size of a coefficient), as shares of the whole.",
            alternative="The largest: "
            + ", ".join(f"{n} {100 * s:.1f} %" for n, s in importance.head(5).iter_rows()),
        )


def _in_years(table: pl.DataFrame, columns: tuple[str, ...] | list[str]) -> str:
    lines = []
    for row in table.iter_rows(named=True):
        figures = (f"{in_words(c)} {row[c]:.3f}" for c in columns if row[c] is not None)
        lines.append(f"{row['year']}: {', '.join(figures)}")
    return "; ".join(lines)
