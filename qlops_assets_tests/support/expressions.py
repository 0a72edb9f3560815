"""Random factor expressions, and how Qlib's own parser reads one."""

from functools import cache
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

FIELDS = ("open", "high", "low", "close", "volume", "vwap")
WINDOWS = (
    *("Mean", "Sum", "Std", "Var", "Max", "Min", "IdxMax", "IdxMin", "Med", "Mad", "Skew", "Kurt"),
    *("Rank", "Count", "Slope", "Rsquare", "Resi", "WMA", "EMA"),
)
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


@cache
def _operators(*, of_files: bool) -> Any:
    """Return Qlib's operators; over fields that need no files where those are not wanted."""
    import numpy as np
    import pandas as pd
    from qlib.data import ops
    from qlib.data.base import Feature as Field

    class Feature(Field):  # type: ignore[misc]
        """A field with thirty random days of its own."""

        def _load_internal(self, *_: object) -> pd.Series:
            seed = sum(self._name.encode())
            values = np.random.default_rng(seed).lognormal(1, 0.2, 30).astype(np.float32)
            return pd.Series(values)

    operators = ops.OpsWrapper()
    others = [operator for operator in ops.OpsList if operator is not Field]
    operators.register([*others, Field if of_files else Feature])
    return operators


def _expression(text: str, *, of_files: bool) -> Any:
    from qlib.utils import parse_field

    return eval(parse_field(text), {"Operators": _operators(of_files=of_files)})


def qlib_reads(text: str) -> str:
    """Return the tree that Qlib makes of an expression, operators by name, as Qlib prints it."""
    return str(_expression(text, of_files=True))


def qlib_computes(text: str) -> Any:
    """Return the series that Qlib computes for an expression over thirty random days."""
    import numpy as np
    from qlib.data.cache import H

    H.clear()
    with np.errstate(all="ignore"):
        return _expression(text, of_files=False).load("A", 0, 29, "day")


def fields() -> st.SearchStrategy[str]:
    return st.sampled_from(FIELDS).map("${}".format)


def constants() -> st.SearchStrategy[str]:
    return st.sampled_from(["1", "2", "3", "10", "0.5", "1.5", "2.0", "1e-12", "100"])


def factors(*, longest: int = 30, leaves: int = 8) -> st.SearchStrategy[str]:
    """Draw expressions that Qlib can compute, by every operator but those of other instruments.

    Args:
        longest: The longest window.
        leaves: Roughly how many fields.
    """
    return st.recursive(fields(), lambda inner: _series(inner, longest), max_leaves=leaves)


def _series(inner: st.SearchStrategy[str], longest: int) -> st.SearchStrategy[str]:
    days = st.integers(4, longest).map(str)
    either = inner | constants()
    condition = conditions(inner)
    return st.one_of(
        _written("{} {} {}", inner, arithmetic(), either),
        _written("({} {} {})", inner, arithmetic(), inner),
        _written("({} {} {})", constants(), arithmetic(), inner),
        _written("{}({})", st.sampled_from(["Abs", "Sign", "Log"]), inner),
        _written("{}({}, {})", st.sampled_from(["Greater", "Less"]), inner, either),
        _written("{}({}, {})", st.sampled_from(WINDOWS), inner, days),
        _written("{}({},{})", st.sampled_from(["Ref", "Delta"]), inner, days),
        _written("Quantile({}, {}, {})", inner, days, st.sampled_from(["0", "0.2", "0.8", "1"])),
        _written("{}({}, {}, {})", st.sampled_from(["Corr", "Cov"]), inner, inner, days),
        _written("If({}, {}, {})", condition, inner, either),
        _written("Mean({}, {})", condition, days),
    )


