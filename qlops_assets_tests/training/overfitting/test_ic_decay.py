"""The decay of the Rank IC against Newey and West's formula in a loop, and by simulation."""

import numpy as np
import pytest
import scipy.stats

from qlops_assets.training.overfitting.ic_decay import ic_decay
from qlops_assets.training.overfitting.mean_error import mean_error


def newey_west(days: np.ndarray, lags: int) -> float:
    """Newey and West (1987) for a mean, with n / (n - 1) for the one coefficient."""
    away = days - days.mean()
    n = len(days)
    total = float(away @ away)
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(away[lag:] @ away[:-lag])
    return float(np.sqrt(total / n**2 * n / (n - 1)))


def daily_ic(seed: int, days: int, mean: float, memory: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.1, days + 50)
    for day in range(1, days + 50):
        noise[day] += memory * noise[day - 1]
    return noise[50:] + mean


def test_error_equals_the_formula_of_newey_and_west() -> None:
    days = daily_ic(1, 300, 0.03)
    assert mean_error(days, horizon_days=2) == pytest.approx(newey_west(days, 5))  # 4·3^(2/9) = 5.1
    assert mean_error(days, horizon_days=21) == pytest.approx(newey_west(days, 20))


def test_interval_equals_welchs_by_hand() -> None:
    valid, test = daily_ic(2, 250, 0.05), daily_ic(3, 120, 0.02)
    found = ic_decay(valid, test, horizon_days=2, confidence=0.9)
    assert found is not None
    a, b = newey_west(valid, 4) ** 2, newey_west(test, 4) ** 2
    freedom = (a + b) ** 2 / (a**2 / 249 + b**2 / 119)
    width = scipy.stats.t.ppf(0.95, freedom) * np.sqrt(a + b)
    decay = valid.mean() - test.mean()
    assert found.decay == pytest.approx(decay)
    assert (found.low, found.high) == (pytest.approx(decay - width), pytest.approx(decay + width))
    assert found.share == pytest.approx(decay / valid.mean())


def test_interval_covers_the_true_decay_as_often_as_it_says_where_days_resemble_each_other() -> (
    None
):
    inside = 0
    for seed in range(300):
        found = ic_decay(
            daily_ic(seed, 400, 0.05),
            daily_ic(9000 + seed, 400, 0.03),
            horizon_days=2,
            confidence=0.95,
        )
        assert found is not None
        inside += found.low <= 0.02 <= found.high
    assert 0.88 <= inside / 300 <= 0.97  # errors that ignore the memory cover 75 %


def test_days_without_a_figure_are_left_out() -> None:
    valid, test = daily_ic(4, 100, 0.05), daily_ic(5, 100, 0.05)
    padded = np.append(test, [np.nan, np.nan])
    one, other = (ic_decay(valid, t, horizon_days=2, confidence=0.95) for t in (test, padded))
    assert one == other


def test_lasting_loss_is_certain_and_a_small_one_is_not() -> None:
    valid = daily_ic(6, 300, 0.08)
    lost = ic_decay(valid, daily_ic(7, 300, 0.0), horizon_days=2, confidence=0.95)
    kept = ic_decay(valid, daily_ic(7, 300, 0.075), horizon_days=2, confidence=0.95)
    assert lost is not None
    assert kept is not None
    assert lost.is_certain
    assert not kept.is_certain


def test_share_of_a_rank_ic_that_was_never_there_is_none() -> None:
    found = ic_decay(
        np.array([-0.1, 0.0, 0.05]), np.array([0.1, 0.2, 0.3]), horizon_days=2, confidence=0.95
    )
    assert found is not None
    assert found.share is None


def test_equal_days_leave_an_interval_of_one_point() -> None:
    found = ic_decay(np.full(9, 0.5), np.full(9, 0.25), horizon_days=2, confidence=0.95)
    assert found is not None
    assert (found.low, found.high) == (0.25, 0.25)


def test_two_days_are_too_few() -> None:
    assert (
        ic_decay(np.array([0.1, 0.2]), daily_ic(1, 50, 0), horizon_days=2, confidence=0.9) is None
    )
