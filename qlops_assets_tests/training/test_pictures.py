from datetime import date

import numpy as np
import polars as pl

from qlops_assets.training.pictures import (
    as_small_png,
    as_svg,
    curves_figure,
    equity_figure,
    ic_figure,
    importance_figure,
)
from qlops_assets_tests.support.market import weekdays

SIZE = (7.0, 3.6)


def by_day(days: int) -> pl.DataFrame:
    rng = np.random.default_rng(4)
    excess = rng.normal(0, 0.01, days)
    curve = np.cumsum(excess)
    return pl.DataFrame(
        {
            "date": weekdays(date(2010, 1, 1), days),
            "strategy": excess + 0.001,
            "benchmark": np.full(days, 0.001),
            "excess": excess,
            "drawdown": curve - np.maximum.accumulate(curve),
        }
    )


def test_picture_of_many_years_is_still_small() -> None:
    figure = equity_figure(by_day(4000), title="Backtest (simulated market)", size=SIZE)
    assert len(as_small_png(figure)) < 16_000


def test_svg_is_the_same_text_for_the_same_figure() -> None:
    one, other = (as_svg(equity_figure(by_day(300), title="T", size=SIZE)) for _ in range(2))
    assert one == other
    assert one.startswith("<svg")
    assert ">excess over benchmark, after cost<" in one


def test_rank_ic_of_days_without_one_is_left_out() -> None:
    days = weekdays(date(2020, 1, 1), 45)
    rank_ic = [0.1] * 43 + [float("nan")] * 2
    figure = ic_figure(pl.DataFrame({"date": days, "rank_ic": rank_ic}), title="T", size=SIZE)
    bars, line = figure.axes
    assert [round(bar.get_height(), 9) for bar in bars.patches] == [0.1, 0.1]
    assert line.lines[0].get_ydata()[-1] == np.float64(sum(rank_ic[:43]))


def test_curves_mark_the_iteration_that_is_used() -> None:
    curves = {"train.l2": [3.0, 2.0, 1.0], "valid.l2": [3.0, 2.5, 2.7]}
    (axes,) = curves_figure(curves, 2, size=SIZE).axes
    assert [line.get_label() for line in axes.lines] == ["train.l2", "valid.l2", "used: 2"]
    assert list(axes.lines[1].get_xdata()) == [1, 2, 3]


def test_importance_shows_the_twenty_largest_as_shares_of_the_whole() -> None:
    gain = {f"F{i}": float(i) for i in range(30)}
    (axes,) = importance_figure(gain, size=SIZE).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"F{i}" for i in range(10, 30)]
    assert axes.patches[-1].get_width() == 100 * 29 / sum(gain.values())


def test_importance_without_any_gain_is_drawn() -> None:
    assert as_svg(importance_figure({"F0": 0.0}, size=SIZE)).startswith("<svg")
