"""What holds for every indicator of the catalog: a new entry is tested without an edit here."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlops_assets.core.columns import KEY, PRICES
from qlops_assets.indicators import apply
from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.families.catalog import INDICATORS
from qlops_assets.indicators.names import DEFAULT_NAMES, column
from qlops_assets_tests.support.indicator_bars import assert_same_bits, drawn, traded, walks

# Every output of every family, also of those that are not built unless asked for.
NAMES = tuple(
    dict.fromkeys((*DEFAULT_NAMES, *(name for one in INDICATORS.values() for name in one.columns)))
)
EXACT = tuple(name for name in NAMES if column(name).indicator.exact)
WINDOWED = tuple(name for name in NAMES if column(name).look_back is not None)
LONGEST = max(column(name).warm_up for name in NAMES)
WALKS = walks(21, (130, 1, 40, 110, 2, 95), halted=0.08)
ONE = walks(22, (150,))
CHANGED = {"open": 1.01, "high": 1.05, "low": 0.97, "close": 1.02, "volume": 3.0}

few_examples = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def values_of(bars: pl.DataFrame, names: tuple[str, ...] = NAMES) -> pl.DataFrame:
    return indicators(bars, names)


def changed(bars: pl.DataFrame, here: pl.Expr) -> pl.DataFrame:
    """Return bars of which some are others, still with the close between low and high."""
    return bars.with_columns(
        pl.when(here).then(pl.col(name) * by).otherwise(pl.col(name)).alias(name)
        for name, by in CHANGED.items()
    )


def scaled(bars: pl.DataFrame, by: float) -> pl.DataFrame:
    return bars.with_columns(pl.col(PRICES) * by)


def assert_near(found: pl.DataFrame, expected: pl.DataFrame, *, within: float = 1e-9) -> None:
    """Compare to a share of each column's size, as some values are differences near 0."""
    wrong = {}
    for name in found.columns:
        if name in KEY:
            continue
        one, other = found[name], expected[name]
        size = other.abs().max()
        if not one.is_null().equals(other.is_null()):
            wrong[name] = "other values are missing"
        elif size is not None and (off := (one - other).abs().max()) > within * size:
            wrong[name] = f"off by {off} of {size}"
    assert wrong == {}


@st.composite
def markets(draw: st.DrawFn) -> pl.DataFrame:
    lengths = draw(st.lists(st.integers(1, 120), min_size=1, max_size=4))
    halted = draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    tick = draw(st.sampled_from([1e-6, 0.01, 0.5]))
    return walks(draw(st.integers(0, 10_000)), lengths, halted=halted, tick=tick)


days = st.integers(0, 130).map(lambda n: WALKS["date"].unique().sort()[min(n, 129)])


# Nothing looks ahead.


@few_examples
@given(bars=markets(), last=days)
def test_values_up_to_a_day_do_not_change_with_bars_after_it(
    bars: pl.DataFrame, last: date
) -> None:
    before = values_of(bars).filter(pl.col("date") <= last)
    other = values_of(changed(bars, pl.col("date") > last)).filter(pl.col("date") <= last)
    assert_same_bits(other, before)
    assert_same_bits(values_of(bars.filter(pl.col("date") <= last)), before)


def test_values_do_change_with_the_bars_of_their_own_day() -> None:
    """Without which the test above would prove nothing."""
    last = ONE["date"][-1]
    before, after = values_of(ONE), values_of(changed(ONE, pl.col("date") == last))
    same = [name for name in NAMES if before[name][-1] == after[name][-1]]
    # Spans are computed before; the stop of a day follows from the days before it.
    assert set(same) <= {"ichimoku_senkou_a", "ichimoku_senkou_b", "sar"}


# A part is what it is in the whole.


@few_examples
@given(bars=markets(), since=days)
def test_values_since_a_day_are_those_of_the_whole(bars: pl.DataFrame, since: date) -> None:
    whole = values_of(bars).filter(pl.col("date") >= since)
    assert_same_bits(indicators(bars, NAMES, since=since), whole)


