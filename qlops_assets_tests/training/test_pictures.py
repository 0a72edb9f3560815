from datetime import date

import numpy as np
import polars as pl

from qlops_assets.training.pictures import as_small_png, as_svg, equity_figure
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
