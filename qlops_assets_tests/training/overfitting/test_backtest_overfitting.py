"""The probability of backtest overfitting against a loop written from the paper alone."""

from itertools import combinations
from math import comb, log

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.overfitting.backtest_overfitting import backtest_overfitting


def looped(returns: np.ndarray, blocks: int) -> tuple[float, float, float]:
    """Follow the steps of Bailey, Borwein, López de Prado and Zhu (2017), section 3, literally."""
    length = len(returns) // blocks
    parts = np.split(returns[-blocks * length :], blocks)
    logits, seen, later = [], [], []
    for chosen in combinations(range(blocks), blocks // 2):
        train = np.concatenate([parts[b] for b in chosen])
        test = np.concatenate([parts[b] for b in range(blocks) if b not in chosen])
        inside = train.mean(axis=0) / train.std(axis=0, ddof=1)
        outside = test.mean(axis=0) / test.std(axis=0, ddof=1)
        best = int(np.argmax(inside))
        omega = scipy.stats.rankdata(outside)[best] / (returns.shape[1] + 1)
        logits.append(log(omega / (1 - omega)))
        seen.append(inside[best])
        later.append(outside[best])
    slope = scipy.stats.linregress(seen, later).slope
    return float(np.mean(np.array(logits) <= 1e-12)), float(np.mean(np.array(later) < 0)), slope


def noise(seed: int, days: int = 240, trials: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, (days, trials))


@pytest.mark.parametrize("blocks", [2, 4, 6, 8])
@pytest.mark.parametrize(("days", "trials"), [(97, 2), (120, 7), (203, 30)])
def test_probability_equals_a_loop_over_the_paper(blocks: int, days: int, trials: int) -> None:
    returns = noise(blocks * days, days, trials) + 0.002
    found = backtest_overfitting(returns, blocks=blocks)
    probability, loss, slope = looped(returns, blocks)
    assert found.probability == probability
    assert found.probability_of_loss == loss
    assert found.degradation == pytest.approx(slope)
    assert found.splits == comb(blocks, blocks // 2)
    assert (found.trials, found.days) == (trials, days - days % blocks)


def test_choice_among_noise_is_a_coin() -> None:
    found = [backtest_overfitting(noise(seed), blocks=8).probability for seed in range(120)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_choice_of_a_real_signal_is_not_overfit() -> None:
    returns = noise(3)
    returns[:, 7] += 0.004
    found = backtest_overfitting(returns, blocks=10)
    assert found.probability < 0.01
    assert found.probability_of_loss < 0.01


def test_choice_of_what_always_reverses_is_overfit() -> None:
    """Each trial is good in one half of the days and as bad in the other."""
    days = np.arange(240)
    drift = np.where(days[:, None] < 120, 1, -1) * np.linspace(-0.01, 0.01, 20)
    found = backtest_overfitting(noise(4) + drift, blocks=2)
    assert found.probability == 1.0
    assert found.probability_of_loss == 1.0


@given(st.integers(0, 50), st.floats(1e-3, 1e3))
@settings(max_examples=30, deadline=None)
def test_probability_does_not_depend_on_the_scale_of_returns(seed: int, scale: float) -> None:
    one, other = (backtest_overfitting(f * noise(seed, 96, 6), blocks=6) for f in (1.0, scale))
    assert other.probability == one.probability
    assert other.degradation == pytest.approx(one.degradation, rel=1e-6)


@given(st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_probability_does_not_depend_on_the_order_of_trials(seed: int) -> None:
    returns = noise(seed, 96, 6)
    order = np.random.default_rng(seed).permutation(6)
    one, other = (backtest_overfitting(r, blocks=6) for r in (returns, returns[:, order]))
    assert other.probability == one.probability


def test_latest_days_are_used_where_blocks_do_not_divide_them() -> None:
    returns = noise(5, 101)
    assert backtest_overfitting(returns, blocks=4) == backtest_overfitting(returns[1:], blocks=4)


def test_trial_that_stands_still_counts_as_zero() -> None:
    returns = noise(6, 64, 3)
    returns[:, 1] = 0.0
    found = backtest_overfitting(returns, blocks=4)
    assert 0.0 <= found.probability <= 1.0


@pytest.mark.parametrize("blocks", [0, 3, 22])
def test_blocks_that_cannot_be_halved_or_are_too_many_are_refused(blocks: int) -> None:
    with pytest.raises(TrainingError, match=r"must be even and from 2 to 20"):
        backtest_overfitting(noise(1), blocks=blocks)


@pytest.mark.parametrize(("days", "trials"), [(31, 5), (240, 1)])
def test_too_few_days_or_trials_are_refused(days: int, trials: int) -> None:
    with pytest.raises(TrainingError, match="need 2 trials and 32 days"):
        backtest_overfitting(noise(1, days, trials), blocks=16)


def test_return_that_is_missing_is_refused() -> None:
    returns = noise(1)
    returns[3, 3] = np.nan
    with pytest.raises(TrainingError, match="not a finite number"):
        backtest_overfitting(returns, blocks=4)