@pytest.mark.parametrize("name", NAMES)
def test_each_value_alone_since_a_day_is_that_of_the_whole(name: str) -> None:
    """Alone, as a longer indicator beside it would lend it bars from further back."""
    since = WALKS["date"].unique().sort()[100]
    whole = indicators(WALKS, [name]).filter(pl.col("date") >= since)
    assert whole[name].count() > 0
    assert_same_bits(indicators(WALKS, [name], since=since), whole)


@pytest.mark.parametrize("size", [1, 100, 131])
@pytest.mark.parametrize("since", [None, 70])
def test_values_do_not_depend_on_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch, size: int, since: int | None
) -> None:
    day = None if since is None else WALKS["date"].unique().sort()[since]
    whole = indicators(WALKS, NAMES, since=day)
    monkeypatch.setattr(apply, "_BLOCK_ROWS", size)
    assert_same_bits(indicators(WALKS, NAMES, since=day), whole)


@few_examples
@given(bars=markets(), kept=st.sets(st.integers(0, 3)), size=st.integers(1, 300))
def test_values_of_an_instrument_do_not_depend_on_the_others(
    bars: pl.DataFrame, kept: set[int], size: int
) -> None:
    codes = [f"SH{600000 + place}" for place in kept]
    some = pl.col("instrument").is_in(codes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apply, "_BLOCK_ROWS", size)
        alone = values_of(bars.filter(some))
    assert_same_bits(alone, values_of(bars).filter(some))


@few_examples
@given(bars=markets())
def test_values_with_halts_are_those_of_the_traded_bars_alone(bars: pl.DataFrame) -> None:
    here = traded(bars)
    found = values_of(bars)
    assert_same_bits(found.filter(here), values_of(bars.filter(here)))
    assert found.filter(~here).drop(KEY).select(pl.all().is_null().all()).row(0) in {
        (True,) * len(NAMES)
    }
    assert_no_nan(found)


def assert_no_nan(found: pl.DataFrame) -> None:
    values = found.drop(KEY)
    assert all(dtype == pl.Float64 for dtype in values.dtypes)
    strange = {name: int((~values[name].is_finite()).sum()) for name in values.columns}
    assert {name: n for name, n in strange.items() if n} == {}


# Prices of another unit.


@pytest.mark.parametrize("by", [4.0, 0.125])
def test_values_scale_with_prices_as_said_to_the_bit(by: float) -> None:
    """A power of two changes no rounding."""
    found, before = values_of(scaled(WALKS, by)), values_of(WALKS)
    expected = before.with_columns(
        pl.col(name) * {"c": by, "1": 1.0}[scale_of(name)] for name in NAMES
    )
    assert_same_bits(found, expected)


def scale_of(name: str) -> str:
    one = column(name)
    return one.indicator.scale_of(one.output)


@pytest.mark.parametrize("by", [7.3, 1 / 3])
def test_values_scale_with_prices_as_said(by: float) -> None:
    found, before = values_of(scaled(WALKS, by)), values_of(WALKS)
    expected = before.with_columns(
        pl.col(name) * {"c": by, "1": 1.0}[scale_of(name)] for name in NAMES
    )
    assert_near(found, expected)


def test_prices_have_the_scale_of_prices() -> None:
    """By the units, which are written independently of the scale."""
    for one in INDICATORS.values():
        assert set(one.scales) <= set(one.outputs)
        for output in one.outputs:
            is_price = one.units.startswith("price") and output not in one.scales
            assert one.scale_of(output) == ("c" if is_price else "1")


# How far back.


@pytest.mark.parametrize("name", NAMES)
def test_first_value_comes_after_the_warm_up_and_none_is_missing_then(name: str) -> None:
    for place, bars in enumerate(WALKS.partition_by("instrument")):
        found = indicators(bars, [name]).filter(traded(bars))[name]
        missing = min(column(name).warm_up, found.len())
        assert found.is_null().to_list() == [True] * missing + [False] * (found.len() - missing)
        assert found.count() > 0 or place > 0


