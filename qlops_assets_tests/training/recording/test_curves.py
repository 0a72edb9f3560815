"""Curves as metrics: Qlib's names, and of a long fit what its shape needs."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.trainings.history import Attempt, Curve
from qlops_assets.training.recording.curves import curve_metrics, qlib_name, whole_curves

AT = datetime(2024, 1, 1, tzinfo=UTC)


def attempt_with(curve: Curve) -> Attempt:
    return Attempt(1, AT, curves={"fit": curve})


def test_names_are_those_that_qlibs_models_log() -> None:
    assert qlib_name("valid.l2") == "l2.valid"
    assert qlib_name("train.ndcg@5") == "ndcg_5.train"
    assert qlib_name("lr") == "lr"


def test_attempt_without_a_fit_has_no_metrics() -> None:
    attempt = Attempt(1, AT)
    assert curve_metrics(attempt) == []
    assert whole_curves(attempt) is None


def test_short_fit_is_logged_whole_and_without_what_was_not_measured() -> None:
    curve = Curve([10, 20, 30], {"train.l2": [3.0, 2.0, 1.0], "valid.l2": [None, 5.0, None]})
    assert curve_metrics(attempt_with(curve)) == [
        ("l2.train", 3.0, 10),
        ("l2.train", 2.0, 20),
        ("l2.train", 1.0, 30),
        ("l2.valid", 5.0, 20),
    ]
    assert whole_curves(attempt_with(curve)) == {
        "stage": "fit",
        "steps": [10, 20, 30],
        "metrics": {"l2.train": [3.0, 2.0, 1.0], "l2.valid": [None, 5.0, None]},
    }


@given(length=st.integers(1001, 9000), best=st.integers(1, 1001), every=st.sampled_from([1, 7]))
def test_long_fit_keeps_its_best_and_its_last_step(length: int, best: int, every: int) -> None:
    steps = list(range(1, length + 1))
    lowest = -(-best // every) * every
    valid = [float(abs(step - lowest)) if step % every == 0 else None for step in steps]
    curve = Curve(steps, {"train.l2": [1.0] * length, "valid.l2": valid})
    logged = curve_metrics(attempt_with(curve))
    assert len(logged) <= 2 * 1002
    assert ("l2.valid", 0.0, lowest) in logged
    assert ("l2.train", 1.0, length) in logged
    by_step = {step: value for name, value, step in logged if name == "l2.valid"}
    assert all(valid[step - 1] == value for step, value in by_step.items())
    assert len(by_step) >= min(500, length // every)
    whole = whole_curves(attempt_with(curve))
    assert whole is not None
    assert whole["metrics"]["l2.valid"] == valid
