"""Sharpe ratios against the worked examples of their authors, scipy, and what has to hold."""

from math import sqrt

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.overfitting.deflated_sharpe import deflated_sharpe
from qlops_assets.training.overfitting.expected_maximum import expected_maximum_sharpe
from qlops_assets.training.overfitting.probabilistic_sharpe import probabilistic_sharpe
from qlops_assets.training.overfitting.sharpe import SharpeRatio
from qlops_assets.training.overfitting.track_record import minimum_track_record

values = st.floats(-0.5, 0.5)
# Every distribution has a kurtosis of at least its squared skewness plus 1.
ratios = st.builds(
    lambda value, skewness, more, days: SharpeRatio(value, skewness, skewness**2 + 1 + more, days),
    values,
    st.floats(-3, 3),
    st.floats(0.01, 20),
    st.integers(20, 5000),
)


def returns_of(seed: int, days: int = 250) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(5, days) * 0.01 + 0.0004


def test_moments_equal_those_of_scipy() -> None:
    returns = returns_of(1)
    found = SharpeRatio.of(np.append(returns, np.nan))
    assert found is not None
    assert found.value == pytest.approx(np.mean(returns) / np.std(returns, ddof=1))
    assert found.skewness == pytest.approx(scipy.stats.skew(returns))
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(returns, fisher=False))
    assert found.days == 250


@pytest.mark.parametrize(
    "returns", [[], [0.1, 0.2], [0.01] * 50, [float("nan")] * 9, [0, 0, 1e-300]]
)
def test_ratio_of_too_few_or_equal_returns_is_none(returns: list[float]) -> None:
    assert SharpeRatio.of(returns) is None


@given(st.integers(0, 200), st.floats(1e-3, 1e3))
def test_ratio_does_not_depend_on_the_scale_of_returns(seed: int, scale: float) -> None:
    one, other = SharpeRatio.of(returns_of(seed)), SharpeRatio.of(scale * returns_of(seed))
    assert one is not None
    assert other is not None
    assert other.value == pytest.approx(one.value, rel=1e-9)
    assert probabilistic_sharpe(other) == pytest.approx(probabilistic_sharpe(one), rel=1e-9)


def test_standard_error_is_the_spread_of_ratios_over_many_samples() -> None:
    rng = np.random.default_rng(3)
    samples = rng.gamma(2.0, 1.0, (20_000, 300)) - 1.8  # skewed: 1.41
    found = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    true = SharpeRatio(0.2 / sqrt(2), 2 / sqrt(2), 3 + 6 / 2, 300)
    assert np.std(found) == pytest.approx(true.standard_error, rel=0.03)


@pytest.mark.parametrize(
    ("skewness", "kurtosis", "probability"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)]
)
def test_probabilistic_ratio_equals_the_example_of_bailey_and_lopez_de_prado(
    skewness: float, kurtosis: float, probability: float
) -> None:
    """A fund with 1.59 a year over 24 months (The Sharpe Ratio Efficient Frontier, 2012)."""
    ratio = SharpeRatio(0.458, skewness, kurtosis, 24)
    assert probabilistic_sharpe(ratio) == pytest.approx(probability, abs=6e-4)


