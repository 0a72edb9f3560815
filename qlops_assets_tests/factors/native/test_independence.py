"""A value depends on its own expression and its own instrument's bars, and on nothing else."""

from typing import Final

import polars as pl
import pytest

from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.engine import evaluate
from qlops_assets.factors.native import program
from qlops_assets.factors.native.engine import NativeEngine
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.support.expressions import deep_factors, different
from qlops_assets_tests.support.market import LATE, LEFT_OUT, market_days
from qlops_assets_tests.support.odd_bars import DAYS, PLAIN, odd_bars
from qlops_assets_tests.support.parity import assert_same_bits

TEXTS: Final = {text: text for text in different(deep_factors(), 150, seed=9)}


@pytest.fixture(scope="module")
def whole(odd: pl.DataFrame) -> pl.DataFrame:
    return evaluate(TEXTS, odd)


def test_values_are_the_same_alone_and_among_others(odd: pl.DataFrame, whole: pl.DataFrame) -> None:
    for text in TEXTS:
        alone = evaluate({text: text}, odd)
        assert_same_bits(alone, whole.select("instrument", "date", text))


def test_values_are_the_same_in_any_order_of_expressions(
    odd: pl.DataFrame, whole: pl.DataFrame
) -> None:
    backwards = evaluate(dict(reversed(TEXTS.items())), odd)
    assert backwards.columns == ["instrument", "date", *reversed(TEXTS)]
    assert_same_bits(backwards.select(whole.columns), whole)


def test_two_names_of_one_expression_have_one_value(odd: pl.DataFrame) -> None:
    frame = evaluate({"A": "Mean($close, 5)", "B": "Mean($close,5)", "C": "$close"}, odd)
    qlib = evaluate({"A": "Mean($close, 5)", "B": "Mean($close,5)"}, odd, engine="qlib")
    assert frame["A"].equals(frame["B"].alias("A"))
    assert qlib["A"].equals(qlib["B"].alias("A"))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_values_are_the_same_on_any_number_of_threads(
    whole: pl.DataFrame, odd: pl.DataFrame, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_CHUNK", 100)  # so few rows would be one thread's otherwise
    for _ in range(3):
        assert_same_bits(NativeEngine(threads=threads).evaluate(TEXTS, odd), whole)


def test_values_are_the_same_wherever_an_instrument_stands(
    odd: pl.DataFrame, whole: pl.DataFrame
) -> None:
    renamed = odd.with_columns(pl.lit("ZZZ").alias("instrument")).filter(odd["instrument"] == PLAIN)
    frame = evaluate(TEXTS, pl.concat([odd, renamed]))
    assert_same_bits(frame.filter(pl.col("instrument") != "ZZZ"), whole)
    last = frame.filter(instrument="ZZZ").with_columns(instrument=pl.lit(PLAIN))
    assert_same_bits(last, whole.filter(instrument=PLAIN))


@pytest.mark.parametrize("seed", [1, 2])
def test_values_are_the_same_in_any_order_of_rows(
    odd: pl.DataFrame, whole: pl.DataFrame, seed: int
) -> None:
    shuffled = odd.sample(fraction=1.0, shuffle=True, seed=seed)
    assert_same_bits(evaluate(TEXTS, shuffled), whole)
    since = DAYS[75]
    tail = evaluate(TEXTS, shuffled, since=since)
    assert_same_bits(tail, whole.filter(pl.col("date") >= since))


def test_values_are_the_same_in_any_order_of_columns(
    odd: pl.DataFrame, whole: pl.DataFrame
) -> None:
    frame = odd.select(reversed(odd.columns)).with_columns(note=pl.lit("x"))
    assert_same_bits(evaluate(TEXTS, frame), whole)


def test_values_of_alpha158_are_the_same_one_instrument_at_a_time(odd: pl.DataFrame) -> None:
    expressions = alpha158_expressions()
    whole = evaluate(expressions, odd)
    # The calendar is that of all bars: one without a hole stays as it is without the others.
    codes = odd.group_by("instrument").len().filter(len=80)["instrument"].sort().to_list()
    assert len(codes) > 5
    for code in codes:
        own = odd.filter(instrument=code)
        assert_same_bits(evaluate(expressions, own), whole.filter(instrument=code))


def test_values_are_the_same_in_the_second_of_two_calls(
    odd: pl.DataFrame, whole: pl.DataFrame
) -> None:
    """What one computation leaves in memory is not seen by the next, of another shape or day."""
    other = odd_bars(seed=8, days=DAYS[:30])
    first = evaluate(TEXTS, other)
    assert_same_bits(evaluate(TEXTS, odd), whole)
    assert_same_bits(evaluate(TEXTS, other), first)
    bounded = {"F": "Quantile($close, 7, 0.3) + Corr($open, $volume, 9)"}
    for bars, last in ((odd, DAYS[79]), (other, DAYS[29]), (odd, DAYS[79])):
        tail = evaluate(bounded, bars, since=last)
        assert_same_bits(tail, evaluate(bounded, bars).filter(pl.col("date") >= last))


def test_given_bars_are_not_changed(odd: pl.DataFrame) -> None:
    before = odd.clone()
    evaluate(TEXTS, odd)
    evaluate(TEXTS, odd, since=DAYS[79])
    assert odd.equals(before, null_equal=True)


def test_float32_and_whole_number_columns_give_the_values_of_float64(odd: pl.DataFrame) -> None:
    narrow = odd.with_columns(pl.selectors.float().cast(pl.Float32))
    wide = narrow.with_columns(pl.selectors.float().cast(pl.Float64))
    expressions = {text: text for text in TEXTS if "$change" not in text}
    assert_same_bits(evaluate(expressions, narrow), evaluate(expressions, wide))
    whole = wide.with_columns(pl.col("volume").cast(pl.Int64))
    assert_same_bits(evaluate(expressions, whole), evaluate(expressions, wide))


def test_from_lake_gives_what_evaluate_gives(few: Settings) -> None:
    days = market_days()
    bars = bars_dataset(few).read()
    bounded = {"M": "Mean($close, 5)", "I": "IdxMax($high, 20)", "S": "Std($volume, 9) / $volume"}
    for expressions in (bounded, bounded | {"E": "EMA($close, 5)", "C": "$change"}):
        whole = evaluate(expressions, bars)
        engine = NativeEngine()
        assert_same_bits(pl.concat(list(engine.from_lake(few, expressions))), whole)
        # The days left out by the source end with the 201st.
        for first, last in ((100, 120), (195, 204), (205, 205), (419, 419)):
            asked = pl.col("date").is_between(days[first], days[last])
            part = engine.from_lake(few, expressions, first=days[first], last=days[last])
            assert_same_bits(pl.concat(list(part)), whole.filter(asked))
    assert {LATE, LEFT_OUT} <= set(whole["instrument"])
