"""Parts of Qlib's simulation that we say in fewer steps, beside Qlib's own."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.training.exchange.daily_metrics import daily_metrics
from qlops_assets.training.exchange.position import is_close, ordered_position

AMOUNTS = st.floats(allow_nan=False, allow_infinity=False)
DAYS = pd.DatetimeIndex(["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-10"])


@given(number=AMOUNTS, other=AMOUNTS, near=st.booleans(), gap=st.floats(-3e-5, 3e-5))
def test_is_close_says_of_numbers_what_numpy_says(
    number: float, other: float, near: bool, gap: float
) -> None:
    other = number * (1 + gap) if near else other
    with np.errstate(over="ignore"):
        if np.isfinite(other) and np.isfinite(number - other):
            assert is_close(number, other) == np.isclose(number, other)
            assert is_close(np.float64(number), np.float64(other)) == np.isclose(number, other)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_finite_number_is_close_to_nothing(number: float) -> None:
    assert not is_close(number, 1.0)
    assert not is_close(1.0, number)
    assert not is_close(number, number)


def metrics(kind: Any, bench: Any) -> Any:
    return kind(freq="day", benchmark_config={"benchmark": bench})


@given(
    returns=st.lists(
        st.one_of(st.just(np.nan), st.floats(-1, 1)), min_size=len(DAYS), max_size=len(DAYS)
    ),
    first=st.integers(0, 10),
    hours=st.integers(0, 24 * 9),
    shuffled=st.booleans(),
)
def test_return_of_the_benchmark_in_any_window_is_qlibs(
    returns: list[float], first: int, hours: int, shuffled: bool
) -> None:
    from qlib.backtest.report import PortfolioMetrics

    bench = pd.Series(returns, DAYS)
    bench = bench.iloc[::-1] if shuffled else bench
    start = pd.Timestamp("2020-01-01") + pd.Timedelta(days=first)
    window = (start, start + pd.Timedelta(hours=hours))
    ours, theirs = (metrics(kind, bench) for kind in (daily_metrics(), PortfolioMetrics))
    found, expected = (m._sample_benchmark(m.bench, *window) for m in (ours, theirs))
    assert float(found).hex() == float(expected).hex()


def test_benchmark_may_be_missing() -> None:
    ours = metrics(daily_metrics(), None)
    assert ours._sample_benchmark(None, DAYS[0], DAYS[0]) is None


@pytest.mark.parametrize("settle", [None, "cash"])
@pytest.mark.parametrize("share", [1.0, 1 + 5e-6, 0.5])
def test_sale_leaves_what_qlibs_position_leaves(settle: str | None, share: float) -> None:
    from qlib.backtest.position import Position

    states = []
    for kind in (ordered_position(), Position):
        held = kind(cash=1000.0, position_dict={"A": {"amount": 300.0, "price": 7.1}})
        if settle:
            held.settle_start(settle)
        held._sell_stock("A", 300.0 * share * 7.3, 5.0, 7.3)
        states.append(held.position)
    assert states[0] == states[1]
    assert ("A" in states[0]) == (share == 0.5)


def test_sale_of_what_is_not_held_or_too_much_is_an_error_as_qlibs() -> None:
    held = ordered_position()(cash=0.0, position_dict={"A": {"amount": 1.0, "price": 1.0}})
    with pytest.raises(KeyError, match="B not in current position"):
        held._sell_stock("B", 1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"only have 1\.0 A, require 2\.0"):
        held._sell_stock("A", 2.0, 0.0, 1.0)
