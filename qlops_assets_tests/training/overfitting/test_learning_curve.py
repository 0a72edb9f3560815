import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.overfitting.learning_curve import LearningCurve, learning_curve


def curve(
    train: list[float], valid: list[float], best: int, metric: str = "l2", last: int = 20
) -> LearningCurve:
    curves = {f"train.{metric}": train, f"valid.{metric}": valid}
    found = learning_curve(curves, best, last_iterations=last)
    assert found is not None
    return found


def test_gap_of_a_loss_is_how_much_lower_it_is_on_train() -> None:
    found = curve([0.9, 0.8, 0.6], [1.0, 0.96, 0.98], best=2)
    assert (found.train, found.valid) == (0.8, 0.96)
    assert found.gap == pytest.approx((0.96 - 0.8) / 0.96)
    assert found.best_share == pytest.approx(2 / 3)


def test_gap_of_an_ic_is_how_much_higher_it_is_on_train() -> None:
    found = curve([0.05, 0.20], [0.03, 0.04], best=2, metric="rank_ic")
    assert found.rises
    assert found.gap == pytest.approx((0.20 - 0.04) / 0.04)


def test_slope_equals_scipys_line_through_the_last_iterations() -> None:
    valid = list(np.random.default_rng(1).normal(1, 0.1, 50))
    found = curve([1.0] * 50, valid, best=10, last=15)
    line = scipy.stats.linregress(np.arange(15), valid[-15:])
    assert found.slope == pytest.approx(line.slope)
    assert found.last_iterations == 15
    assert found.worsening == pytest.approx(14 * line.slope / valid[9])


@pytest.mark.parametrize(
    ("metric", "values", "worsening"),
    [
        ("l2", [1.0, 1.1, 1.2], 0.2),
        ("l2", [1.2, 1.1, 1.0], -1 / 6),
        ("ic", [0.04, 0.03, 0.02], 0.5),
        ("ic", [0.02, 0.03, 0.04], -1.0),
        ("ndcg@5", [0.5, 0.4, 0.3], 0.4),
    ],
)
def test_worsening_is_a_loss_that_rises_and_an_ic_that_falls(
    metric: str, values: list[float], worsening: float
) -> None:
    assert curve([1.0] * 3, values, best=1, metric=metric).worsening == pytest.approx(worsening)


@given(
    st.lists(st.floats(0.1, 10), min_size=3, max_size=30),
    st.floats(0.01, 100),
    st.data(),
)
def test_shares_do_not_depend_on_the_scale_of_a_loss(
    valid: list[float], scale: float, data: st.DataObject
) -> None:
    best = data.draw(st.integers(1, len(valid)))
    train = [0.9 * value for value in valid]
    one = curve(train, valid, best)
    other = curve([scale * v for v in train], [scale * v for v in valid], best)
    assert other.gap == pytest.approx(one.gap)
    assert other.worsening == pytest.approx(one.worsening, abs=1e-9)


def test_first_metric_of_valid_is_the_one_that_is_read() -> None:
    curves = {"train.loss": [1.0], "valid.loss": [2.0], "valid.ic": [0.1]}
    found = learning_curve(curves, 1, last_iterations=20)
    assert found is not None
    assert found.metric == "loss"
    assert found.slope is None
    assert found.worsening is None


def test_curve_without_train_has_no_gap() -> None:
    found = learning_curve({"valid.l2": [1.0, 0.9, 0.8]}, 3, last_iterations=20)
    assert found is not None
    assert (found.train, found.gap) == (None, None)


def test_fit_that_measured_nothing_on_valid_has_no_curve() -> None:
    assert learning_curve({}, 1, last_iterations=20) is None
    assert learning_curve({"train.l2": [1.0]}, 1, last_iterations=20) is None


@pytest.mark.parametrize("best", [0, 4])
def test_iteration_that_was_never_run_is_an_error(best: int) -> None:
    with pytest.raises(TrainingError, match=f"has 3 iterations; the one that is used, {best}"):
        curve([1.0] * 3, [1.0] * 3, best)
