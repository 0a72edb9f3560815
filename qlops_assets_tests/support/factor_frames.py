"""Small markets and factor frames for tests of factor analysis, and Qlib's own answer to them."""

import warnings
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from qlops_assets_tests.support.market import weekdays

FIRST_DAY = date(2020, 1, 1)


def codes_of(count: int) -> list[str]:
    """Return so many instrument codes."""
    return [f"SH{600000 + number}" for number in range(count)]


def as_rows(matrix: np.ndarray, name: str, *, first: date = FIRST_DAY) -> pl.DataFrame:
    """Return a (day × instrument) matrix as rows; NaN as null."""
    days, names = matrix.shape
    return pl.DataFrame(
        {
            "instrument": np.repeat(codes_of(names), days),
            "date": weekdays(first, days) * names,
            name: matrix.T.ravel(),
        }
    ).with_columns(pl.col(name).fill_nan(None))


def random_bars(
    days: int, names: int, *, seed: int = 1, halted: float = 0.0, tick: float = 0.01
) -> pl.DataFrame:
    """Return bars with closes alone: a random walk in whole ticks; some returns are equal."""
    rng = np.random.default_rng(seed)
    walk = 10.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (days, names)), axis=0))
    closes = np.round(walk / tick) * tick
    closes[rng.random(closes.shape) < halted] = np.nan
    return as_rows(closes, "close")


def random_factors(
    days: int,
    names: int,
    count: int,
    *,
    seed: int = 2,
    missing: float = 0.0,
    decimals: int | None = None,
    dtype: type[np.floating] = np.float32,
) -> pl.DataFrame:
    """Return a factor frame of noise; rounded where equal values are wanted."""
    rng = np.random.default_rng(seed)
    columns = {}
    for number in range(count):
        values = rng.normal(size=(days, names))
        if decimals is not None:
            values = np.round(values, decimals)
        values[rng.random(values.shape) < missing] = np.nan
        columns[f"F{number}"] = values
    return factor_frame(columns, dtype=dtype)


def factor_frame(
    columns: Mapping[str, np.ndarray], *, dtype: type[np.floating] = np.float32
) -> pl.DataFrame:
    """Return (day × instrument) matrices as a factor frame; NaN stays NaN."""
    key = as_rows(next(iter(columns.values())), "_").drop("_")
    return key.with_columns(
        pl.Series(name, values.T.ravel().astype(dtype)) for name, values in columns.items()
    )


def next_day_returns(bars: pl.DataFrame, horizon: int = 1) -> pl.DataFrame:
    """Return ``earned``: Ref($close, -1 - h) / Ref($close, -1) - 1, written down independently."""
    wide = bars.pivot(on="instrument", index="date", values="close").sort("date")
    closes = wide.drop("date").to_numpy()
    earned = np.full_like(closes, np.nan)
    for day in range(len(closes) - 1 - horizon):
        earned[day] = closes[day + 1 + horizon] / closes[day + 1] - 1.0
    rows = pl.DataFrame(earned, schema=wide.columns[1:]).with_columns(wide["date"])
    return rows.unpivot(index="date", variable_name="instrument", value_name="earned")


def qlib_ic(
    factors: pl.DataFrame, bars: pl.DataFrame, names: Sequence[str], *, horizon: int = 1
) -> dict[str, pl.DataFrame]:
    """Return each factor's ``date, ic, rank_ic`` by ``qlib.contrib.eva.alpha.calc_ic``."""
    from qlib.contrib.eva.alpha import calc_ic

    joined = factors.join(next_day_returns(bars, horizon), on=["instrument", "date"], how="left")
    table = joined.sort("date", "instrument").to_pandas()
    table = table.rename(columns={"date": "datetime"}).set_index(["datetime", "instrument"])
    answers = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy and scipy warn of constant days
        for name in names:
            ic, rank_ic = calc_ic(table[name], table["earned"])
            answers[name] = pl.DataFrame(
                {"date": ic.index.to_numpy(), "ic": ic.to_numpy(), "rank_ic": rank_ic.to_numpy()}
            ).with_columns(pl.col("date").cast(pl.Date))
    return answers
