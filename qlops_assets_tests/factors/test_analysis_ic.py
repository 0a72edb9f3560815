"""IC, Rank IC, their decay, and correlations, against Qlib's ``calc_ic`` and pandas."""

import numpy as np
import polars as pl
import pytest

from qlops_assets.factors.analysis.analysis import FactorAnalysis, analyse
from qlops_assets.factors.analysis.returns import forward_returns
from qlops_assets.factors.analysis.rules import AnalysisRules
from qlops_assets.factors.engine import evaluate
from qlops_assets_tests.support.factor_frames import (
    factor_frame,
    next_day_returns,
    qlib_ic,
    random_bars,
    random_factors,
)

DAYS, NAMES = 40, 30
RULES = AnalysisRules(horizons=(1, 2, 5, 20), correlation_days=DAYS)
BARS = random_bars(DAYS, NAMES, halted=0.1)


def difficult_factors(dtype: type[np.floating]) -> pl.DataFrame:
    """Return factors with everything that a day can be short of."""
    rng = np.random.default_rng(5)
    plain = rng.normal(size=(DAYS, NAMES))
    missing = np.where(rng.random(plain.shape) < 0.3, np.nan, plain)
    few = plain.copy()
    for day, names in enumerate([0, 1, 2, 3]):
        few[day, names:] = np.nan
    constant = plain.copy()
    constant[3] = 0.125  # whose mean is exact: of 0.1 in 64 bits numpy correlates rounding errors
    constant[4, 1:] = 0.125  # all but one are equal
    infinite = plain.copy()
    infinite[5, 2], infinite[6, 3] = np.inf, -np.inf
    return factor_frame(
        {
            "plain": plain,
            "missing": missing,
            "tied": np.round(plain),
            "signs": np.where(rng.random(plain.shape) < 0.5, -0.0, np.round(plain)),
            "few": few,
            "constant": constant,
            "infinite": infinite,
            "outlier": np.where(rng.random(plain.shape) < 0.05, 1e12, missing),
            "shifted": 1e6 + plain,
            "tiny": missing * 1e-30,
        },
        dtype=dtype,
    )


def of_day(analysis: FactorAnalysis, factor: str) -> pl.DataFrame:
    return analysis.daily.filter(pl.col("factor") == factor).drop("factor")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_daily_ic_of_difficult_factors_is_that_of_qlib(dtype: type[np.floating]) -> None:
    factors = difficult_factors(dtype)
    analysis = analyse(factors, BARS, rules=RULES)
    for name, expected in qlib_ic(factors, BARS, analysis.factors).items():
        found = of_day(analysis, name)
        assert found["date"].to_list() == expected["date"].to_list()
        for figure in ("ic", "rank_ic"):
            np.testing.assert_allclose(
                found[figure].fill_null(np.nan).to_numpy(),
                expected[figure].to_numpy(),
                rtol=0,
                atol=1e-10,
                err_msg=f"{figure} of {name}",
            )


def test_decay_of_difficult_factors_is_qlibs_mean_at_every_horizon() -> None:
    factors = difficult_factors(np.float32)
    analysis = analyse(factors, BARS, rules=RULES)
    for horizon in RULES.horizons:
        found = analysis.decay.filter(pl.col("horizon") == horizon)
        answers = qlib_ic(factors, BARS, analysis.factors, horizon=horizon)
        for row in found.iter_rows(named=True):
            daily = answers[row["factor"]].drop_nans("ic")["ic"]
            assert row["ic"] == pytest.approx(daily.mean(), abs=1e-10)
            ranked = answers[row["factor"]].drop_nans("rank_ic")["rank_ic"]
            assert row["rank_ic"] == pytest.approx(ranked.mean(), abs=1e-10)


def test_summary_is_pandas_mean_deviation_and_share_of_the_daily_figures() -> None:
    factors = difficult_factors(np.float32)
    analysis = analyse(factors, BARS, rules=RULES)
    for name, daily in qlib_ic(factors, BARS, analysis.factors).items():
        row = analysis.summary.filter(pl.col("factor") == name).row(0, named=True)
        ic, rank_ic = (daily[figure].drop_nans().to_pandas() for figure in ("ic", "rank_ic"))
        assert row["days"] == rank_ic.size
        expected = {
            "ic": ic.mean(),
            "ic_std": ic.std(),
            "icir": ic.mean() / ic.std(),
            "rank_ic": rank_ic.mean(),
            "rank_ic_std": rank_ic.std(),
            "rank_icir": rank_ic.mean() / rank_ic.std(),
            "positive_share": (ic > 0).mean(),
        }
        assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-10)


def test_factors_that_are_returns_have_an_ic_of_one_and_their_opposite_of_minus_one() -> None:
    bars = random_bars(DAYS, NAMES)
    earned = next_day_returns(bars).rename({"earned": "same"})
    factors = bars.select("instrument", "date").join(earned, on=["instrument", "date"])
    factors = factors.with_columns(opposite=-pl.col("same"))
    summary = analyse(factors, bars, rules=RULES).summary
    assert summary["ic"].to_list() == pytest.approx([1.0, -1.0], abs=1e-14)
    assert summary["rank_ic"].to_list() == pytest.approx([1.0, -1.0], abs=1e-14)


def test_correlation_is_pandas_spearman_of_each_day_over_pairs_averaged() -> None:
    factors = random_factors(DAYS, NAMES, 6, missing=0.2, decimals=1)
    factors = factors.with_columns(opposite=-pl.col("F0"), same=pl.col("F1") * 2)
    found = analyse(factors, BARS, rules=RULES).correlation
    names = factors.columns[2:]
    assert found.columns == ["factor", *names]
    by_day = factors.to_pandas().groupby("date")[names].corr(method="spearman")
    expected = by_day.groupby(level=1).mean().loc[names, names]
    np.testing.assert_allclose(found.drop("factor").to_numpy(), expected, atol=1e-12)


def test_forward_returns_at_horizon_one_are_qlibs_label() -> None:
    close = pl.col("close")
    bars = random_bars(30, 4, halted=0.1).with_columns(
        open=close, high=close, low=close, volume=close.is_not_null().cast(pl.Float64)
    )
    label = {"LABEL0": "Ref($close, -2)/Ref($close, -1) - 1"}
    expected = evaluate(label, bars, engine="qlib", look_ahead=True)
    found = expected.join(forward_returns(bars, [1]), on=["instrument", "date"], how="left")
    np.testing.assert_allclose(  # Qlib computes it from float32 closes
        found["return_1"].fill_null(np.nan).to_numpy(),
        found["LABEL0"].to_numpy(),
        rtol=0,
        atol=1e-6,
    )
    assert found["return_1"].null_count() > 8


def test_forward_returns_buy_a_day_after_the_signal_and_sell_h_days_later() -> None:
    closes = np.array([[1.0], [2.0], [3.0], [np.nan], [6.0], [0.0]])
    bars = random_bars(6, 1).with_columns(close=pl.Series(closes[:, 0]).fill_nan(None))
    found = forward_returns(bars, [1, 3])
    assert found.columns == ["instrument", "date", "return_1", "return_3"]
    assert found["return_1"].to_list() == [0.5, None, None, -1.0, None, None]
    assert found["return_3"].to_list() == [2.0, -1.0, None, None, None, None]