@pytest.mark.parametrize(
    ("a_year", "skewness", "kurtosis", "years"),
    [(252, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_track_record_equals_the_examples_of_bailey_and_lopez_de_prado(
    a_year: int, skewness: float, kurtosis: float, years: float
) -> None:
    """A ratio of 2 a year against 1, at 95 % (The Sharpe Ratio Efficient Frontier, 2012)."""
    ratio = SharpeRatio(2 / sqrt(a_year), skewness, kurtosis, 1000)
    days = minimum_track_record(ratio, confidence=0.95, benchmark=1 / sqrt(a_year))
    assert days is not None
    assert days / a_year == pytest.approx(years, abs=0.005)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "probability"),
    [(100, -3, 10, 0.9004), (46, -3, 10, 0.9505), (88, 0, 3, 0.9505)],
)
def test_deflated_ratio_equals_the_examples_of_bailey_and_lopez_de_prado(
    trials: int, skewness: float, kurtosis: float, probability: float
) -> None:
    """2.5 a year over five years of 250 days, V = 1/2 a year (The Deflated Sharpe Ratio, 2014)."""
    ratio = SharpeRatio(2.5 / sqrt(250), skewness, kurtosis, 1250)
    found = deflated_sharpe(ratio, trials=trials, variance=0.5 / 250)
    assert found == pytest.approx(probability, abs=6e-5)


def test_expected_maximum_equals_the_example_and_the_mean_of_many_draws() -> None:
    assert expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    draws = np.random.default_rng(5).normal(0, 0.3, (20_000, 50)).max(axis=1)
    # An asymptotic formula: of 50 trials it is 1 % above the truth.
    assert expected_maximum_sharpe(50, 0.09) == pytest.approx(draws.mean(), rel=0.015)


@given(ratios, st.floats(-0.3, 0.3))
def test_track_record_is_where_the_probability_reaches_the_confidence(
    ratio: SharpeRatio, benchmark: float
) -> None:
    assume(ratio.value - benchmark > 1e-3)
    days = minimum_track_record(ratio, confidence=0.95, benchmark=benchmark)
    assert days is not None
    assume(1.5 < days < 1e12)
    then = SharpeRatio(ratio.value, ratio.skewness, ratio.kurtosis, days)  # type: ignore[arg-type]
    assert probabilistic_sharpe(then, benchmark) == pytest.approx(0.95, abs=1e-6)


def test_no_track_record_is_long_enough_below_the_benchmark() -> None:
    ratio = SharpeRatio(0.1, 0.0, 3.0, 500)
    assert minimum_track_record(ratio, confidence=0.95, benchmark=0.1) is None


@given(ratios, values, values)
def test_probability_falls_with_the_benchmark(ratio: SharpeRatio, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert probabilistic_sharpe(ratio, low) >= probabilistic_sharpe(ratio, high)


@given(ratios, st.integers(1, 4000))
def test_probability_moves_away_from_a_half_with_more_days(ratio: SharpeRatio, more: int) -> None:
    longer = SharpeRatio(ratio.value, ratio.skewness, ratio.kurtosis, ratio.days + more)
    assert abs(probabilistic_sharpe(longer) - 0.5) >= abs(probabilistic_sharpe(ratio) - 0.5)


@given(ratios, st.integers(1, 10_000), st.floats(0, 0.1))
def test_deflated_ratio_is_never_above_the_probabilistic_one(
    ratio: SharpeRatio, trials: int, variance: float
) -> None:
    plain = probabilistic_sharpe(ratio)
    assert deflated_sharpe(ratio, trials=trials, variance=variance) <= plain
    assert deflated_sharpe(ratio, trials=1, variance=variance) == plain


@given(ratios, st.integers(1, 5000), st.floats(0, 0.1), st.floats(0, 0.1))
def test_more_trials_or_wider_ones_deflate_more(
    ratio: SharpeRatio, trials: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    less = deflated_sharpe(ratio, trials=trials, variance=low)
    assert deflated_sharpe(ratio, trials=trials + 1, variance=low) <= less
    assert deflated_sharpe(ratio, trials=trials, variance=high) <= less


def test_returns_of_two_values_can_leave_no_doubt() -> None:
    """+1 on the days of a share p, else -s: the error vanishes at one ratio only."""
    assert SharpeRatio(1.0, 2.0, 5.0, 9).standard_error == 0.0  # 1 - 2 + 4/4
    assert probabilistic_sharpe(SharpeRatio(1.0, 2.0, 5.0, 9), 0.5) == 1.0
    assert probabilistic_sharpe(SharpeRatio(1.0, 2.0, 5.0, 9), 1.5) == 0.0
    assert probabilistic_sharpe(SharpeRatio(1.0, 2.0, 5.0, 9), 1.0) == 0.5


@pytest.mark.parametrize(("trials", "variance"), [(0, 0.1), (5, -0.1), (5, float("nan"))])
def test_trials_that_cannot_be_are_refused(trials: int, variance: float) -> None:
    with pytest.raises(TrainingError, match="must be at least 1 and 0"):
        expected_maximum_sharpe(trials, variance)
