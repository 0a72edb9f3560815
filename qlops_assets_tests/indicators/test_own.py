"""The user's own indicators: their values, against the formulas in Polars; what is refused."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from qlops_assets.core.columns import FIELDS, KEY
from qlops_assets.core.errors import IndicatorError
from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.own import (
    OwnIndicator,
    own_look_back,
    require_usable,
)
from qlops_assets.indicators.reads import bar_columns
from qlops_assets_tests.support.indicator_bars import assert_same_bits, walks

WALKS = walks(31, (90, 1, 40, 60), halted=0.1)


def own(**texts: str) -> dict[str, OwnIndicator]:
    return {name: OwnIndicator(name, text) for name, text in texts.items()}


def values(bars: pl.DataFrame, **texts: str) -> pl.DataFrame:
    return indicators(bars, [], own=own(**texts))


def refused(**texts: str) -> IndicatorError:
    with pytest.raises(IndicatorError) as caught:
        require_usable(own(**texts))
    return caught.value


def assert_near(found: pl.Series, expected: pl.Series) -> None:
    """Expressions are computed from floats of four bytes, as Qlib's are."""
    missing = expected.is_null() | expected.is_nan()
    assert found.is_null().equals(missing.fill_null(value=True))
    assert found.drop_nulls().to_numpy() == pytest.approx(
        expected.filter(~missing).to_numpy(), rel=2e-5, abs=2e-5
    )


# Values.


def by_instrument(value: pl.Expr) -> pl.Expr:
    return value.over("instrument")


CLOSE, HIGH, LOW = pl.col("close"), pl.col("high"), pl.col("low")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("($high-$low)/$close", (HIGH - LOW) / CLOSE),
        # Rows are days: of a day without trading the value before it is missing too.
        ("$close/Ref($close,5)-1", CLOSE / by_instrument(CLOSE.shift(5)) - 1),
        ("$rsi_14", pl.col("rsi_14")),
        ("$RSI_14/100", pl.col("rsi_14") / 100),
        ("$rsi_14-Ref($rsi_14,3)", pl.col("rsi_14") - by_instrument(pl.col("rsi_14").shift(3))),
        ("$close-$bbands_20_2p5_lower", CLOSE - pl.col("bbands_20_2p5_lower")),
        ("$macd_5_35_5_hist+$sma_5*0", pl.col("macd_5_35_5_hist") + pl.col("sma_5") * 0),
        # An indicator of ours whose name begins with that of a field.
        ("$vwap_5-$close", pl.col("vwap_5") - CLOSE),
    ],
)
def test_expression_over_bars_and_indicators_is_that_of_polars(
    text: str, expected: pl.Expr
) -> None:
    bars = walks(32, (90, 1, 60), halted=0.1)
    bars = padded(bars)
    read = ["rsi_14", "bbands_20_2p5_lower", "macd_5_35_5_hist", "sma_5", "vwap_5"]
    frame = bars.hstack(indicators(bars, read).drop(KEY))
    found = values(bars, mine=text)
    assert found.columns == [*KEY, "mine"]
    assert_near(found["mine"], frame.select(expected).to_series())


def padded(bars: pl.DataFrame) -> pl.DataFrame:
    """Return bars of which each instrument begins on the first day, as ``Ref`` counts days."""
    return (
        bars.with_columns(pl.int_range(pl.len()).over("instrument").alias("day"))
        .with_columns(
            (pl.date(2021, 1, 1) + pl.duration(days=pl.col("day"))).cast(pl.Date).alias("date")
        )
        .drop("day")
    )


def test_chain_is_computed_in_its_order_whatever_order_it_was_written_in() -> None:
    found = values(
        WALKS,
        third="$second*2",
        second="$first+$rsi_6",
        first="$close-$open",
        alone="$high/$low",
        fourth="$third-$first",
    )
    assert found.columns == [*KEY, "third", "second", "first", "alone", "fourth"]
    frame = WALKS.hstack(indicators(WALKS, ["rsi_6"]).drop(KEY))
    first = CLOSE - pl.col("open")
    second = first + pl.col("rsi_6")
    for name, expected in {
        "first": first,
        "second": second,
        "third": second * 2,
        "fourth": second * 2 - first,
        "alone": HIGH / LOW,
    }.items():
        assert_near(found[name], frame.select(expected).to_series())
    assert list(require_usable(own(b="$a+1", a="$close*1"))) == ["a", "b"]


def test_values_that_are_not_finite_are_missing() -> None:
    found = values(WALKS, zero="1/($close-$close)", root="Log($open-$open-1)")
    assert found.drop(KEY).select(pl.all().count()).row(0) == (0, 0)
    assert found["zero"].dtype == pl.Float64


