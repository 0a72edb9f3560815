"""``since``: the values of the whole computation, to the bit."""

from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.factors.engine import evaluate
from qlops_assets.factors.grammar.look_back import look_back
from qlops_assets.factors.grammar.operators import OPERATORS, Kind
from qlops_assets.factors.grammar.parser import parse
from qlops_assets_tests.support.expressions import deep_factors, different
from qlops_assets_tests.support.histories import histories
from qlops_assets_tests.support.odd_bars import DAYS, INDEX, LATE, PLAIN
from qlops_assets_tests.support.parity import assert_same_bits

_DRAWN: Final = different(deep_factors(), 200, seed=5)
_OVER: Final = ("$close", "Log($volume)", "Mean($open,3)/$close")


def _with_every_window(days: int) -> list[str]:
    """Return every window and shift operator once, over one series or another."""
    texts = []
    for number, (name, operator) in enumerate(sorted(OPERATORS.items())):
        if operator.kind not in (Kind.WINDOW, Kind.PAIR_WINDOW, Kind.SHIFT):
            continue
        if days == 0 and not operator.expanding:
            continue
        operands = [_OVER[(number + place) % 3] for place in range(operator.operands)]
        score = ["0.3"] if "score" in operator.parameters else []
        texts.append(f"{name}({', '.join([*operands, str(days), *score])})")
    return texts


def _has_an_end(text: str) -> bool:
    return look_back(parse(text)) is not None


BOUNDED: Final = [
    *filter(_has_an_end, [*_with_every_window(4), *_with_every_window(13), *_DRAWN]),
    *("$close", "$open / $close", "If($close > 20, 1, 2)", "Ref($factor, 3)"),
]
UNBOUNDED: Final = [
    *[text for text in [*_with_every_window(0), *_DRAWN] if not _has_an_end(text)],
    *("$change", "EMA($close, 5)", "EMA(Ref($volume, 2), 0.1)", "Mean(EMA($close, 9), 3)"),
]


def named(texts: list[str]) -> dict[str, str]:
    return {text: text for text in texts}


@st.composite
def some_of(draw: st.DrawFn, texts: list[str]) -> dict[str, str]:
    """Draw a few of the expressions: together they look back as far as the longest of them."""
    return named(draw(st.lists(st.sampled_from(texts), min_size=1, max_size=6, unique=True)))


def assert_since_is_the_tail(expressions: dict[str, str], bars: pl.DataFrame, since: date) -> None:
    whole = evaluate(expressions, bars)
    tail = evaluate(expressions, bars, since=since)
    assert_same_bits(tail, whole.filter(pl.col("date") >= since))


@st.composite
def days_of(draw: st.DrawFn, bars: pl.DataFrame) -> date:
    """Draw a day: the last, one of the last, any, one without bars, one before or after all."""
    calendar = bars["date"].unique().sort().to_list()
    place = draw(st.just(1) | st.integers(1, min(4, len(calendar))) | st.integers(1, len(calendar)))
    return calendar[-place] + timedelta(days=draw(st.sampled_from([0, 0, 0, 1, -1])))


def test_both_sorts_of_expressions_are_there() -> None:
    assert min(len(BOUNDED), len(UNBOUNDED)) > 50


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data(), histories())
def test_since_a_day_equals_the_tail_of_the_whole(data: st.DataObject, bars: pl.DataFrame) -> None:
    assert_since_is_the_tail(data.draw(some_of(BOUNDED)), bars, data.draw(days_of(bars)))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.data(), histories())
def test_since_a_day_equals_the_tail_where_all_history_counts(
    data: st.DataObject, bars: pl.DataFrame
) -> None:
    chosen = data.draw(some_of(UNBOUNDED)) | data.draw(some_of(BOUNDED))
    assert_since_is_the_tail(chosen, bars, data.draw(days_of(bars)))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data(), histories(most_codes=3))
def test_appending_days_leaves_earlier_rows_and_gives_the_new_ones(
    data: st.DataObject, bars: pl.DataFrame
) -> None:
    expressions = data.draw(some_of(BOUNDED))
    calendar = bars["date"].unique().sort().to_list()
    last = calendar[-data.draw(st.integers(1, min(3, len(calendar))))]
    known = bars.filter(pl.col("date") < last)
    whole = evaluate(expressions, bars)
    if known.height:
        before = evaluate(expressions, known)
        # An instrument that comes back has rows from its last day of before on.
        keys = before.select("instrument", "date")
        assert_same_bits(before, whole.join(keys, on=["instrument", "date"], how="semi"))
    new = evaluate(expressions, bars, since=last)
    assert_same_bits(new, whole.filter(pl.col("date") >= last))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data(), histories())
def test_restating_a_day_changes_no_row_before_it_and_since_gives_the_others(
    data: st.DataObject, bars: pl.DataFrame
) -> None:
    expressions = data.draw(some_of(BOUNDED))
    place = data.draw(st.integers(0, bars.height - 1))
    day = bars["date"][place]
    value = data.draw(st.sampled_from([None, 0.0, 7.5, 1e12]))
    field = data.draw(st.sampled_from(["close", "volume", "open", "vwap"]))
    here = pl.int_range(pl.len()) == place
    restated = bars.with_columns(pl.when(here).then(value).otherwise(field).alias(field))
    old, new = evaluate(expressions, bars), evaluate(expressions, restated)
    before = pl.col("date") < day
    assert_same_bits(new.filter(before), old.filter(before))
    assert_same_bits(evaluate(expressions, restated, since=day), new.filter(~before))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.data(), histories(most_codes=4))