def mixtures() -> st.SearchStrategy[str]:
    """Draw expressions that have numbers, whole numbers and conditions in any place."""
    symbols = st.sampled_from([*COMPARISONS, "+", "-", "*", "/", "**", "&", "|"])
    numbers = st.sampled_from(["0", "1", "2", "-1", "0.5", "-1.0"])

    def around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        either = inner | numbers
        return st.one_of(
            _written("({} {} {})", either, symbols, either),
            _written("If({}, {}, {})", inner, either, either),
            _written("{}({})", st.sampled_from(["Not", "Abs", "Sign", "Log"]), inner),
            _written("{}({}, {})", st.sampled_from(["Greater", "Less"]), either, either),
            _written("{}({}, {})", st.sampled_from(["Ref", "Delta", "Slope", "Max"]), inner, days),
            _written("Corr({}, {}, 4)", inner, inner),
        )

    days = st.sampled_from(["0", "1", "4"])
    return st.recursive(st.sampled_from(["$close", "($close > $open)"]), around, max_leaves=5)


def arithmetic() -> st.SearchStrategy[str]:
    return st.sampled_from(["+", "-", "*", "/"])


def conditions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = _written("({} {} {})", inner, st.sampled_from(COMPARISONS), inner | constants())
    return st.one_of(
        one,
        _written("({} {} {})", one, st.sampled_from(["&", "|"]), one),
        _written("Not({})", one),
    )


def _written(form: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda drawn: form.format(*drawn))


def deep_factors(depth: int = 4) -> st.SearchStrategy[str]:
    """Draw expressions of several levels, of both engines' operators, windows and fields.

    Besides what :func:`factors` has: powers, the shortest windows, the whole history, windows
    longer than most histories, and windows over conditions.
    """
    leaves = st.sampled_from([*map("${}".format, FIELDS), "$change", "$factor"])
    inner = leaves
    for _ in range(depth):
        inner = st.one_of(leaves, _deep(inner), _deep(inner), _deep(inner))
    return inner


def _deep(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    either = st.one_of(inner, inner, constants())
    condition = conditions(inner)
    counted = ("Mean", "Sum", "Std", "Count", "IdxMax", "Max", "Slope")
    return st.one_of(
        *[_windowed(name, inner) for name in (*WINDOWS, "Ref", "Delta", "Quantile")],
        *[_windowed(name, inner, inner) for name in ("Corr", "Cov")],
        st.sampled_from(counted).flatmap(lambda name: _windowed(name, condition)),
        *[_written(f"({{}} {symbol} {{}})", inner, either) for symbol in "+-*/"],
        _written("({} {} {})", constants(), arithmetic(), inner),
        _written("({} ** {})", inner, st.sampled_from(["0.5", "2.0", "-1.0", "3"])),
        _written("{}({})", st.sampled_from(["Abs", "Sign", "Log"]), inner),
        _written("{}({}, {})", st.sampled_from(["Greater", "Less"]), inner, either),
        _written("If({}, {}, {})", condition, inner, either),
    )


def _windowed(name: str, *operands: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    from qlops_assets.factors.grammar.operators import OPERATORS

    operator = OPERATORS[name]
    # Qlib's own Cov over the whole history fails where nothing is around it.
    whole = [0] if operator.expanding and name != "Cov" else []
    shares = [0.1, 0.9] if name == "EMA" else []
    special = [5, 10, 20, 60, 250, operator.smallest, *whole, *shares]
    days = st.integers(max(operator.smallest, 3), 30) | st.sampled_from(special)
    parameters = [days, st.sampled_from([0, 0.3, 0.8, 1])][: len(operator.parameters)]
    form = ", ".join(["{}"] * (len(operands) + len(parameters)))
    return _written(f"{name}({form})", *operands, *parameters)


def different(strategy: st.SearchStrategy[str], count: int, seed: int = 0) -> list[str]:
    """Return so many different expressions of a strategy; the same ones for the same seed."""
    drawn: dict[str, None] = {}

    @hypothesis.seed(seed)
    @settings(
        max_examples=2 * count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(text: str) -> None:
        drawn[text] = None

    draw()
    assert len(drawn) >= count
    return list(drawn)[:count]
