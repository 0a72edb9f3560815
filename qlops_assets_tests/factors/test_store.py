"""Which months are computed again, against computing everything again."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.errors import DatasetMissingError, FactorError
from qlops_assets.core.months import month_of, months_between, shifted
from qlops_assets.core.settings import FeaturesSettings, Settings
from qlops_assets.factors.alpha158 import alpha158, alpha158_digest
from qlops_assets.factors.missing import mostly_missing
from qlops_assets.factors.native.version import ENGINE_VERSION
from qlops_assets.factors.sets import FactorSet, alpha158_set
from qlops_assets.factors.store import (
    alpha158_dataset,
    build_factors,
    factor_dataset,
    factor_inputs,
    stale_months,
)
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.support.market import LATE, LEFT_OUT, market_days, restate

DAYS = market_days()
MONTHS = months_between("2019-01", "2020-08")
ALPHA158 = alpha158_set()
LOOK_BACK_MONTHS = 4  # of 60 trading days


def by_month(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    keyed = frame.with_columns(month=pl.col("date").dt.strftime("%Y-%m"))
    parts = keyed.partition_by("month", as_dict=True, include_key=False)
    return {str(month): part for (month,), part in parts.items()}


def months_that_differ(one: pl.DataFrame, other: pl.DataFrame) -> list[str]:
    before, after = by_month(one), by_month(other)
    months = sorted({*before, *after})
    empty = one.clear()
    return [m for m in months if not before.get(m, empty).equals(after.get(m, empty))]


def assert_same_factors(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Compare bit for bit; a missing value is null where it is stored and NaN where computed."""
    missing = expected.with_columns(pl.selectors.float().fill_nan(None))
    assert found.equals(missing)


def test_store_holds_what_alpha158_gives_for_the_whole_lake(few: Settings) -> None:
    assert_same_factors(alpha158_dataset(few).read(), alpha158(bars_dataset(few).read()))


def test_months_just_built_are_not_stale(few: Settings) -> None:
    assert alpha158_dataset(few).months() == MONTHS
    assert stale_months(few, ALPHA158, MONTHS) == []


def test_building_again_gives_the_same_digests(own_few: Settings) -> None:
    dataset = alpha158_dataset(own_few)
    before = {month: info.digest for month, info in dataset.infos().items()}
    some = MONTHS[8:11]
    reports = build_factors(own_few, ALPHA158, some)
    assert {m: r.partition.digest for m, r in reports.items()} == {m: before[m] for m in some}
    assert all(0 < r.missing_share < 0.5 for r in reports.values())


@pytest.mark.parametrize("day", [DAYS[20], DAYS[-1]])
def test_restated_bar_makes_the_months_that_look_back_to_it_stale_and_no_other(
    own_few: Settings, day: date
) -> None:
    one = pl.col("instrument") == "SH600000"
    before = alpha158(bars_dataset(own_few).read().filter(one))
    month = restate(own_few, "SH600000", day, close=33.0, high=34.0)
    after = alpha158(bars_dataset(own_few).read().filter(one))
    stale = stale_months(own_few, ALPHA158, MONTHS)
    assert stale == [m for m in MONTHS if month <= m <= shifted(month, LOOK_BACK_MONTHS)]
    changed = months_that_differ(before, after)
    assert month in changed
    assert set(changed) <= set(stale)


def test_building_the_stale_months_equals_building_everything(own_few: Settings) -> None:
    restate(own_few, "SH600000", DAYS[220], close=40.0, volume=7e6)
    stale = stale_months(own_few, ALPHA158, MONTHS)
    build_factors(own_few, ALPHA158, stale)
    assert stale_months(own_few, ALPHA158, MONTHS) == []
    assert_same_factors(alpha158_dataset(own_few).read(), alpha158(bars_dataset(own_few).read()))


def test_instrument_that_comes_back_after_left_out_days_gives_past_months_their_rows(
    own_few: Settings,
) -> None:
    """A source without rows of a halt: as it was read during the halt, and then after it."""
    bars, factors = bars_dataset(own_few), alpha158_dataset(own_few)
    for month in MONTHS[11:]:
        bars.remove(month)
    complete = bars.read()
    during = DAYS[195]  # of the days 188 to 201 that are left out
    for month in MONTHS:
        if month > month_of(during):
            bars.remove(month)
    part = complete.filter(
        (pl.col("date") <= during) & (pl.col("date").dt.strftime("%Y-%m") == month_of(during))
    )
    bars.write(month_of(during), part, inputs="early", code="tests")
    left = bars.months()
    build_factors(own_few, ALPHA158, MONTHS)  # removes the later months
    assert factors.months() == left
    for month, rows in by_month(complete).items():
        bars.write(month, rows, inputs="late", code="tests")
    stale = stale_months(own_few, ALPHA158, MONTHS)
    assert stale[0] == "2019-09"  # its bars are as they were; its rows are not
    build_factors(own_few, ALPHA158, stale)
    whole = alpha158(complete)
    assert_same_factors(factors.read(), whole)
    own = whole.filter((pl.col("instrument") == LEFT_OUT) & (pl.col("date") >= DAYS[188]))
    assert own["date"][0] == DAYS[188]