def test_adding_an_instrument_changes_no_other(data: st.DataObject, bars: pl.DataFrame) -> None:
    expressions = data.draw(some_of(BOUNDED)) | data.draw(some_of(UNBOUNDED))
    codes = bars["instrument"].unique().sort().to_list()
    added = data.draw(st.sampled_from(codes))
    calendar = bars.filter(pl.col("instrument") != added)["date"].unique()
    own = pl.col("instrument") == added
    bars = bars.filter(~own | pl.col("date").is_in(calendar.implode()))
    fewer = bars.filter(pl.col("instrument") != added)
    if fewer.is_empty():
        return
    whole = evaluate(expressions, bars)
    assert_same_bits(evaluate(expressions, fewer), whole.filter(pl.col("instrument") != added))


@pytest.mark.parametrize("back", [1, 2, 15, 60])
def test_since_a_day_gives_the_tail_of_odd_bars(odd: pl.DataFrame, back: int) -> None:
    assert_since_is_the_tail(named(BOUNDED), odd, DAYS[80 - back])


def test_since_a_day_gives_the_tail_where_every_table_of_a_day_is_full() -> None:
    """No listing is younger than the look-back: the tables of the day before are used again."""
    rng = np.random.default_rng(2)
    price = 10 + rng.random((5, 40))
    frames = [
        pl.DataFrame({"instrument": f"I{code}", "date": DAYS[:40], "volume": 100 * price[code]})
        .with_columns(**dict.fromkeys(("open", "low", "vwap"), pl.col("volume") / 101))
        .with_columns(high=pl.col("volume") / 99, close=pl.col("volume") / 100)
        for code in range(5)
    ]
    bars = pl.concat(frames)
    short = [text for text in BOUNDED if (look_back(parse(text)) or 0) < 20]
    for day in (37, 38, 39):
        until = bars.filter(pl.col("date") <= DAYS[day])
        assert_since_is_the_tail(named(short), until, DAYS[day])


@pytest.mark.parametrize("since", [DAYS[79], DAYS[70]])
def test_since_a_day_gives_the_tail_over_another_instrument(odd: pl.DataFrame, since: date) -> None:
    texts = [
        f"$close / Mask($close, '{INDEX}')",
        f"Corr($close, Mask(Mean($close, 5), '{LATE}'), 10)",
        f"EMA(ChangeInstrument('{PLAIN}', $volume), 5) / $volume",
    ]
    for chosen in (texts[:2], texts):
        assert_since_is_the_tail(named(chosen), odd, since)


def test_since_a_day_gives_nan_for_another_instrument_that_is_gone(odd: pl.DataFrame) -> None:
    gone = {"gone": "Mask($close, 'GONE')", "mean": "$close + Mean(Mask($close, 'GONE'), 5)"}
    assert_since_is_the_tail(gone, odd, DAYS[79])


@pytest.mark.parametrize("text", ["$close", "Mean($close, 3)", "$change"])
def test_since_a_day_after_the_last_has_no_row(odd: pl.DataFrame, text: str) -> None:
    tail = evaluate({"F": text}, odd, since=DAYS[80])
    assert tail.is_empty()
    assert tail.schema == evaluate({"F": text}, odd).schema


def test_since_a_day_knows_no_factor_on_a_day_without_a_bar() -> None:
    prices = dict.fromkeys(("open", "high", "low", "close", "vwap", "volume"), pl.lit(5.0))
    rows = [("A", day) for day in (0, 2, 3)] + [("B", day) for day in range(4)]
    bars = pl.DataFrame(
        {"instrument": [code for code, _ in rows], "date": [DAYS[day] for _, day in rows]}
    ).with_columns(**prices)
    assert_since_is_the_tail({"F": "Ref($factor, 1)"}, bars, DAYS[2])


def test_since_a_day_knows_the_change_over_a_halt_longer_than_any_window() -> None:
    close = [10.0, *[None] * 30, 12.0]
    prices = dict.fromkeys(("open", "high", "low", "close", "vwap"), close)
    bars = pl.DataFrame({"instrument": "A", "date": DAYS[:32], "volume": 1.0, **prices})
    tail = evaluate({"F": "$change"}, bars, since=DAYS[31])
    assert tail["F"].to_list() == pytest.approx([0.2])


def test_labels_since_a_day_equal_the_tail_of_the_whole(odd: pl.DataFrame) -> None:
    label = {"L": "Ref($close, -2)/Ref($close, -1) - 1", "M": "Mean(Delta($close, -3), 5)"}
    whole = evaluate(label, odd, look_ahead=True)
    for since in (DAYS[79], DAYS[60]):
        tail = evaluate(label, odd, since=since, look_ahead=True)
        assert_same_bits(tail, whole.filter(pl.col("date") >= since))
