"""The tables of the report against alphalens, scipy and loops over days."""

from datetime import date, timedelta

import alphalens
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.stats

from qlops_assets.training.report.by_year import by_year
from qlops_assets.training.report.monthly_ic import monthly_ic
from qlops_assets.training.report.quantile_returns import quantile_returns
from qlops_assets.training.report.score_exposure import PROXIES, first_day_needed, score_exposure
from qlops_assets_tests.support.market import weekdays

CODES = [f"SH6000{i:02d}" for i in range(23)]


def predictions_of(days: list[date]) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    count = len(days) * len(CODES)
    label = rng.normal(0, 0.02, count).astype(np.float32)
    score = 3 * label.astype(float) + rng.normal(0, 0.1, count)
    label[[7, 100]] = np.nan
    return pl.DataFrame(
        {
            "date": [day for day in days for _ in CODES],
            "instrument": CODES * len(days),
            "score": score,
            "LABEL0": label,
        }
    )


@pytest.fixture(scope="module")
def days() -> list[date]:
    return weekdays(date(2020, 11, 2), 90)


@pytest.fixture(scope="module")
def predictions(days: list[date]) -> pl.DataFrame:
    return predictions_of(days)


def test_quantile_returns_equal_those_of_alphalens(predictions: pl.DataFrame) -> None:
    known = predictions.drop_nans("LABEL0").sort("date", "instrument")
    index = pd.MultiIndex.from_arrays(
        [pd.DatetimeIndex(known["date"].to_numpy().astype("datetime64[ns]")), known["instrument"]],
        names=["date", "asset"],
    )
    factor = pd.Series(known["score"].to_numpy(), index=index)
    forward = pd.DataFrame({"1D": known["LABEL0"].to_numpy().astype(float)}, index=index)
    data = alphalens.utils.get_clean_factor(factor, forward, quantiles=5, max_loss=0)
    theirs, _ = alphalens.performance.mean_return_by_quantile(data, by_date=True, demeaned=False)
    excess, _ = alphalens.performance.mean_return_by_quantile(data, by_date=True, demeaned=True)
    found = quantile_returns(predictions, horizon_days=2)
    by_day = found.by_day.sort("quantile", "date")
    np.testing.assert_allclose(by_day["mean"], theirs["1D"], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(by_day["excess"], excess["1D"], rtol=1e-5, atol=1e-10)
    means = theirs["1D"].groupby(level="factor_quantile").mean()
    np.testing.assert_allclose(found.means["mean"], means, rtol=1e-6)
    assert found.means["days"].to_list() == [90] * 5


def test_quantiles_equal_qcut_day_by_day(predictions: pl.DataFrame) -> None:
    found = quantile_returns(predictions, horizon_days=2).by_day
    for (day,), rows in predictions.drop_nans("LABEL0").group_by("date"):
        labels = pd.qcut(rows["score"].to_pandas(), 5, labels=False) + 1
        counts = found.filter(pl.col("date") == day).sort("quantile")["count"].to_list()
        assert counts == labels.value_counts().sort_index().to_list()


def test_cumulated_quantiles_are_sums_of_the_excess_and_the_spread_is_halved(
    predictions: pl.DataFrame,
) -> None:
    found = quantile_returns(predictions, horizon_days=2)
    last = found.cumulated().row(-1, named=True)
    sums = dict(found.by_day.group_by("quantile").agg(pl.col("excess").sum()).iter_rows())
    assert last["quantile 1"] == pytest.approx(sums[1])
    assert last["long-short"] == pytest.approx((sums[5] - sums[1]) / 2)


def test_equal_scores_stay_in_one_quantile() -> None:
    day = date(2020, 1, 2)
    frame = pl.DataFrame(
        {
            "date": [day] * 10,
            "instrument": CODES[:10],
            "score": [1.0] * 6 + [2.0, 3.0, 4.0, 5.0],
            "LABEL0": [0.01] * 10,
        }
    )
    counts = quantile_returns(frame, horizon_days=2).by_day["count"].to_list()
    assert max(counts) >= 6
    assert sum(counts) == 10


def test_monthly_ic_is_the_mean_of_the_months_days(days: list[date]) -> None:
    ic = np.random.default_rng(1).normal(0, 0.1, 90)
    ic[3] = np.nan
    daily = pl.DataFrame({"date": days, "ic": ic, "rank_ic": ic / 2})
    found = monthly_ic(daily)
    assert found.select("year", "month").rows()[:3] == [(2020, 11), (2020, 12), (2021, 1)]
    november = [v for day, v in zip(days, ic, strict=True) if day.month == 11 and not np.isnan(v)]
    mean = pytest.approx(np.mean(november))
    half = pytest.approx(np.mean(november) / 2)
    assert found.row(0) == (2020, 11, len(november), mean, half)


def test_years_are_calendar_years_with_their_own_drawdown(days: list[date]) -> None:
    rng = np.random.default_rng(2)
    excess, strategy, turnover = rng.normal(0, 0.01, (3, 90))
    by_day = pl.DataFrame(
        {"date": days, "strategy": strategy, "excess": excess, "turnover": turnover}
    )
    daily = pl.DataFrame({"date": days[:88], "ic": excess[:88], "rank_ic": strategy[:88]})
    found = by_year(daily, by_day)
    assert found["year"].to_list() == [2020, 2021]
    for row in found.iter_rows(named=True):
        own = np.array([day.year == row["year"] for day in days])
        curve = np.cumsum(excess[own])
        assert row["days"] == own.sum()
        assert row["return"] == pytest.approx(strategy[own].sum())
        assert row["excess"] == pytest.approx(excess[own].sum())
        assert row["drawdown"] == pytest.approx((curve - np.maximum.accumulate(curve)).min())
        assert row["turnover"] == pytest.approx(turnover[own].mean())
        assert row["ic"] == pytest.approx(excess[:88][own[:88]].mean())


def test_exposure_equals_scipys_rank_correlation_day_by_day() -> None:
    days = weekdays(date(2020, 6, 1), 120)
    rng = np.random.default_rng(3)
    close = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, (120, len(CODES))), axis=0))
    volume = rng.lognormal(10, 1, close.shape)
    bars = pl.DataFrame(
        {
            "instrument": np.repeat(CODES, 120),
            "date": days * len(CODES),
            "close": close.T.ravel(),
            "volume": volume.T.ravel(),
        }
    )
    predictions = predictions_of(days[90:])
    found = score_exposure(predictions, bars)
    assert found.columns == ["year", *PROXIES]
    assert found["year"].to_list() == [2020]
    moves = close[1:] / close[:-1] - 1
    expected = {name: [] for name in PROXIES}
    scores = predictions["score"].to_numpy().reshape(30, -1)
    for n, day in enumerate(range(90, 120)):
        known = {
            "traded value, 20 days": (close * volume)[day - 19 : day + 1].mean(axis=0),
            "momentum, 60 days": close[day] / close[day - 60] - 1,
            "return, 5 days": close[day] / close[day - 5] - 1,
            "volatility, 20 days": moves[day - 20 : day].std(axis=0, ddof=1),
        }
        for name, values in known.items():
            expected[name].append(scipy.stats.spearmanr(scores[n], values).statistic)
    for name, values in expected.items():
        assert found[name][0] == pytest.approx(np.mean(values), rel=1e-9)


def test_exposure_to_what_needs_more_bars_than_there_are_is_null() -> None:
    days = weekdays(date(2020, 6, 1), 30)
    bars = pl.DataFrame(
        {
            "instrument": np.repeat(CODES, 30),
            "date": days * len(CODES),
            "close": np.random.default_rng(4).lognormal(2, 0.1, 30 * len(CODES)),
            "volume": [1e6] * 30 * len(CODES),
        }
    )
    found = score_exposure(predictions_of(days[25:]), bars)
    assert found["momentum, 60 days"].to_list() == [None]
    assert found["return, 5 days"][0] is not None


def test_look_back_is_longer_than_the_longest_proxy_and_new_year() -> None:
    first = date(2021, 2, 26)  # behind a week without trading
    frame = pl.DataFrame({"date": [first]})
    assert first_day_needed(frame) <= first - timedelta(days=60 * 7 / 5 + 14)