def test_month_without_bars_is_removed(own_few: Settings) -> None:
    bars_dataset(own_few).remove("2020-08")
    reports = build_factors(own_few, ALPHA158, ["2020-07", "2020-08"])
    assert list(reports) == ["2020-07"]
    assert alpha158_dataset(own_few).months() == MONTHS[:-1]


def test_inputs_are_of_months_with_bars_only(few: Settings) -> None:
    assert set(factor_inputs(few, ALPHA158, ["2018-12", "2019-01", "2020-09"])) == {"2019-01"}


def test_other_engine_or_definitions_make_every_month_stale(few: Settings) -> None:
    other = replace(few, features=FeaturesSettings(engine="other"))
    assert ALPHA158.code_version(few) == f"native-{ENGINE_VERSION}-{alpha158_digest()[:12]}"
    assert stale_months(other, ALPHA158, MONTHS) == MONTHS


@pytest.mark.parametrize("months", [MONTHS, ["2020-05"]], ids=["whole history", "one month"])
def test_factor_without_any_value_is_an_error_not_a_column_of_nan(
    own_few: Settings, months: list[str]
) -> None:
    bars = bars_dataset(own_few)
    for month in MONTHS:
        rows = bars.read([month]).with_columns(vwap=pl.lit(None, pl.Float64))
        bars.write(month, rows, inputs="no vwap", code="tests")
    before = alpha158_dataset(own_few).infos()
    with pytest.raises(
        FactorError,
        match=r"1 of 158 factors, first 'VWAP0' = \$vwap/\$close; check that the bars have",
    ):
        build_factors(own_few, ALPHA158, months)
    assert alpha158_dataset(own_few).infos() == before


def test_month_in_which_nothing_was_traded_is_no_error(own_few: Settings) -> None:
    bars = bars_dataset(own_few)
    halted = bars.read(["2020-08"]).with_columns(
        *(pl.lit(None, pl.Float64).alias(p) for p in ("open", "high", "low", "close", "vwap")),
        volume=pl.lit(0.0),
    )
    bars.write("2020-08", halted, inputs="halted", code="tests")
    assert build_factors(own_few, ALPHA158, ["2020-08"])["2020-08"].missing_share > 0.4


def test_factor_that_is_mostly_missing_is_named_in_the_report(own_few: Settings) -> None:
    """A value of the late instrument stands in every row of the days from its listing on."""
    rare = FactorSet("custom", {"RARE": f"Mask($close, '{LATE}')", "CLOSE": "$close/1"})
    reports = build_factors(own_few, rare, MONTHS)
    assert reports["2019-03"].mostly_missing == {"RARE": 1.0}  # not listed yet
    assert reports["2020-03"].mostly_missing == {}
    assert mostly_missing(reports.values()) == {}
    assert list(mostly_missing(reports[month] for month in MONTHS[:9])) == ["RARE"]


def test_factor_that_has_a_value_in_other_months_may_have_none_in_some(own_few: Settings) -> None:
    rare = FactorSet("custom", {"RARE": f"Mask($close, '{LATE}')"})
    with pytest.raises(FactorError, match="'RARE' = Mask"):
        build_factors(own_few, rare, ["2019-03"])
    build_factors(own_few, rare, MONTHS)
    assert build_factors(own_few, rare, ["2019-03"])["2019-03"].missing_share == 1.0


def test_factor_is_not_missed_before_the_history_that_it_needs(own_few: Settings) -> None:
    slow = FactorSet("custom", {"SLOW": "Ref($close,50)/$close", "AVERAGE": "EMA(Ref($close,9),9)"})
    first = build_factors(own_few, slow, ["2019-01"])["2019-01"]
    assert list(first.mostly_missing) == ["SLOW"]
    assert first.missing["SLOW"] == first.partition.rows


@pytest.mark.parametrize("text", ["Log(-1*$close)", "Std($close,1)", "EMA(Log(-1*$close),5)"])
def test_factor_of_ones_own_that_never_has_a_value_is_named(own_few: Settings, text: str) -> None:
    never = FactorSet("custom", {"NEVER": text, "CLOSE": "$close/1"})
    with pytest.raises(FactorError, match=r"1 of 2 factors, first 'NEVER' = "):
        build_factors(own_few, never, MONTHS)
    assert factor_dataset(own_few, "custom").months() == []


def test_set_without_factors_removes_the_rows_there_were(own_few: Settings) -> None:
    one = FactorSet("custom", {"CLOSE": "$close/1"})
    build_factors(own_few, one, MONTHS[:3])
    assert build_factors(own_few, FactorSet("custom", {}), MONTHS) == {}
    assert factor_dataset(own_few, "custom").months() == []


def test_store_without_bars_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissingError, match="materialize raw_bars and bars first"):
        build_factors(Settings(home=tmp_path), ALPHA158, ["2020-01"])