@pytest.mark.parametrize(
    "name",
    [
        "sma_2",
        "kdj_2_1_1_j",
        "ichimoku_30_5_9_senkou_a",
        "stoch_1_1_1_d",
        "macd_2_3_1_signal",
        "hv_2",
        "vwap_2",
        "sar_0p1_0p1",
        "ichimoku_3_4_90_senkou_b",
        "macd_5_35_5_hist",
        "vix_fix_2",
    ],
)
def test_first_value_comes_after_the_warm_up_of_other_parameters(name: str) -> None:
    found = indicators(ONE, [name])[name]
    assert found.null_count() == column(name).warm_up
    assert found[column(name).warm_up] is not None


@pytest.mark.parametrize("name", WINDOWED)
def test_bars_further_back_than_the_look_back_have_no_influence(name: str) -> None:
    reach = column(name).look_back
    assert reach is not None
    place = pl.int_range(pl.len())
    last = ONE.height - 1
    other = changed(ONE, place < last - reach)
    found, before = (indicators(bars, [name]).tail(1) for bars in (other, ONE))
    if name in EXACT:
        assert_same_bits(found, before)
    else:  # running sums remember the rounding of what passed through them
        assert_near(found, before)


@pytest.mark.parametrize("name", WINDOWED)
def test_look_back_is_no_longer_than_needed(name: str) -> None:
    """The furthest bar matters: raised by a half it is the highest, halved the lowest."""
    reach = column(name).look_back
    assert reach is not None
    last = ONE.height - 1
    here = pl.int_range(pl.len()) == last - reach
    before = indicators(ONE, [name])[name][-1]
    found = [
        indicators(
            ONE.with_columns(
                pl.when(here).then(pl.col(p) * by).otherwise(pl.col(p)).alias(p) for p in PRICES
            ),
            [name],
        )[name][-1]
        for by in (1.5, 0.5)
    ]
    # TA-Lib gives %K only from the day on that has a %D, though it needs fewer bars.
    matters = any(abs(value - before) > 1e-6 * abs(before) for value in found)
    assert matters == (name != "stoch_k")


def test_recursive_ones_remember_their_first_bar() -> None:
    """Which is why ``look_back`` of these is None; what has decayed below a double is not asked."""
    short = ONE.head(60)
    found, before = values_of(changed(short, pl.int_range(pl.len()) == 0)), values_of(short)
    for name in NAMES:
        one = column(name)
        assert (one.look_back is None) == one.indicator.recursive
        if one.indicator.recursive and one.indicator.name not in {"sar"}:  # forgets when it turns
            assert not found[name].equals(before[name]), name


# Frames at the edge.


def test_frame_without_rows_gives_a_frame_without_rows() -> None:
    found = values_of(WALKS.clear())
    assert found.shape == (0, 2 + len(NAMES))
    assert indicators(WALKS, NAMES, since=date(2031, 1, 1)).equals(found)


def test_no_names_give_the_keys() -> None:
    assert indicators(WALKS, []).equals(WALKS.select(KEY))


def test_instruments_of_one_bar_have_what_needs_none_before() -> None:
    bars = pl.concat([drawn([9.0], instrument=f"SH60000{n}") for n in range(3)])
    found = values_of(bars)
    there = {name for name in NAMES if found[name].count()}
    assert there == {name for name in NAMES if column(name).warm_up == 0}
    assert {found[name].count() for name in there} == {3}


@pytest.mark.parametrize("since", [None, date(2020, 2, 3)])
def test_instrument_that_was_never_traded_has_no_value_and_disturbs_none(
    since: date | None,
) -> None:
    first, *others = WALKS.partition_by("instrument")
    halted = [
        first.with_columns(pl.lit(code).alias("instrument"), volume=pl.lit(0.0))
        for code in ("SH500000", "SH600000x", "SH700000")
    ]
    bars = pl.concat([halted[0], first, halted[1], *others, halted[2]])
    found = indicators(bars, NAMES, since=since)
    never = pl.col("instrument").is_in([part["instrument"][0] for part in halted])
    assert found.filter(never).drop(KEY).select(pl.all().count().sum()).row(0) == (0,) * len(NAMES)
    assert_same_bits(found.filter(~never), indicators(WALKS, NAMES, since=since))


