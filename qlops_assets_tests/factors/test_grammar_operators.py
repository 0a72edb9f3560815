import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qlops_assets.factors.grammar.operators import INFIX, OPERATORS, UNSUPPORTED, Kind, Operator

NAMES = sorted(OPERATORS)
WINDOWED = sorted(name for name in OPERATORS if "days" in OPERATORS[name].parameters)


def qlib_class(name: str) -> Any:
    from qlib.data import ops

    return getattr(ops, name)


def given_series() -> Any:
    """Return a Qlib expression that gives fixed values: ten days of a price."""
    from qlib.data.base import Expression

    class Given(Expression):  # type: ignore[misc]
        def load(self, *_: object) -> pd.Series:
            return pd.Series(np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 8], dtype=np.float32))

        def get_longest_back_rolling(self) -> int:
            return 0

        def get_extended_window_size(self) -> tuple[int, int]:
            return 0, 0

        _load_internal = load

    return Given()


def computed(operator: Operator, days: int) -> pd.Series:
    """Return what Qlib computes for an operator over ten days."""
    scores = (0.5,) * (len(operator.parameters) - 1)
    expression = qlib_class(operator.name)(
        *[given_series() for _ in range(operator.operands)], days, *scores
    )
    values: pd.Series = expression._load_internal("A", 0, 9, "day")
    return values


def test_table_names_every_operator_that_qlib_registers() -> None:
    from qlib.data.ops import OpsList
    from qlib.data.pit import P, PRef

    registered = {operator.__name__ for operator in [*OpsList, P, PRef]}
    assert registered == {*OPERATORS, *UNSUPPORTED}
    assert not set(OPERATORS) & set(UNSUPPORTED)


@pytest.mark.parametrize("name", NAMES)
def test_operator_takes_as_much_as_qlibs_class(name: str) -> None:
    taken = len(inspect.signature(qlib_class(name)).parameters)
    operator = OPERATORS[name]
    assert operator.operands + len(operator.parameters) == taken


@pytest.mark.parametrize("name", [name for name in NAMES if OPERATORS[name].numpy])
def test_element_wise_operator_is_the_numpy_function_of_qlibs_class(name: str) -> None:
    operator = OPERATORS[name]
    made = qlib_class(name)(*["x", "y"][: operator.operands])
    assert operator.numpy == made.func
    assert isinstance(getattr(np, operator.numpy or ""), np.ufunc)


@pytest.mark.parametrize("symbol", sorted(INFIX))
def test_symbol_is_the_operator_that_python_calls_on_qlibs_expressions(symbol: str) -> None:
    made = eval(f"x {symbol} y", {"x": given_series(), "y": given_series()})
    assert type(made).__name__ == INFIX[symbol].name


@pytest.mark.parametrize("name", WINDOWED)
def test_shortest_window_is_the_shortest_that_qlib_computes(name: str) -> None:
    operator = OPERATORS[name]
    assert len(computed(operator, operator.smallest)) == 10
    if operator.smallest > 1:
        with pytest.raises(ValueError, match="should >="):
            computed(operator, operator.smallest - 1)


@pytest.mark.parametrize("name", WINDOWED)
def test_whole_history_is_accepted_where_qlib_computes_it(name: str) -> None:
    operator = OPERATORS[name]
    if operator.expanding:
        assert len(computed(operator, 0)) == 10
    else:
        with pytest.raises(ValueError, match="min_periods 1 must be <= window 0"):
            computed(operator, 0)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("Abs", "Abs(x)"),
        ("Mean", "Mean(x, days)"),
        ("Quantile", "Quantile(x, days, score)"),
        ("Corr", "Corr(x, y, days)"),
        ("If", "If(condition, x, y)"),
        ("Mask", "Mask(x, 'SH600000')"),
        ("ChangeInstrument", "ChangeInstrument('SH600000', x)"),
    ],
)
def test_signature_shows_how_an_operator_is_written(name: str, signature: str) -> None:
    assert OPERATORS[name].signature == signature


def test_every_kind_has_an_operator() -> None:
    assert {operator.kind for operator in OPERATORS.values()} == set(Kind)
