"""Names of indicator columns: what they stand for, what is refused, and in which words."""

import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qlops_assets.core.columns import BARS, FIELDS, LABEL, OPTIONAL
from qlops_assets.core.errors import IndicatorError
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.indicators.families.catalog import INDICATORS
from qlops_assets.indicators.families.indicator import MOST, Group, Indicator, Number
from qlops_assets.indicators.names import (
    DEFAULT_NAMES,
    KNOWN,
    column,
    columns,
    described,
    is_indicator,
)
from qlops_assets_tests.support.indicator_names import full_name, number_word

FAMILIES = list(INDICATORS.values())
OF_FAMILIES = pytest.mark.parametrize("family", FAMILIES, ids=list(INDICATORS))


def refused(name: str) -> IndicatorError:
    with pytest.raises(IndicatorError) as caught:
        column(name)
    return caught.value


@pytest.mark.parametrize(
    ("name", "family", "values", "output"),
    [
        ("rsi", "rsi", (14,), ""),
        ("rsi_6", "rsi", (6,), ""),
        ("obv", "obv", (), ""),
        ("vwap", "vwap", (20,), ""),
        ("vwap_5", "vwap", (5,), ""),
        ("vwap_cumulative", "vwap_cumulative", (), ""),
        ("volume_rsi_9", "volume_rsi", (9,), ""),
        ("vix_fix_3", "vix_fix", (3,), ""),
        ("macd", "macd", (12, 26, 9), ""),
        ("macd_5_35_5_hist", "macd", (5, 35, 5), "hist"),
        ("macd_5_signal", "macd", (5, 26, 9), "signal"),
        ("bbands_upper", "bbands", (20, 2.0), "upper"),
        ("bbands_20_2p5_upper", "bbands", (20, 2.5), "upper"),
        ("bbands_5_3_percent", "bbands", (5, 3.0), "percent"),
        ("sar_0p01_0p1", "sar", (0.01, 0.1), ""),
        ("kdj_5_j", "kdj", (5, 3, 3), "j"),
        ("ichimoku_7_22_44_senkou_a", "ichimoku", (7, 22, 44), "senkou_a"),
        ("hv_20_365", "hv", (20, 365), ""),
    ],
)
def test_name_stands_for_family_parameters_and_output(
    name: str, family: str, values: tuple[Number, ...], output: str
) -> None:
    found = column(name)
    assert (found.name, found.indicator.name, found.values, found.output) == (
        name,
        family,
        values,
        output,
    )
    assert list(found.parameters.values()) == list(values)
    assert [type(value) for value in found.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("rsj_6", "did you mean 'rsi_6'?"),
        ("macd_sginal", "did you mean 'macd_signal'? macd is written"),
        ("bbands", "bbands is written bbands_[days]_[width]_upper|middle|lower|width|percent"),
        ("bbands_20", "defaults: days 20, width 2"),
        ("macd_5_35_5_6", "macd is written macd_[fast]_[slow]_[signal]_[signal|hist]"),
        ("kdj", "kdj is written kdj_[days]_[k]_[d]_k|d|j; defaults: days 9, k 3, d 3"),
        ("kdj_k_9", "did you mean 'kdj_k'?"),
        ("obv_5", "obv is written obv"),
        ("rsi_", "rsi is written rsi_[days]"),
        ("rsi_14_", "rsi is written rsi_[days]"),
        ("rsi__14", "rsi is written rsi_[days]"),
        ("macd_", "macd is written"),
        ("_rsi", "did you mean 'rsi'?"),
        ("RSI_14", "the indicators are sma, ema, wma,"),
        ("rsi 14", "did you mean 'rsi_14'?"),
        ("rsi_014", "did you mean 'rsi_14'? rsi is written"),
        ("rsi_+5", "rsi is written rsi_[days]"),
        ("rsi_-5", "rsi is written rsi_[days]"),
        ("rsi_1e3", "rsi is written rsi_[days]"),
        ("rsi_١٤", "rsi is written rsi_[days]"),  # digits, and not of ASCII
        ("rsi_14\n", "rsi is written rsi_[days]"),
        ("rsi_1234567890", "rsi is written rsi_[days]"),
        ("", "the indicators are sma, ema, wma,"),
        ("zzz", "the indicators are sma, ema, wma,"),
    ],
)
def test_name_that_is_none_is_refused_with_what_comes_near(name: str, accepted: str) -> None:
    error = refused(name)
    assert error.where == f"indicator {name!r}"
    assert error.found == "is unknown"
    assert accepted in error.accepted
    assert not is_indicator(name)