def test_everything_halted_gives_rows_without_a_value() -> None:
    bars = WALKS.with_columns(volume=pl.lit(0.0))
    found = values_of(bars)
    assert found.select(KEY).equals(WALKS.select(KEY))
    assert found.drop(KEY).select(pl.all().count()).row(0) == (0,) * len(NAMES)


@pytest.mark.parametrize("field", [*PRICES, "volume"])
@pytest.mark.parametrize("value", [None, np.nan, np.inf, -np.inf, 0.0, -3.0])
def test_bar_with_a_number_that_is_none_is_left_out(field: str, value: float | None) -> None:
    here = pl.int_range(pl.len()) == 70
    odd = ONE.with_columns(
        pl.when(here).then(pl.lit(value, pl.Float64)).otherwise(pl.col(field)).alias(field)
    )
    names = ("hv_20", "kdj_k", "rsi_6", "roc_5", "vwap_5", "vwap_cumulative", "ad", "sar")
    found = indicators(odd, names)
    assert found.filter(here).drop(KEY).row(0) == (None,) * len(names)
    assert_same_bits(found.filter(~here), indicators(ONE.filter(~here), names))


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Int64, pl.UInt32, pl.Decimal(20, 2)], ids=str)
def test_bars_of_other_numbers_are_read_as_doubles(dtype: pl.DataType) -> None:
    numbers = pl.col(*PRICES, "volume")
    bars = WALKS.with_columns((pl.col(PRICES) * 1000).round(), pl.col("volume").round())
    found = values_of(bars.with_columns(numbers.cast(dtype)))
    assert_same_bits(found, values_of(bars.with_columns(numbers.cast(dtype).cast(pl.Float64))))


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["SH600002", "SH600000", "SH600001"])])
def test_instruments_may_be_words_of_an_enumeration(dtype: pl.DataType) -> None:
    bars = walks(5, (60, 50, 40))
    found = values_of(bars.with_columns(pl.col("instrument").cast(dtype)))
    assert found["instrument"].dtype == dtype
    assert_same_bits(found.with_columns(pl.col("instrument").cast(pl.String)), values_of(bars))


def test_values_of_four_bytes_are_those_of_eight_rounded() -> None:
    names = list(DEFAULT_NAMES)
    found = indicators(WALKS, names, dtype=pl.Float32)
    assert found.equals(values_of(WALKS).select(*KEY, pl.col(names).cast(pl.Float32)))


@pytest.mark.parametrize(
    ("bars", "found"),
    [
        (ONE.drop("low", "date"), "needs date, low too"),
        (ONE.with_columns(pl.col("close").cast(pl.String)), "close is String; needs a number"),
        (ONE.with_columns(instrument=pl.lit(3)), "instrument is Int32; needs String"),
        (ONE.with_columns(pl.col("date").cast(pl.String)), "date is String; needs Date"),
        (ONE.with_columns(date=pl.lit(None, pl.Date)), "150 rows have no date; each needs one"),
        (ONE.reverse(), "sort them by instrument and date"),
        (pl.concat([ONE, ONE]), "sort them by instrument and date"),
        (pl.concat([ONE, ONE.tail(1)]), "two are of one instrument and day"),
        (pl.concat(WALKS.partition_by("instrument")[::-1]), "its rows are not in order"),
    ],
)
def test_frame_that_is_none_of_bars_is_refused(bars: pl.DataFrame, found: str) -> None:
    from qlops_assets.core.errors import IndicatorError

    with pytest.raises(IndicatorError) as caught:
        indicators(bars, ["sma_5"])
    assert str(caught.value).startswith("bars frame: ")
    assert found in str(caught.value)
