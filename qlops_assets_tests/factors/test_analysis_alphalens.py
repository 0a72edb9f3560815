"""Quantile returns, turnover and rank autocorrelation against alphalens and pandas."""

import warnings
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it imports warns of itself
    from alphalens import performance, utils

from qlops_assets.factors.analysis.analysis import FactorAnalysis, analyse
from qlops_assets.factors.analysis.portfolios import label_quantiles
from qlops_assets.factors.analysis.rules import AnalysisRules
from qlops_assets_tests.support.factor_frames import (
    factor_frame,
    next_day_returns,
    random_bars,
    random_factors,
)

DAYS, NAMES = 50, 40
RULES = AnalysisRules(horizons=(1,), correlation_days=1)
BARS = random_bars(DAYS, NAMES, halted=0.05, tick=0.1)


@pytest.fixture(scope="module")
def factors() -> pl.DataFrame:
    """Return factors of which one changes slowly, with gaps, and with ties across the edges."""
    rng = np.random.default_rng(9)
    slow = np.cumsum(rng.normal(size=(DAYS, NAMES)), axis=0) + 5.0 * rng.normal(size=NAMES)
    slow[rng.random(slow.shape) < 0.1] = np.nan
    tied = random_factors(DAYS, NAMES, 1, decimals=1, missing=0.2)["F0"]
    return factor_frame({"slow": slow}).with_columns(tied=tied)


@pytest.fixture(scope="module")
def analysis(factors: pl.DataFrame) -> FactorAnalysis:
    return analyse(factors, BARS, rules=RULES)


def clean(factors: pl.DataFrame, name: str) -> pd.DataFrame:
    """Return alphalens' own table, by its own cleaning and its own quantiles."""
    joined = factors.join(next_day_returns(BARS), on=["instrument", "date"]).to_pandas()
    joined["date"] = pd.to_datetime(joined["date"])
    table = joined.rename(columns={"instrument": "asset"}).set_index(["date", "asset"]).sort_index()
    returns = table[["earned"]].rename(columns={"earned": "1D"})
    return utils.get_clean_factor(table[name].dropna(), returns, quantiles=5, max_loss=1.0)


def row_of(analysis: FactorAnalysis, name: str) -> dict[str, Any]:
    return analysis.summary.filter(pl.col("factor") == name).row(0, named=True)


@pytest.mark.parametrize("name", ["slow", "tied"])
def test_rank_ic_of_each_day_is_that_of_alphalens(
    factors: pl.DataFrame, analysis: FactorAnalysis, name: str
) -> None:
    expected = performance.factor_information_coefficient(clean(factors, name))["1D"]
    found = analysis.daily.filter(pl.col("factor") == name).drop_nulls("rank_ic")
    assert found["date"].to_list() == expected.index.date.tolist()
    np.testing.assert_allclose(found["rank_ic"], expected, atol=1e-12)


@pytest.mark.parametrize("name", ["slow", "tied"])
@pytest.mark.parametrize(("column", "demeaned"), [("mean_return", False), ("mean_excess", True)])
def test_mean_return_by_quantile_is_that_of_alphalens(
    factors: pl.DataFrame, analysis: FactorAnalysis, name: str, column: str, demeaned: bool
) -> None:
    table = clean(factors, name)
    expected, _ = performance.mean_return_by_quantile(table, demeaned=demeaned)
    found = analysis.quantiles.filter(pl.col("factor") == name)
    assert found["quantile"].to_list() == expected.index.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(found[column], expected["1D"], atol=1e-14)
    assert found["count"].to_list() == table.groupby("factor_quantile").size().tolist()


@pytest.mark.parametrize("name", ["slow", "tied"])
def test_spread_is_twice_that_of_alphalens_which_halves_it_to_full_gross_leverage(
    factors: pl.DataFrame, analysis: FactorAnalysis, name: str
) -> None:
    by_day, _ = performance.mean_return_by_quantile(clean(factors, name), by_date=True)
    expected, _ = performance.compute_mean_returns_spread(by_day, 5, 1)
    assert row_of(analysis, name)["spread"] == pytest.approx(2 * expected["1D"].mean(), abs=1e-14)


