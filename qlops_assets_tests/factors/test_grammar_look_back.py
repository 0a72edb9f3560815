from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.alpha158_names import ALPHA158_LOOK_BACK_DAYS
from qlops_assets.factors.grammar.look_back import fields, instruments, look_ahead, look_back
from qlops_assets.factors.grammar.operators import OPERATORS, Kind
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.qlib_engine import QlibEngine

ROWS, ROW = 16, 12  # the length of each history, and the row that is looked at

# Operators over a window of five days that an extreme value on any day of it always changes.
WINDOWS = [
    f"{operator.name}($close, 5)"
    for operator in OPERATORS.values()
    if operator.kind is Kind.WINDOW and operator.name not in {"EMA", "Quantile", "Count"}
]
REACHES = {
    **dict.fromkeys(WINDOWS, (4, 0)),
    "$close": (0, 0),
    "$close/$open - 1": (0, 0),
    "Quantile($close, 5, 0.8)": (4, 0),
    "Corr($close, $open, 5)": (4, 0),
    "Cov($open, Ref($close, 2), 5)": (6, 0),
    "Ref($close, 7)": (7, 0),
    "Delta($close, 7)": (7, 0),
    "Mean($close, 1)": (0, 0),
    "Ref(Mean($close, 5), 3)": (7, 0),
    "Mean(Ref($close, 3), 5)": (7, 0),
    "Delta(Mean($close, 4), 3)": (6, 0),
    "Mean($close, 5) - Mean($close, 10)": (9, 0),
    "Sum(Greater($close - Ref($close, 1), 0), 5)/Sum(Abs($close - Ref($close, 1)), 5)": (5, 0),
    "Corr($close/Ref($close, 1), Log($open/Ref($open, 1) + 1), 5)": (5, 0),
    "If($close > 1e9, Mean($close, 3), Ref($close, 6))": (6, 0),
    "Ref($close, -2)/Ref($close, -1) - 1": (0, 2),
    "Delta($close, -3)": (0, 3),
    "Ref(Mean($close, 5), -2)": (2, 2),
    "Mean($close, 4) + Ref($close, -2)": (3, 2),
}


def perturbed(days: int) -> pl.DataFrame:
    """Return one history, and for each other row of it and each direction one that differs there.

    An instrument is named by how many days after the row that is looked at it was changed.
    """
    rng = np.random.default_rng(5)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, days)))
    opened = close * np.exp(rng.normal(0, 0.01, days))
    calendar = [date(2024, 1, 1) + timedelta(n) for n in range(days)]
    frames = []
    for changed in (None, *range(days)):
        for word, factor in (("UP", 4.0), ("DOWN", 0.25)):
            name = "BASE" if changed is None else f"{word}{changed:02}"
            values = close.copy()
            if changed is not None:
                values[changed] *= factor
            columns = {"open": opened, "high": values, "low": values, "close": values}
            frame = pl.DataFrame({"instrument": name, "date": calendar, **columns})
            frames.append(frame.with_columns(pl.lit(1e6).alias("volume")))
    return pl.concat(frames).unique(["instrument", "date"]).sort("instrument", "date")


@pytest.fixture(scope="module")
def seen() -> dict[str, list[int]]:
    """Return for each expression the rows, after the one looked at, that Qlib's value reads."""
    names = {f"F{n}": text for n, text in enumerate(REACHES)}
    day = date(2024, 1, 1) + timedelta(ROW)
    frame = QlibEngine().evaluate(names, perturbed(ROWS)).filter(pl.col("date") == day)
    base = frame.row(by_predicate=pl.col("instrument") == "BASE", named=True)
    rows: dict[str, list[int]] = {}
    for name, text in names.items():
        values = frame.get_column(name).to_numpy()
        differ = ~np.isclose(values, base[name], rtol=1e-4, atol=1e-6, equal_nan=True)
        changed = frame.filter(pl.Series(differ)).get_column("instrument").str.slice(-2)
        rows[text] = sorted({int(row) - ROW for row in changed})
    return rows


@pytest.mark.parametrize("text", REACHES)
def test_reach_is_that_of_the_rows_which_change_qlibs_value(
    text: str, seen: dict[str, list[int]]
) -> None:
    back, ahead = REACHES[text]
    tree = parse(text, look_ahead=True)
    assert (look_back(tree), look_ahead(tree)) == (back, ahead)
    assert (max(0, -min(seen[text])), max(0, *seen[text])) == (back, ahead)


@pytest.mark.parametrize(
    "text",
    [
        *("EMA($close, 5)", "EMA($close, 0.5)", "Mean($close, 0)", "Ref($close, 0)"),
        *("Delta($close, 0)", "Cov($close, $open, 0)", "Mean(EMA($close, 5), 3)", "Count($low, 0)"),
        *("Ref(Mean($close, 0), 2)", "$close - Ref($close, 0)", "If($low > 1, EMA($low, 3), 1)"),
    ],
)
def test_look_back_of_what_reads_all_history_is_unbounded(text: str) -> None:
    assert look_back(parse(text)) is None


def test_look_back_of_whole_history_with_look_ahead_keeps_the_look_ahead() -> None:
    tree = parse("Ref(Mean($close, 0), -2)", look_ahead=True)
    assert (look_back(tree), look_ahead(tree)) == (None, 2)


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        # The mean of the days 3, 4 and 5 ahead has its inputs on this row and two before it.
        ("Mean(Ref($close, -5), 3)", (2, 5)),
        # The price 3 days ago stands, shifted, on the row 5 days ago.
        ("Ref(Ref($close, -2), 5)", (5, 0)),
        ("Ref(Ref($close, 5), -2)", (3, 2)),
    ],
)
def test_rows_of_what_lies_between_are_counted(text: str, reach: tuple[int, int]) -> None:
    tree = parse(text, look_ahead=True)
    assert (look_back(tree), look_ahead(tree)) == reach


def test_longest_look_back_of_alpha158_is_the_declared_one() -> None:
    reaches = [look_back(parse(text)) for text in alpha158_expressions().values()]
    assert None not in reaches
    assert max(reach or 0 for reach in reaches) == ALPHA158_LOOK_BACK_DAYS == 60


def test_fields_are_those_of_the_expression_in_lower_case() -> None:
    assert fields(parse("Mean($Close, 5)/$VOLUME + Corr($open, $close, 9)")) == {
        *("close", "volume", "open")
    }


def test_fields_of_alpha158_are_prices_and_volume() -> None:
    read = frozenset[str]().union(*(fields(parse(t)) for t in alpha158_expressions().values()))
    assert read == {"open", "high", "low", "close", "volume", "vwap"}


def test_instruments_are_those_that_the_expression_names() -> None:
    text = "Corr($close, ChangeInstrument('sh000300', $close), 20) - Mask($open, 'SPY')"
    assert instruments(parse(text)) == {"SH000300", "SPY"}
    assert instruments(parse("$close")) == frozenset()


def test_look_back_of_the_widest_expression_needs_no_stack() -> None:
    text = "$a" + "+$a" * 99
    assert look_back(parse(f"Mean({'(' * 90}{text[: -len('+$a') * 5]}{')' * 90}, 5)")) == 4
