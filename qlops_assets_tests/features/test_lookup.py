import pickle
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import (
    DatasetMissingError,
    FeatureDefinitionError,
    FeatureTableError,
)
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.store import alpha158_dataset, factor_dataset
from qlops_assets.features.lookup import StoredFeatures
from qlops_assets.features.store import FeatureStore
from qlops_assets.features.version import FrameSpec
from qlops_assets_tests.support.market import (
    DELISTED,
    LATE,
    LEFT_OUT,
    build_table,
    copied,
    market_days,
)
from qlops_assets_tests.support.own_factors import OWN, build_own_factors, market_with_own_factors

DAYS = market_days()
DAY = DAYS[400]
FEATURES = list(alpha158_expressions())


@pytest.fixture(scope="module")
def lookup(market: Settings) -> StoredFeatures:
    return StoredFeatures(market)


@pytest.fixture(scope="module")
def own_factors(market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the rows of two factors of the user's own. Not to be changed."""
    return market_with_own_factors(market, tmp_path_factory.mktemp("own"))


def test_rows_come_in_the_order_asked_for_instruments_and_features(
    market: Settings, lookup: StoredFeatures
) -> None:
    names = ["VWAP0", "KMID", "STD60"]
    codes = ["SZ000001", "SH600003", LATE]
    rows = lookup.rows(DAY, names, codes)
    assert rows.date == DAY
    assert rows.instruments == codes
    assert rows.values.dtype == np.float32
    assert rows.values.flags["C_CONTIGUOUS"]
    stored = alpha158_dataset(market).read(["2020-07"]).filter(pl.col("date") == DAY)
    for place, code in enumerate(codes):
        row = stored.row(by_predicate=pl.col("instrument") == code, named=True)
        assert rows.values[place].tolist() == [row[name] for name in names]


def test_rows_of_a_day_without_instruments_are_all_by_code(lookup: StoredFeatures) -> None:
    rows = lookup.rows(DAY, FEATURES)
    assert rows.instruments == sorted(rows.instruments)
    assert len(rows.instruments) == 23  # one is delisted
    assert rows.values.shape == (23, 158)


def test_missing_values_are_nan(lookup: StoredFeatures) -> None:
    rows = lookup.rows(DAYS[190], ["KMID"], [LEFT_OUT])
    assert np.isnan(rows.values).all()


def test_instruments_without_a_row_that_day_are_left_out(lookup: StoredFeatures) -> None:
    rows = lookup.rows(DAY, ["KMID"], ["NOBODY", "SH600000", DELISTED])
    assert rows.instruments == ["SH600000"]
    assert rows.values.shape == (1, 1)


def test_last_date_is_the_newest_day_with_rows(lookup: StoredFeatures) -> None:
    assert lookup.last_date() == DAYS[-1]


@pytest.mark.parametrize("day", [date(2020, 7, 4), date(2030, 1, 1), date(2001, 1, 1)])
def test_day_without_rows_is_an_error_that_names_the_newest(
    lookup: StoredFeatures, day: date
) -> None:
    with pytest.raises(DatasetMissingError, match=f"{day}.*newest day with rows is {DAYS[-1]}"):
        lookup.rows(day, ["KMID"])


def test_feature_that_is_not_stored_is_an_error(lookup: StoredFeatures) -> None:
    with pytest.raises(FeatureTableError, match="'NOSUCH' is not stored"):
        lookup.rows(DAY, ["KMID", "NOSUCH"])


def test_store_without_rows_has_no_last_date(tmp_path: Path) -> None:
    empty = StoredFeatures(Settings(home=tmp_path))
    assert empty.last_date() is None
    with pytest.raises(DatasetMissingError, match="materialize feature_table first"):
        empty.rows(DAY, ["KMID"])


def test_month_that_was_written_anew_is_seen_at_once(own_market: Settings) -> None:
    lookup = StoredFeatures(own_market)
    before = lookup.rows(DAY, ["KMID", "KLEN"])
    dataset = alpha158_dataset(own_market)
    assert lookup.last_date() == DAYS[-1]
    changed = dataset.read(["2020-07"]).with_columns(pl.col("KMID") + 1)
    dataset.write("2020-07", changed, inputs="others", code="others")
    FeatureStore(own_market).refresh()
    after = lookup.rows(DAY, ["KMID", "KLEN"])
    np.testing.assert_allclose(after.values[:, 0], before.values[:, 0] + 1, rtol=1e-6)
    np.testing.assert_array_equal(after.values[:, 1], before.values[:, 1])


def test_day_that_was_read_is_not_read_again(market: Settings) -> None:
    lookup = StoredFeatures(market)
    for _ in range(3):
        lookup.rows(DAY, ["KMID"], ["SH600000"])
    assert (lookup._day.cache_info().misses, lookup._day.cache_info().hits) == (1, 2)


def test_rows_of_two_sets_come_in_the_order_asked_for(own_factors: Settings) -> None:
    names, codes = ["SPREAD", "KMID", "BACK4"], ["SZ000001", LATE, "SH600003"]
    rows = StoredFeatures(own_factors).rows(DAY, names, codes)
    assert rows.instruments == codes
    assert rows.values.flags["C_CONTIGUOUS"]
    for place, (name, part) in enumerate(
        [("SPREAD", "custom"), ("KMID", "alpha158"), ("BACK4", "custom")]
    ):
        stored = factor_dataset(own_factors, part).read(["2020-07"], first=DAY, last=DAY)
        values = dict(stored.select("instrument", name).iter_rows())
        assert rows.values[:, place].tolist() == [values[code] for code in codes]


def test_rows_are_given_only_where_they_were_computed_by_what_is_expected(
    own_factors: Settings,
) -> None:
    lookup = StoredFeatures(own_factors)
    spaced = {"SPREAD": "( $high - $low ) / $close"}
    values = lookup.rows(DAY, ["SPREAD", "KMID"], expressions=spaced).values
    np.testing.assert_array_equal(values, lookup.rows(DAY, ["SPREAD", "KMID"]).values)
    others = {"SPREAD": "($high-$low)/$open", "BACK4": "1"}
    with pytest.raises(FeatureDefinitionError, match="'SPREAD': its values of 2020-") as caught:
        lookup.rows(DAY, ["SPREAD"], expressions=others)
    error = caught.value
    assert (error.stored, error.expected) == (OWN["SPREAD"], others["SPREAD"])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_factor_that_is_defined_anew_is_not_given_to_a_model_of_the_old_one(
    own_factors: Settings, tmp_path: Path
) -> None:
    home = copied(own_factors, tmp_path / "home")
    settings = replace(home, factors={**OWN, "BACK4": "1-$close/Ref($close,3)"})
    lookup = StoredFeatures(settings)
    assert lookup.rows(DAY, ["BACK4"], expressions=OWN).values.size
    build_own_factors(settings)
    with pytest.raises(FeatureDefinitionError, match=r"by 1-\$close/Ref\(\$close,3\), the model"):
        lookup.rows(DAY, ["BACK4"], expressions=OWN)
    assert lookup.rows(DAY, ["SPREAD"], expressions=OWN).values.size


def test_rows_that_do_not_say_what_they_were_computed_by_are_not_given(
    own_factors: Settings, tmp_path: Path
) -> None:
    settings = copied(own_factors, tmp_path / "home")
    dataset = factor_dataset(settings, "custom")
    month = f"{DAY:%Y-%m}"
    dataset.write(month, dataset.read([month]), inputs="i", code="c")
    FeatureStore(settings).refresh()
    with pytest.raises(FeatureDefinitionError, match="by an unknown expression"):
        StoredFeatures(settings).rows(DAY, ["BACK4"], expressions=OWN)


def test_own_factors_alone_need_no_row_of_alpha158(own_factors: Settings, tmp_path: Path) -> None:
    settings = copied(own_factors, tmp_path / "home")
    for month in alpha158_dataset(settings).months():
        alpha158_dataset(settings).remove(month)
    FeatureStore(settings).refresh()
    lookup = StoredFeatures(settings)
    assert lookup.last_date() == DAYS[-1]
    assert lookup.rows(DAY, ["BACK4"]).values.shape == (23, 1)


def test_month_of_own_factors_that_was_written_anew_is_seen_at_once(
    own_factors: Settings, tmp_path: Path
) -> None:
    settings = copied(own_factors, tmp_path / "home")
    lookup = StoredFeatures(settings)
    before = lookup.rows(DAY, ["KMID", "BACK4"]).values
    dataset = factor_dataset(settings, "custom")
    changed = dataset.read(["2020-07"]).with_columns(pl.col("BACK4") + 1)
    dataset.write("2020-07", changed, inputs="others", code="others")
    FeatureStore(settings).refresh()
    after = lookup.rows(DAY, ["KMID", "BACK4"]).values
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    np.testing.assert_allclose(after[:, 1], before[:, 1] + 1, rtol=1e-6)


def test_day_that_one_set_lacks_is_an_error_that_names_the_set(
    own_factors: Settings, tmp_path: Path
) -> None:
    settings = copied(own_factors, tmp_path / "home")
    factor_dataset(settings, "custom").remove("2020-08")
    FeatureStore(settings).refresh()
    lookup = StoredFeatures(settings)
    newest = max(day for day in DAYS if day < date(2020, 8, 1))
    assert lookup.last_date() == DAYS[-1]
    assert lookup.rows(DAYS[-1], ["KMID", "rsi_14"]).values.shape == (23, 2)
    with pytest.raises(
        DatasetMissingError, match=f"custom_factors: .*{DAYS[-1]}; the newest day .* is {newest}"
    ):
        lookup.rows(DAYS[-1], ["KMID", "BACK4"])


def test_indicator_of_ones_own_is_given_only_to_a_model_of_the_same(
    market: Settings, tmp_path: Path
) -> None:
    home = copied(market, tmp_path / "home")
    own = replace(home.indicators, own={"gap": "$rsi_14-Ref($rsi_14,5)"})
    settings = replace(home, indicators=own)
    build_table(settings)
    lookup = StoredFeatures(settings)
    same = {"gap": "$rsi_14 - Ref($rsi_14, 5)"}
    assert lookup.rows(DAY, ["gap", "KMID"], expressions=same).values.shape == (23, 2)
    with pytest.raises(FeatureDefinitionError, match="'gap'"):
        lookup.rows(DAY, ["gap"], expressions={"gap": "$rsi_14"})


@pytest.mark.parametrize("window", [2, 5, 500])
def test_window_holds_the_days_before_by_a_loop_over_them(
    market: Settings, lookup: StoredFeatures, window: int
) -> None:
    """A missing day takes the one before it, else the first that is there."""
    names, day = ["KMID", "ROC5"], DAYS[40]
    days = [one for one in DAYS if one <= day][-window:]
    table = FeatureStore(market).latest()
    assert table is not None
    stored = pl.DataFrame(pl.from_arrow(table.training_frame(FrameSpec(names))))
    found = lookup.rows(day, names, window=window)
    assert found.instruments == lookup.rows(day, names).instruments
    assert found.values.shape == (len(found.instruments), 2 * window)
    for code, values in zip(found.instruments, found.values, strict=True):
        own = {row["date"]: row for row in stored.filter(instrument=code).to_dicts()}
        there = [one for one in days if one in own]
        rows = []
        for one in days:
            past = [other for other in there if other <= one]
            rows.append(own[past[-1] if past else there[0]])
        rows = [rows[0]] * (window - len(rows)) + rows
        expected = np.array([[row[name] for name in names] for row in rows], np.float32)
        np.testing.assert_array_equal(values.reshape(window, 2), expected)
