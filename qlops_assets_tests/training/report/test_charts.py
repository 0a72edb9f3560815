"""Charts: drawn from the data that they carry, and fit for a page in any light."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import qlops_assets.training
from qlops_assets.training.report.charts import Chart, report_charts
from qlops_assets.training.report.inline_svg import inline_svg
from qlops_assets.training.report.model_figures import curves_figure, importance_figure
from qlops_assets.training.report.signal_figures import cumulative_ic_figure, heat_map_figure
from qlops_assets.training.report.tables import Measured, report_tables
from qlops_assets_tests.support.market import weekdays

CODES = [f"SH6000{i:02d}" for i in range(15)]
DAYS = weekdays(date(2019, 9, 2), 160)
VALID, TEST = DAYS[:60], DAYS[60:]
CURVES = {"train.l2": [1.0, 0.9, 0.8], "valid.l2": [1.0, 0.95, 0.97]}
EXPECTED = [
    "cumulative-ic",
    "monthly-ic",
    "quantiles",
    "equity",
    "drawdown",
    "years",
    "exposure",
    "curves",
    "importance",
]


def measured(seed: int, **fitted: Any) -> Measured:
    """Return what an evaluation of other predictions on the same market would have measured."""
    rng, market = np.random.default_rng(seed), np.random.default_rng(0)
    rows = len(DAYS) * len(CODES)
    predictions = pl.DataFrame(
        {
            "instrument": CODES * len(DAYS),
            "date": [day for day in DAYS for _ in CODES],
            "score": rng.normal(0, 1, rows),
            "LABEL0": market.normal(0, 0.02, rows),
            "segment": ["valid"] * 60 * len(CODES) + ["test"] * 100 * len(CODES),
        }
    )
    correlations = predictions.group_by("date", "segment", maintain_order=True).agg(
        pl.corr("score", "LABEL0").alias("ic"),
        pl.corr("score", "LABEL0", method="spearman").alias("rank_ic"),
    )
    excess = rng.normal(0.001, 0.01, 100)
    benchmark = market.normal(0, 0.01, 100)
    by_day = pl.DataFrame(
        {
            "date": TEST,
            "strategy": excess + benchmark,
            "benchmark": benchmark,
            "excess": excess,
            "turnover": 0.2,
        }
    )
    bars = pl.DataFrame(
        {
            "instrument": np.repeat(CODES, 160),
            "date": DAYS * len(CODES),
            "close": market.lognormal(2, 0.1, rows),
            "volume": market.lognormal(9, 1, rows),
        }
    )
    fit = {"curves": CURVES, "importance": {"A": 3.0, "B": 1.0}, "best_iteration": 2, **fitted}
    return Measured(predictions, correlations, by_day, bars, fit, horizon_days=2)


def charts_of(seed: int, **fitted: Any) -> dict[str, Chart]:
    return report_charts(report_tables(measured(seed, **fitted)), best_iteration=2)


@pytest.fixture(scope="module")
def charts() -> dict[str, Chart]:
    return charts_of(1)


@pytest.fixture(scope="module")
def others() -> dict[str, Chart]:
    fitted = {"curves": {"train.l2": [1.0, 0.7], "valid.l2": [1.0, 0.9]}, "importance": {"C": 1.0}}
    return charts_of(2, **fitted)


def test_all_charts_are_there_in_order(charts: dict[str, Chart]) -> None:
    assert list(charts) == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_other_predictions_change_data_picture_and_text(
    charts: dict[str, Chart], others: dict[str, Chart], name: str
) -> None:
    one, other = charts[name], others[name]
    assert not one.data.equals(other.data)
    assert one.svg != other.svg
    assert one.alternative != other.alternative


@pytest.mark.parametrize("name", EXPECTED)
def test_same_predictions_give_the_same_picture(charts: dict[str, Chart], name: str) -> None:
    assert charts_of(1)[name].svg == charts[name].svg


@pytest.mark.parametrize("name", EXPECTED)
def test_picture_has_a_text_for_who_does_not_see_it(charts: dict[str, Chart], name: str) -> None:
    chart = charts[name]
    assert chart.shows.endswith(".")
    assert re.search(r"\d", chart.alternative)
    assert chart.svg.startswith("<svg viewBox=")
    assert f'role="img" aria-label="{chart.title}. ' in chart.svg[:200]


def test_every_colour_is_one_that_the_page_defines_for_light_dark_and_print(
    charts: dict[str, Chart],
) -> None:
    folder = Path(qlops_assets.training.__path__[0]) / "templates"
    css = (folder / "report.css").read_text(encoding="utf-8")
    light, _, rest = css.partition("@media (prefers-color-scheme: dark)")
    dark, _, printed = rest.partition("@media print")
    used = {c for chart in charts.values() for c in re.findall(r"var\((--c-\w+)\)", chart.svg)}
    assert used
    assert {colour for colour in used if f"{colour}:" not in light} == set()
    assert {
        c for c in used - {"--c-000000"} if f"{c}:" not in dark or f"{c}:" not in printed
    } == set()
    assert not any(re.search(r"(fill|stroke): #", chart.svg) for chart in charts.values())


def test_ids_of_two_pictures_never_clash(charts: dict[str, Chart]) -> None:
    found = [i for chart in charts.values() for i in re.findall(r' id="([^"]+)"', chart.svg)]
    assert found
    assert len(found) == len(set(found))
    for name, chart in charts.items():
        for target in re.findall(r'(?:href="|url\()#([^")]+)', chart.svg):
            assert target.startswith(f"{name}-")
            assert f' id="{target}"' in chart.svg


def test_text_of_a_picture_cannot_become_markup() -> None:
    figure = importance_figure(pl.DataFrame({"feature": ["<b>&"], "share": [1.0]}))
    text = inline_svg(figure, name="n", alternative='"><script>\\1')
    assert "<script>" not in text
    assert "<b>" not in text
    assert 'aria-label="&quot;&gt;&lt;script&gt;\\1"' in text


def test_table_of_many_days_shows_the_last_of_each_month(charts: dict[str, Chart]) -> None:
    rows = charts["equity"].rows
    ends = [
        max(d for d in TEST if d.strftime("%Y-%m") == m)
        for m in sorted({f"{d:%Y-%m}" for d in TEST})
    ]
    assert rows["date"].to_list() == ends
    assert rows.columns == charts["equity"].data.columns


def test_model_without_curves_or_importance_has_no_such_charts() -> None:
    bare = charts_of(1, curves={}, importance={})
    assert list(bare) == EXPECTED[:-2]
    assert list(charts_of(1, importance={"A": 0.0})) == EXPECTED[:-1]


def test_heat_map_has_a_cell_a_month_stronger_where_further_from_zero() -> None:
    monthly = pl.DataFrame(
        {
            "year": [2020, 2020, 2021],
            "month": [11, 12, 1],
            "ic": [0.1, -0.2, 0.0],
            "rank_ic": [0.1] * 3,
        }
    )
    ic, rank_ic = heat_map_figure(monthly).axes
    assert [cell.get_xy() for cell in ic.patches] == [(10, 0), (11, 0), (0, 1)]
    strengths = [cell.get_alpha() for cell in ic.patches]
    assert strengths[1] > strengths[0] > strengths[2]
    assert [text.get_text() for text in ic.texts] == [".10", "−.20", ".00"]
    assert len(rank_ic.patches) == 3


def test_cumulative_ic_is_the_sum_of_days_with_a_correlation() -> None:
    one = measured(1)
    daily = one.daily.with_columns(
        pl.when(pl.col("date") >= DAYS[-2])
        .then(float("nan"))
        .otherwise(pl.col("rank_ic"))
        .alias("rank_ic")
    )
    changed = Measured(one.predictions, daily, one.by_day, one.bars, one.fitted, 2)
    tables = report_tables(changed)
    (axes,) = cumulative_ic_figure(tables.cumulated_ic).axes
    expected = one.daily["rank_ic"].to_numpy()[:-2].sum()
    assert axes.lines[1].get_ydata()[-1] == pytest.approx(expected)
    assert tables.cumulated_ic["date"].to_list()[-1] == DAYS[-3]


def test_curves_mark_the_iteration_that_is_used_in_a_panel_per_metric() -> None:
    curves = pl.DataFrame(
        {
            "iteration": [1, 2, 3],
            "train.l2": [3.0, 2.0, 1.0],
            "valid.l2": [3.0, 2.5, None],
            "valid.ic": 0.1,
        }
    )
    loss, ic = curves_figure(curves, 2).axes
    assert [line.get_label() for line in loss.lines] == ["train", "valid", "used: 2"]
    assert list(loss.lines[1].get_xdata()) == [1, 2]
    assert (loss.get_ylabel(), ic.get_ylabel()) == ("l2", "ic")


def test_importance_is_of_the_twenty_largest_as_shares_of_the_whole() -> None:
    gain = {f"F{i}": float(i) for i in range(30)}
    table = report_tables(measured(1, importance=gain)).importance
    assert table["feature"].to_list() == [f"F{i}" for i in range(29, 9, -1)]
    assert table["share"][0] == pytest.approx(29 / sum(gain.values()))
    (axes,) = importance_figure(table).axes
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "F29"
    assert axes.patches[-1].get_width() == pytest.approx(100 * 29 / sum(gain.values()))
