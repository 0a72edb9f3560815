"""Risk models against their authors' formulas and other libraries; bad covariances are refused."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.training.portfolio.risk.covariance import (
    RISK_MODELS,
    covariance,
    require_covariance,
    require_risk_model,
    structured,
)
from qlops_assets.training.portfolio.risk.returns import Floats, PastReturns
from qlops_assets.training.portfolio.strategy import RebalanceError


def random_returns(days: int = 120, names: int = 20) -> Floats:
    rng = np.random.default_rng(4)
    common = rng.normal(0, 0.01, (days, 2)) @ rng.normal(0.7, 0.3, (2, names))
    return common + rng.normal(0, 1, (days, names)) * rng.uniform(0.005, 0.02, names)


def test_shrunk_covariance_equals_that_of_scikit_learn() -> None:
    returns = random_returns()
    expected, _ = ledoit_wolf(100 * returns)
    found = covariance(returns, BacktestSettings(risk_model="shrink"))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_structured_covariance_is_of_its_principal_components() -> None:
    percent = 100 * random_returns()
    centred = percent - percent.mean(axis=0)
    model = PCA(3, random_state=0).fit(centred)
    factors = model.transform(centred)
    rest = centred - factors @ model.components_
    inner = model.components_.T @ np.cov(factors.T) @ model.components_
    found = covariance(random_returns(), BacktestSettings(risk_model="structured", risk_factors=3))
    np.testing.assert_allclose(found, inner + np.diag(rest.var(axis=0)), rtol=1e-9)


@pytest.mark.parametrize("name", RISK_MODELS)
@pytest.mark.parametrize("names", [2, 20])
def test_every_risk_model_leaves_its_input_and_gives_a_covariance(name: str, names: int) -> None:
    returns = random_returns(names=names)
    before = returns.copy()
    found = covariance(returns, BacktestSettings(risk_model=name))
    np.testing.assert_array_equal(returns, before)
    require_covariance(found)
    # Of the size of the sample's variances, in percent squared.
    ratio = np.diag(found) / (100 * returns).var(axis=0)
    assert ratio.min() > 0.3
    assert ratio.max() < 3


def test_one_factor_is_a_matrix_too() -> None:
    assert structured(random_returns(), 1).covariance.shape == (1, 1)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, np.nan], [np.nan, 1.0]], "not finite"),
        ([[1.0, 0.0], [0.0, 0.0]], "without variance"),
        ([[1.0, 2.0], [2.0, 1.0]], "not positive semi-definite: its eigenvalues are -1 to 3"),
    ],
)
def test_matrix_that_is_no_covariance_is_refused(matrix: list[list[float]], message: str) -> None:
    with pytest.raises(RebalanceError, match=message):
        require_covariance(np.array(matrix))


@pytest.mark.parametrize("name", RISK_MODELS)
def test_returns_that_no_risk_follows_from_are_refused(name: str) -> None:
    halted, broken = random_returns(), random_returns()
    halted[:, 3], broken[5, 5] = 0.0, np.nan
    chosen = BacktestSettings(risk_model=name)
    with pytest.raises(RebalanceError, match="has not moved"):
        covariance(halted, chosen)
    with pytest.raises(RebalanceError, match="not finite"):
        covariance(broken, chosen)


def test_unknown_risk_model_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"risk_model: was 'barra', must be one of shrink, "):
        require_risk_model(BacktestSettings(risk_model="barra"))


def _past(closes: list[list[float]], length: int) -> PastReturns:
    days = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-01") + len(closes))
    return PastReturns(days, ["A", "B", "C", "D"][: len(closes[0])], np.array(closes), length)


def test_window_ends_with_the_day_and_halts_are_one_move() -> None:
    nan = np.nan
    past = _past(
        [[10, 10, nan, 5], [11, 11, 9, 5], [12, nan, 9, 5], [13, 12, 8, 5], [99, 99, 99, 99]], 3
    )
    window = past.window(np.datetime64("2020-01-04"))
    assert window.codes == ["A", "B"]  # C had no price at the beginning, D never moved
    expected = [[0.1, 0.1], [1 / 11, 0.0], [1 / 12, 1 / 11]]
    np.testing.assert_allclose(window.returns, expected)
    assert window.traded.tolist() == [True, True]


def test_instrument_that_hardly_traded_is_left_out() -> None:
    nan = np.nan
    past = _past([[10, 10], [11, nan], [12, nan], [13, nan], [14, 12]], 4)
    assert past.window(np.datetime64("2020-01-05")).codes == ["A"]


def test_day_without_enough_before_it_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no trading day with 3 before it"):
        _past([[10.0], [11.0], [12.0], [13.0]], 3).window(np.datetime64("2020-01-03"))
