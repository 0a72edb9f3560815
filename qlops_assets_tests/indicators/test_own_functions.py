"""Indicators that are Python functions of the user's own."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.columns import BARS, KEY
from qlops_assets.core.errors import IndicatorError
from qlops_assets.core.settings import IndicatorsSettings, Settings
from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.own import OwnIndicator, own_look_back
from qlops_assets.indicators.sets import code_version
from qlops_assets.indicators.store import build_indicators, indicator_dataset
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.support.indicator_bars import assert_same_bits, walks

WALKS = walks(41, (60, 1, 30), halted=0.1)
Write = Callable[[str, str], str]
RANGE = '''
import polars as pl

def series(bars):
    """The range, as a Series."""
    return bars["high"] - bars["low"]

def expression(bars):
    return pl.col("high") - pl.col("low")

def whole(bars):
    return bars["close"].is_not_null()

def nothing(bars):
    return pl.Series([None] * bars.height)

def decimals(bars):
    return bars["close"].fill_null(0).cast(pl.Decimal(20, 2))

def strange(bars):
    return 1 / (bars["close"] - bars["close"])

def count(bars):
    return pl.repeat(bars.height, bars.height, eager=True)

def of_shenzhen(bars):
    return bars["instrument"].str.ends_with("2")

def columns(bars):
    return pl.repeat(len(bars.columns), bars.height, eager=True)

def array(bars):
    return bars["close"].to_numpy()

def frame(bars):
    return bars.select("close")

def texts(bars):
    return bars["instrument"]

def short(bars):
    return bars["close"].head(7)

def one_number(bars):
    return pl.col("close").mean()

def unknown_column(bars):
    return pl.col("clsoe")

def fails(bars):
    raise KeyError("no such thing")

number = 5
'''


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module on Python's path, and return its name: one that no other test has."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(name: str, text: str) -> str:
        module = f"{name}_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(text, "utf-8")
        return module

    return written


def values(bars: pl.DataFrame, **texts: str) -> pl.DataFrame:
    own = {name: OwnIndicator(name, text) for name, text in texts.items()}
    return indicators(bars, [], own=own)


def test_function_gives_a_series_or_an_expression(write: Write) -> None:
    module = write("given", RANGE)
    found = values(WALKS, one=f"{module}:series", other=f"{module}:expression")
    expected = WALKS.select(pl.col("high") - pl.col("low")).to_series()
    assert expected.null_count() > 0
    for name in ("one", "other"):
        assert found[name].equals(expected)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("whole", pl.col("close").is_not_null().cast(pl.Float64)),
        ("nothing", pl.lit(None, pl.Float64)),
        ("decimals", pl.col("close").fill_null(0).cast(pl.Decimal(20, 2)).cast(pl.Float64)),
        ("strange", pl.lit(None, pl.Float64)),
        ("count", pl.lit(float(WALKS.height))),
    ],
)
def test_any_numbers_are_read_as_doubles_and_what_is_not_finite_is_missing(
    write: Write, function: str, expected: pl.Expr
) -> None:
    found = values(WALKS, mine=f"{write('kinds', RANGE)}:{function}")["mine"]
    assert found.dtype == pl.Float64
    assert found.equals(WALKS.with_columns(mine=expected)["mine"])


def test_function_is_given_all_bars_and_all_their_columns_also_since_a_day(write: Write) -> None:
    module = write("whole", RANGE)
    own = {"rows": OwnIndicator("rows", f"{module}:count")}
    own["wide"] = OwnIndicator("wide", f"{module}:columns")
    bars = WALKS.with_columns(sector=pl.lit("bank"), rsi_14=pl.lit(1.0))
    found = indicators(bars, ["sma_5"], own=own, since=WALKS["date"][40])
    assert 0 < found.height < WALKS.height
    assert found["rows"].unique().to_list() == [WALKS.height]
    assert found["wide"].unique().to_list() == [len(bars.columns)]


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical], ids=str)
def test_function_is_given_instruments_as_texts(write: Write, dtype: type[pl.DataType]) -> None:
    """A comparison of texts must not depend on how the caller keeps them."""
    bars = WALKS.with_columns(pl.col("instrument").cast(dtype))
    found = values(bars, mine=f"{write('texts', RANGE)}:of_shenzhen")
    assert found["mine"].sum() == 30


def test_expression_reads_a_function_and_look_back_is_unknown(write: Write) -> None:
    definition = f"{write('chained', RANGE)}:series"
    found = values(WALKS, twice="$range_of_day*2", range_of_day=definition, one="$twice/2")
    expected = WALKS.select(pl.col("high") - pl.col("low")).to_series().to_numpy()
    assert found["one"].to_numpy() == pytest.approx(expected, rel=1e-6, nan_ok=True)
    own = {"f": OwnIndicator("f", definition), "e": OwnIndicator("e", "$f*2")}
    assert own_look_back(own, "f") is None
    assert own_look_back(own, "e") is None


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("array", "gave a ndarray; must return a Polars Series of 91 numbers, one per row"),
        ("frame", "gave a DataFrame; must return"),
        ("texts", "gave String; must return"),
        ("short", "gave 7 values; must return"),
        ("one_number", "gave 1 values; must return"),
        ("unknown_column", "failed: ColumnNotFoundError: "),
        ("fails", "failed: KeyError: 'no such thing'; mend the function"),
        ("number", "has no function 'number'; write package.module:function"),
        ("missing", "has no function 'missing'"),
    ],
)
def test_function_that_gives_something_else_is_refused(
    write: Write, function: str, found: str
) -> None:
    with pytest.raises(IndicatorError) as caught:
        values(WALKS, mine=f"{write('wrong', RANGE)}:{function}")
    assert str(caught.value).startswith("own indicator mine: ")
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that"),
        ("def series(bars:", "SyntaxError"),
        ("raise RuntimeError('not today')", "RuntimeError: not today; name one on Python's path"),
    ],
)
def test_module_that_cannot_be_imported_is_named(write: Write, text: str, found: str) -> None:
    module = write("broken", text)
    with pytest.raises(IndicatorError) as caught:
        values(WALKS, mine=f"{module}:series")
    assert f"own indicator mine: module '{module}' cannot be imported: " in str(caught.value)
    assert found in str(caught.value)


def settings_of(tmp_path: Path, definition: str) -> Settings:
    chosen = IndicatorsSettings(names=("sma_5",), own={"mine": definition})
    return Settings(home=tmp_path / "home", indicators=chosen)


@pytest.mark.parametrize(
    "definition",
    [
        "no_such_module:f",
        "no_such_package.inside:f",
        "json.nothing:f",
        "json.decoder.inside:f",
        "sys:exit",
    ],
)
def test_module_that_is_missing_has_no_version(tmp_path: Path, definition: str) -> None:
    module = definition.partition(":")[0]
    with pytest.raises(IndicatorError) as caught:
        code_version(settings_of(tmp_path, definition))
    assert str(caught.value) == (
        f"Settings(indicators=…) own mine: there is no Python module {module!r}; "
        "name a module that is installed or on PYTHONPATH"
    )


def test_module_inside_a_package_has_a_version_without_running_the_package(
    tmp_path: Path, write: Write
) -> None:
    """Dagster's graph asks for versions: a user's code that fails must fail its step alone."""
    package = tmp_path / f"package_{tmp_path.name}"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('not today')", "utf-8")
    (package / "inside.py").write_text(RANGE, "utf-8")
    definition = f"{package.name}.inside:series"
    first = code_version(settings_of(tmp_path, definition))
    (package / "inside.py").write_text(RANGE + "# more", "utf-8")
    assert code_version(settings_of(tmp_path, definition)) != first
    with pytest.raises(IndicatorError, match="cannot be imported: RuntimeError: not today"):
        values(WALKS, mine=definition)
    (package / "__init__.py").write_text("", "utf-8")
    assert values(WALKS, mine=definition)["mine"].count() > 0


def test_version_follows_the_file_of_the_module(tmp_path: Path, write: Write) -> None:
    module = write("versioned", RANGE)
    settings = settings_of(tmp_path, f"{module}:series")
    first = code_version(settings)
    assert code_version(settings) == first
    assert code_version(settings_of(tmp_path, f"{module}:expression")) != first
    write("versioned", RANGE + "# another line\n")
    assert code_version(settings) != first
    write("versioned", RANGE)
    assert code_version(settings) == first


def test_values_follow_the_file_of_the_module_in_one_process(write: Write) -> None:
    """Else a notebook would store the old function's values under the new one's version."""
    module = write("edited", RANGE)
    before = values(WALKS, mine=f"{module}:series", other=f"{module}:count")
    write("edited", RANGE.replace('bars["high"] - bars["low"]', '3.0 * bars["high"]'))
    after = values(WALKS, mine=f"{module}:series", other=f"{module}:count")
    assert after["mine"].equals((3.0 * WALKS["high"]).alias("mine"))
    assert_same_bits(after.drop("mine"), before.drop("mine"))


def test_store_gives_a_function_the_bars_of_the_lake(own_few: Settings, write: Write) -> None:
    module = write("stored", RANGE)
    own = {"range_of_day": f"{module}:series", "two": f"{module}:of_shenzhen",
           "wide": f"{module}:columns"}  # fmt: skip
    chosen = IndicatorsSettings(names=("sma_5",), own=own)
    settings = Settings(home=own_few.home, source=own_few.source, indicators=chosen)
    months = bars_dataset(settings).months()
    build_indicators(settings, months)
    rows, bars = indicator_dataset(settings).read(), bars_dataset(settings).read()
    assert rows.select(KEY).equals(bars.select(KEY))
    assert rows.columns == [*KEY, "sma_5", "range_of_day", "two", "wide"]
    expected = bars.select((pl.col("high") - pl.col("low")).cast(pl.Float32)).to_series()
    assert rows["range_of_day"].equals(expected)
    assert rows["two"].sum() == bars["instrument"].str.ends_with("2").sum() > 0
    assert rows["wide"].unique().to_list() == [len(BARS)]