def test_own_ones_come_after_ours_since_a_day_as_in_the_whole() -> None:
    mine = own(gap="$rsi_14-Ref($rsi_14,3)", smooth="EMA($close,9)")
    names = ["sma_5", "mom_10"]
    whole = indicators(WALKS, names, own=mine)
    assert whole.columns == [*KEY, *names, *mine]
    for since in (date(2020, 1, 1), date(2020, 3, 4), date(2030, 1, 1)):
        part = indicators(WALKS, names, own=mine, since=since)
        assert_same_bits(part, whole.filter(pl.col("date") >= since))


def test_rows_that_a_source_leaves_out_are_missing_days_and_get_no_row() -> None:
    gap = pl.col("date").is_between(date(2020, 3, 2), date(2020, 3, 6))
    bars = walks(33, (80, 80)).filter(~(gap & (pl.col("instrument") == "SH600001")))
    found = values(bars, back="$close/Ref($close,1)")
    assert found.select(KEY).equals(bars.select(KEY))
    after = (pl.col("instrument") == "SH600001") & (pl.col("date") > date(2020, 3, 6))
    assert found.filter(after)["back"][0] is None  # the day before has no row
    assert found.filter(after)["back"][1] is not None


@pytest.mark.parametrize(
    "dtype",
    [pl.Categorical, pl.Enum(["SH600003", "SH600002", "SH600001", "SH600000"])],
    ids=["categorical", "enum in another order"],
)
def test_instruments_may_be_words_of_an_enumeration(dtype: Any) -> None:
    texts = {"gap": "$rsi_6-$open", "other": "Mask($close, 'SH600002')"}
    found = values(WALKS.with_columns(pl.col("instrument").cast(dtype)), **texts)
    assert_same_bits(
        found.with_columns(pl.col("instrument").cast(pl.String)), values(WALKS, **texts)
    )


def test_columns_of_a_frame_that_are_no_fields_are_not_read() -> None:
    more = WALKS.with_columns(rsi_6=pl.lit(3.0), gap=pl.lit(4.0), instrument_name=pl.lit("x"))
    assert_same_bits(values(more, gap="$rsi_6-$open"), values(WALKS, gap="$rsi_6-$open"))


def test_frame_without_rows_gives_a_frame_without_rows() -> None:
    found = values(WALKS.clear(), gap="$rsi_6-$open", top="$gap+1")
    assert (found.height, found.columns) == (0, [*KEY, "gap", "top"])


def test_frame_that_is_none_of_bars_is_refused_before_anything_is_computed() -> None:
    for bars in (WALKS.drop("open"), WALKS.reverse()):
        with pytest.raises(IndicatorError, match=r"^bars frame: "):
            values(bars, gap="$open-$close")


def test_field_that_the_bars_lack_is_named() -> None:
    with pytest.raises(IndicatorError, match=r"own indicator mine: reads \$vwap, which the bars"):
        values(WALKS, mine="$vwap/$close")
    with_vwap = WALKS.with_columns(vwap=pl.col("close") * 2)
    assert_near(
        values(with_vwap, mine="$vwap/$close")["mine"], WALKS.select(CLOSE * 0 + 2).to_series()
    )


def test_instrument_without_bars_is_named() -> None:
    with pytest.raises(IndicatorError, match="own indicator mine: found instrument 'SH999999'"):
        values(WALKS, mine="Mask($close, 'SH999999')")


# What is refused.


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("rsi_14", "$close", "is the name of an indicator of ours"),
        ("bbands", "$close", "is the name of an indicator of ours"),
        ("macd_5_35_5_hist", "$close", "is the name of an indicator of ours"),
        ("close", "$close", "is the name of a field, the label or a set"),
        ("change", "$close", "is the name of a field, the label or a set"),
        ("label0", "$close", "is the name of a field, the label or a set"),
        ("custom", "$close", "is the name of a field, the label or a set"),
        ("indicators", "$close", "is the name of a field, the label or a set"),
        ("date", "$close", "is the name of the key"),
        ("Mine", "$close", "is no name of an indicator; a name has 1 to 64 small letters"),
        ("with space", "$close", "is no name of an indicator"),
        ("1st", "$close", "is no name of an indicator"),
        ("", "$close", "is no name of an indicator"),
        ("x" * 65, "$close", "is no name of an indicator"),
        ("мой", "$close", "is no name of an indicator"),
        ("mine", "Ref($close,-1)", "Ref by -1 looks 1 days ahead"),
        ("mine", "Ref($rsi_14,-2)", "Ref by -2 looks 2 days ahead"),
        ("mine", "$clsoe/1", "character 1: unknown field '$clsoe'; did you mean '$close'?"),
        ("mine", "$close+$rsj_14", "character 8: unknown field '$rsj_14'; did you mean '$rsi_14'?"),
        ("mine", "$qqqq", "the fields are $open, $high, $low, $close, $volume, $vwap, $factor"),
        ("mine", "$rsi_1", "character 1: $rsi_1: its days is 1; must be a whole number from 2"),
        ("mine", "$macd_30", "$macd_30: fast is 30, must be less than slow"),
        ("mine", "Maen($close,5)", "did you mean 'Mean'?"),
        ("mine", "", "the expression is empty"),
        ("mine", "$close + ", "character"),
        ("mine", "()", "character"),
        ("mine", "package.module:", "'package.module:' is no Python function"),
        ("mine", "package:one:two", "is no Python function; write package.module:function"),
        ("mine", "__import__('os')", "character"),
    ],
)
def test_own_indicator_that_cannot_be_used_is_refused_with_its_place(
    name: str, text: str, found: str
) -> None:
    error = refused(**{"good": "$close*1", name: text})
    assert str(error).startswith(f"own indicator {name}: ")
    assert found in str(error)