@pytest.mark.parametrize("name", ["slow", "tied"])
def test_turnover_of_the_outer_quantiles_is_that_of_alphalens(
    factors: pl.DataFrame, analysis: FactorAnalysis, name: str
) -> None:
    quantiles = clean(factors, name)["factor_quantile"]
    row = row_of(analysis, name)
    for column, quantile in (("turnover_top", 5), ("turnover_bottom", 1)):
        expected = performance.quantile_turnover(quantiles, quantile)
        assert expected.size > DAYS - 5
        assert row[column] == pytest.approx(expected.mean(), abs=1e-14)


@pytest.mark.parametrize("name", ["slow", "tied"])
def test_autocorrelation_is_alphalens_factor_rank_autocorrelation(
    factors: pl.DataFrame, analysis: FactorAnalysis, name: str
) -> None:
    expected = performance.factor_rank_autocorrelation(clean(factors, name))
    assert row_of(analysis, name)["autocorrelation"] == pytest.approx(expected.mean(), abs=1e-12)


def test_monotonicity_is_the_spearman_correlation_of_quantile_and_mean_return(
    analysis: FactorAnalysis,
) -> None:
    for (name,), found in analysis.quantiles.group_by("factor"):
        expected = found.select("quantile", "mean_return").to_pandas().corr(method="spearman")
        assert row_of(analysis, str(name))["monotonicity"] == pytest.approx(expected.iloc[0, 1])


def quantiles_of(values: list[float], quantiles: int) -> tuple[list[int], int]:
    """Return the kernel's labels of values, and its rule; NaN is not in the sample."""
    doubled = (2 * pd.Series(values).rank()).fillna(0).to_numpy(np.int32)
    labels = np.empty(len(values), np.int8)
    tally = np.empty(2 * len(values) + 1, np.int32)
    _, rule = label_quantiles(doubled, quantiles, tally, labels)
    return labels.tolist(), rule


def some_values(seed: int) -> np.ndarray:
    """Return some values, often equal, sometimes missing."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(size=rng.integers(2, 40)), rng.integers(0, 3))
    values[rng.random(values.size) < 0.1] = np.nan
    return values


# Of other numbers pandas rounds the edges' places (33.3 %), and a value on an edge may go above.
@pytest.mark.parametrize("quantiles", [2, 4, 5, 8])
@pytest.mark.parametrize("seed", range(20))
def test_quantiles_of_any_values_are_those_of_pandas_qcut_unless_it_refuses(
    seed: int, quantiles: int
) -> None:
    values = some_values(seed)
    found, rule = quantiles_of(values.tolist(), quantiles)
    try:
        cut = pd.qcut(values, quantiles, labels=False)
    except (ValueError, IndexError):  # two edges are equal, or there is no value
        assert rule != 1
        return
    assert rule == 1
    assert found == (pd.Series(cut).fillna(-1).astype(int) + 1).tolist()


@pytest.mark.parametrize("quantiles", [3, 5, 7, 10])
@pytest.mark.parametrize("seed", range(20))
def test_quantiles_of_any_values_have_edges_by_interpolation_in_exact_fractions(
    seed: int, quantiles: int
) -> None:
    values = some_values(seed)
    known = sorted(Fraction(value) for value in values[~np.isnan(values)])
    edges = []
    for number in range(quantiles + 1):
        place = Fraction(number * (len(known) - 1), quantiles)
        low, high = known[floor(place)], known[ceil(place)]
        edges.append(low + (place - floor(place)) * (high - low))
    found, rule = quantiles_of(values.tolist(), quantiles)
    assert (rule == 1) == (len(set(edges)) == quantiles + 1)
    if rule == 1:
        above = [0 if np.isnan(v) else 1 + sum(v > e for e in edges[1:-1]) for v in values]
        assert found == above


def test_quantiles_of_too_many_equal_values_go_by_mean_places() -> None:
    # Places 0..9. Half are 7, at places 5..9, middle 7: 7 * 5 / 9 = 3.9, so the fourth fifth. The
    # twos are at 2..4, middle 3: 3 * 5 / 9 = 1.7, so the second.
    assert quantiles_of([0, 1, 2, 2, 2, 7, 7, 7, 7, 7], 5) == ([1, 1, 2, 2, 2, 4, 4, 4, 4, 4], 2)


def test_quantiles_of_equal_values_are_none() -> None:
    assert quantiles_of([3.0, 3.0, float("nan"), 3.0], 5) == ([0, 0, 0, 0], 0)
    assert quantiles_of([float("nan")], 5) == ([0], 0)
    assert quantiles_of([1.0], 5) == ([0], 0)
