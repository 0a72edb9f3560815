"""HAC errors and false discoveries against statsmodels called directly and hand-computed tables."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from statsmodels.stats.multitest import multipletests

from qlops_assets.factors.analysis.analysis import analyse
from qlops_assets.factors.analysis.clusters import clusters_of, representatives
from qlops_assets.factors.analysis.inference import mean_test, newey_west_lags, q_values
from qlops_assets.factors.analysis.rules import AnalysisRules
from qlops_assets_tests.support.factor_frames import random_bars, random_factors

NAN = float("nan")


def test_mean_test_of_four_figures_is_what_one_computes_by_hand() -> None:
    # Around the mean 2.5: -1.5 -0.5 0.5 1.5. Squares sum to 5, products at lag 1 to 1.25; with the
    # Bartlett weight 1/2 twice: 6.25. Variance of the mean 6.25 / 4^2 * 4/3 = 0.5208, so
    # t = 2.5 / sqrt(0.5208) = sqrt(12). Student's distribution with 3 degrees is, with
    # u = t / sqrt(3) = 2, 1/2 + (u / (1 + u^2) + atan(u)) / pi = 0.979741.
    assert newey_west_lags(4, 1) == 1
    t_statistic, p_value = mean_test(np.array([1.0, 2.0, 3.0, 4.0]), 1)
    assert t_statistic == pytest.approx(np.sqrt(12.0), rel=1e-12)
    assert p_value == pytest.approx(1 - 2 * (0.4 + np.arctan(2.0)) / np.pi, rel=1e-9)


@pytest.mark.parametrize("horizon", [1, 20])
def test_mean_test_is_statsmodels_regression_on_a_constant_with_hac_errors(horizon: int) -> None:
    rng = np.random.default_rng(3)
    figures = 0.02 + np.convolve(rng.normal(0, 0.1, 320), np.ones(horizon), "valid")[:300]
    gappy = figures.copy()
    gappy[[5, 17, 200]] = np.nan
    known = gappy[~np.isnan(gappy)]
    lags = max(horizon - 1, int(4 * (known.size / 100) ** (2 / 9)))
    fit: Any = sm.OLS(known, np.ones(known.size)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}, use_t=True
    )
    assert mean_test(gappy, horizon) == pytest.approx((fit.tvalues[0], fit.pvalues[0]), rel=1e-12)


def test_newey_west_lags_grow_with_the_days_and_with_the_horizon() -> None:
    # 4 (days / 100)^(2/9): 100 -> 4, 1000 -> 6.67, 3884 -> 9.02
    assert [newey_west_lags(days, 1) for days in (1, 2, 100, 1000, 3884)] == [0, 1, 4, 6, 9]
    assert [newey_west_lags(days, 20) for days in (10, 100, 3884)] == [9, 19, 19]


def test_mean_test_of_too_few_or_of_nothing_but_zeros_is_not_known() -> None:
    for figures in ([], [0.1, 0.2], [NAN, 0.3, NAN, 0.2], [0.0, 0.0, 0.0, 0.0]):
        assert np.isnan(mean_test(np.array(figures), 1)).all()


def test_mean_test_of_the_same_figure_every_day_is_beyond_doubt() -> None:
    assert mean_test(np.full(10, -0.3), 1) == (-np.inf, 0.0)


def test_q_values_of_a_textbook_table_are_those_of_benjamini_and_hochberg() -> None:
    # p * m / rank, then the least of it and of all after it.
    p_values = np.array([0.205, 0.001, 0.039, 0.042, 0.041, NAN, 0.008, 0.06, 0.074, 0.212, 0.216])
    expected = [0.216, 0.01, 0.084, 0.084, 0.084, NAN, 0.04, 0.1, 0.74 / 7, 0.216, 0.216]
    np.testing.assert_allclose(q_values(p_values, "fdr_bh"), expected, rtol=1e-12)


@pytest.mark.parametrize("method", ["fdr_bh", "fdr_by"])
def test_q_values_are_those_of_statsmodels(method: str) -> None:
    p_values = np.random.default_rng(4).random(50) ** 3
    expected = multipletests(p_values, method=method)[1]
    np.testing.assert_array_equal(q_values(p_values, method), expected)


def test_q_values_of_no_test_are_not_known() -> None:
    assert np.isnan(q_values(np.array([NAN, NAN]), "fdr_bh")).all()


@pytest.mark.parametrize("method", ["fdr_bh", "fdr_by"])
def test_summary_holds_the_tests_of_its_own_daily_figures(method: str) -> None:
    rules = AnalysisRules(
        horizon_days=5, horizons=(1, 5), correlation_days=1, false_discovery=method
    )
    analysis = analyse(random_factors(60, 20, 8), random_bars(60, 20), rules=rules)
    for name in ("ic", "rank_ic"):
        tests = [
            mean_test(rows[name].fill_null(np.nan).to_numpy(), 5)
            for rows in analysis.daily.partition_by("factor", maintain_order=True)
        ]
        t_statistics, p_values = np.array(tests).T
        np.testing.assert_array_equal(analysis.summary[f"{name}_t"], t_statistics)
        np.testing.assert_array_equal(analysis.summary[f"{name}_p"], p_values)
        adjusted = multipletests(p_values, method=method)[1]
        np.testing.assert_array_equal(analysis.summary[f"{name}_q"], adjusted)


def test_clusters_join_what_correlates_on_average_either_way_and_number_by_appearance() -> None:
    # b and d agree with a (d oppositely) by 0.9 and 0.8, with each other by 0.65: d joins at their
    # mean, 0.725. c stands alone; so does e, which could not be compared.
    correlation = np.array(
        [
            [1.0, 0.9, 0.1, -0.8, NAN],
            [0.9, 1.0, 0.2, -0.65, NAN],
            [0.1, 0.2, 1.0, 0.3, NAN],
            [-0.8, -0.65, 0.3, 1.0, NAN],
            [NAN, NAN, NAN, NAN, NAN],
        ]
    )
    assert clusters_of(correlation, 0.72).tolist() == [1, 1, 2, 1, 3]
    assert clusters_of(correlation, 0.73).tolist() == [1, 1, 2, 3, 4]
    assert clusters_of(np.array([[1.0]]), 0.7).tolist() == [1]


def test_representatives_are_the_strongest_of_their_clusters() -> None:
    chosen = representatives(np.array([1, 1, 2, 1, 3]), np.array([0.1, 0.3, NAN, NAN, 0.2]))
    assert chosen.tolist() == [False, True, True, False, True]


def test_sign_stability_is_the_share_of_whole_years_with_the_sign_of_all() -> None:
    bars, factors = random_bars(600, 12), random_factors(600, 12, 5)
    rules = AnalysisRules(horizons=(1,), correlation_days=1)
    analysis = analyse(factors, bars, rules=rules)
    daily = analysis.daily.to_pandas()
    daily["year"] = analysis.daily["date"].dt.year().to_numpy()
    for row in analysis.summary.iter_rows(named=True):
        own = daily[daily["factor"] == row["factor"]]
        years = own.groupby("year")["rank_ic"].agg(["mean", "count"])
        table = analysis.yearly.filter(pl.col("factor") == row["factor"])
        assert table["year"].to_list() == years.index.tolist() == [2020, 2021, 2022]
        np.testing.assert_allclose(table["rank_ic"], years["mean"])
        assert table["days"].to_list() == years["count"].tolist()
        same = np.sign(years["mean"]) == np.sign(own["rank_ic"].mean())
        assert row["sign_stability"] == pytest.approx(same.mean())