def test_error_of_an_expression_marks_the_character() -> None:
    error = refused(mine="$close/Ref($clsoe,10)")
    assert error.excerpt == "  $close/Ref($clsoe,10)\n             ^"
    assert str(error).endswith(error.excerpt)


def test_hint_knows_ones_own_indicators() -> None:
    assert "did you mean '$momentum'?" in str(refused(momentum="$close*1", mine="$momentun+1"))


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"a": "$a+1"}, "own indicator a: depends on itself: a → a"),
        ({"a": "$b+1", "b": "$a+1"}, "depends on itself: a → b → a"),
        ({"z": "$a*2", "a": "$b*1", "b": "$a*1"}, "own indicator a: depends on itself: a → b → a"),
        ({"ok": "$close*1", "a": "$ok+$b", "b": "$ok+$a"}, "depends on itself: a → b → a"),
    ],
)  # fmt: skip
def test_cycle_is_refused_and_shown(texts: dict[str, str], found: str) -> None:
    assert found in str(refused(**texts))


# Look-back and columns.


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("$close*1", 0),
        ("Ref($close,5)", 5),
        ("Mean($close,5)", 4),
        ("$sma_20", 19),
        ("Ref($sma_20,3)", 22),
        ("$sma_20-$mom_30", 30),
        ("$ichimoku_senkou_b", 77),
        ("$rsi_14", None),
        ("EMA($close,5)", None),
        ("$slow+1", 7),
        ("Ref($slower,1)", 7 + 10 + 1),
        ("$forever*1", None),
        ("Ref($change,1)", None),
    ],
)
def test_look_back_of_a_chain_adds_up(text: str, days: int | None) -> None:
    others = own(slow="Ref($close,7)", slower="Ref($slow,10)", forever="$rsi_6+$close")
    assert own_look_back({**others, **own(mine=text)}, "mine") == days


@pytest.mark.parametrize("text", ["$sma_5-Ref($roc_5,4)", "Std($first,6)", "$vwap_5+$willr_14"])
def test_bars_further_back_than_the_look_back_have_no_influence(text: str) -> None:
    bars = walks(34, (80,))
    mine = own(first="$close-Ref($close,2)", mine=text)
    reach = own_look_back(mine, "mine")
    assert reach is not None
    place = pl.int_range(pl.len())
    for further, same in ((1, True), (0, False)):
        old = place <= bars.height - 1 - reach - further
        other = bars.with_columns(
            pl.when(old).then(pl.col(name) * 1.3).otherwise(pl.col(name)).alias(name)
            for name in ("open", "high", "low", "close", "volume")
        )
        found, before = (indicators(b, [], own=mine)["mine"][-1] for b in (other, bars))
        assert (found == pytest.approx(before, rel=1e-6)) == same


def test_columns_that_an_indicator_reads_are_those_of_what_it_reads() -> None:
    mine = own(a="$rsi_14+$open", b="$a+$obv", f="package.module:run", c="$f-$vwap", d="$change*1")
    assert bar_columns("rsi_14", mine) == ("close",)
    assert bar_columns("vwap_5", mine) == ("close", "high", "low", "volume")
    assert bar_columns("a", mine) == ("close", "open")
    assert bar_columns("b", mine) == ("close", "open", "volume")
    assert bar_columns("f", mine) == FIELDS
    assert set(bar_columns("c", mine)) == set(FIELDS)
    assert bar_columns("d", mine) == ("change",)
    with pytest.raises(IndicatorError, match="'nope': is unknown"):
        bar_columns("nope", mine)