def test_long_name_is_cut_in_the_message() -> None:
    assert len(str(refused("rsi_" + "x" * 10_000))) < 300


@pytest.mark.parametrize(
    ("name", "found", "accepted"),
    [
        ("rsi_1", "its days is 1", "must be a whole number from 2 to 2,500"),
        ("rsi_0", "its days is 0", "must be a whole number from 2 to 2,500"),
        ("rsi_2501", "its days is 2501", "must be a whole number from 2 to 2,500"),
        ("rsi_2p5", "its days is 2.5", "must be a whole number from 2 to 2,500"),
        ("rsi_2p0", "its days is 2.0", "must be a whole number"),
        ("mom_0", "its days is 0", "must be a whole number from 1 to 2,500"),
        ("sar_0", "its acceleration is 0.0", "must be a number (0p02 is 0.02) from 0.0001"),
        ("sar_0p02_2501", "its maximum is 2501.0", "to 2,500"),
        ("bbands_20_0_upper", "its width is 0.0", "from 0.1 to 2,500"),
        ("macd_26_12", "fast is 26, must be less than slow", "written macd_[fast]_[slow]"),
        ("macd_12_12_hist", "fast is 12, must be less than slow", "written macd_[fast]"),
        ("macd_30", "fast is 30, must be less than slow", "defaults: fast 12, slow 26, signal 9"),
    ],
)
def test_parameter_out_of_range_is_refused_with_its_range(
    name: str, found: str, accepted: str
) -> None:
    error = refused(name)
    assert error.where == f"indicator {name!r}"
    assert error.found == found
    assert accepted in error.accepted


def test_names_stay_in_their_order_and_one_that_comes_twice_is_refused() -> None:
    assert [one.name for one in columns(["sma_5", "rsi_6", "rsi"])] == ["sma_5", "rsi_6", "rsi"]
    with pytest.raises(IndicatorError, match="'rsi_6': is named twice; name it once"):
        columns(["rsi_6", "sma_5", "rsi_6"])


# Every family says what it is.


@OF_FAMILIES
def test_family_documents_itself(family: Indicator) -> None:
    for text in (family.title, family.formula, family.source, family.units):
        assert text.strip() == text != ""
    assert family.group in Group
    assert INDICATORS[family.name] is family
    assert all(meaning for suffix, meaning in family.outputs.items() if suffix)
    for name in family.parameters:
        assert family.least_of(name) <= family.parameters[name] <= MOST
    assert set(family.least) <= set(family.parameters)
    assert family.fault(family.parameters) == ""


@OF_FAMILIES
def test_variants_and_columns_of_a_family_are_its_own(family: Indicator) -> None:
    assert family.variants
    for name in (*family.variants, *family.columns):
        found = column(name)
        assert found.indicator is family
        assert found.warm_up >= 0
    assert {column(name).output for name in family.columns} == set(family.outputs)
    assert {column(name).output for name in family.variants} == set(family.outputs)
    assert all(column(name).values == (*family.parameters.values(),) for name in family.columns)


@OF_FAMILIES
def test_family_says_how_its_names_are_written(family: Indicator) -> None:
    said = described(family)
    assert said.startswith(f"written {family.name}")
    for word in (*family.parameters, *filter(None, family.outputs)):
        assert word in said


@OF_FAMILIES
def test_output_and_family_cannot_be_taken_for_one_another(family: Indicator) -> None:
    """Or the longest family would swallow the outputs of a shorter one."""
    names = {f"{family.name}_{suffix}" for suffix in family.outputs if suffix}
    assert names.isdisjoint(INDICATORS)
    others = [name for name in INDICATORS if name.startswith(f"{family.name}_")]
    for other in others:
        assert not other.removeprefix(f"{family.name}_").startswith(
            tuple(filter(None, family.outputs))
        )


def test_names_that_are_built_are_each_one_and_no_other_columns() -> None:
    assert len(set(DEFAULT_NAMES)) == len(DEFAULT_NAMES) == len(columns(DEFAULT_NAMES))
    meanings = {(one.indicator.name, one.values, one.output) for one in columns(DEFAULT_NAMES)}
    assert len(meanings) == len(DEFAULT_NAMES)
    taken = {name.lower() for name in (*BARS, *OPTIONAL, *FIELDS, LABEL, *ALPHA158_NAMES)} - {
        "vwap"
    }
    assert taken.isdisjoint(KNOWN)
    assert set(DEFAULT_NAMES) <= set(KNOWN)


def test_bars_vwap_stays_the_bars() -> None:
    """Like a family of ours; as a column of a table it would hide the bars' own."""
    assert "vwap" not in DEFAULT_NAMES


# From parameters to a name and back.


@st.composite
def names(draw: st.DrawFn) -> str:
    family = draw(st.sampled_from(FAMILIES))
    values: dict[str, Number] = {}
    for name, default in family.parameters.items():
        least = family.least_of(name)
        if isinstance(default, int):
            values[name] = draw(st.integers(int(least), MOST))
        else:
            values[name] = draw(st.integers(int(least * 10**9), MOST * 10**9)) / 10**9
    if family.fault(values):
        values = dict(family.parameters)
    return full_name(family, values, draw(st.sampled_from(list(family.outputs))))


@settings(derandomize=True, deadline=None)
@given(name=names())
def test_full_name_of_any_parameters_stands_for_them(name: str) -> None:
    found = column(name)
    assert full_name(found.indicator, found.parameters, found.output) == name


@pytest.mark.parametrize("name", KNOWN)
def test_full_name_of_a_name_stands_for_the_same(name: str) -> None:
    short = column(name)
    full = column(full_name(short.indicator, short.parameters, short.output))
    assert (full.indicator, full.values, full.output) == (
        short.indicator,
        short.values,
        short.output,
    )


@pytest.mark.parametrize(
    ("value", "word"),
    [(2, "2"), (2.0, "2"), (2.5, "2p5"), (0.02, "0p02"), (0.0001, "0p0001"), (2500, "2500"),
     (100, "100"), (1200.0, "1200"), (0.123456789, "0p123456789"), (2499.9999999, "2499p9999999")],
)  # fmt: skip
def test_number_is_written_with_p_for_the_point_and_all_its_digits(
    value: Number, word: str
) -> None:
    assert number_word(value) == word
    assert float(word.replace("p", ".")) == value


# Whatever somebody types.

WORDS = st.sampled_from(
    [
        *INDICATORS,
        "0",
        "1",
        "2",
        "14",
        "2p5",
        "p",
        "2p",
        "p5",
        "",
        "k",
        "hist",
        "signal",
        "senkou",
        "a",
    ]
)
TYPED = st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=6).map("_".join))


def assert_refused(name: str, error: IndicatorError) -> None:
    assert error.where
    assert error.found
    assert error.accepted
    assert not is_indicator(name)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(name=TYPED)
@example(name="rsi_999999999999999999999")
@example(name="bbands_20_2p999999999_upper")
@example(name="sar_2p" + "0" * 400)
def test_any_text_is_a_name_or_refused_in_our_words(name: str) -> None:
    try:
        found = column(name)
    except IndicatorError as error:
        assert_refused(name, error)
        return
    assert is_indicator(name)
    assert found.name == name
    assert name == name.strip("_").strip()
    again = column(full_name(found.indicator, found.parameters, found.output))
    assert (again.values, again.output) == (found.values, found.output)


def test_names_and_definitions_are_read_without_a_heavy_library() -> None:
    """The command line reads them before anything is computed."""
    code = (
        "import sys, qlops_assets.indicators.names, qlops_assets.indicators.sets; "
        "print(*{'polars', 'numpy', 'polars_talib', 'dagster'}.intersection(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == ""
