"""Which months are computed again, against computing everything again."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qlops_assets.core.columns import KEY
from qlops_assets.core.errors import DatasetMissingError, IndicatorError, LakeError
from qlops_assets.core.months import months_between
from qlops_assets.core.settings import IndicatorsSettings, Settings
from qlops_assets.indicators import store
from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.own import own_indicators
from qlops_assets.indicators.store import (
    build_indicators,
    code_version,
    column_names,
    indicator_dataset,
    indicator_inputs,
    stale_months,
)
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.support.indicator_bars import HALTED, assert_same_bits
from qlops_assets_tests.support.market import LATE, copied, market_days, restate

DAYS = market_days()
MONTHS = months_between("2019-01", "2020-08")
OWN = {"gap": "$rsi_14-Ref($rsi_14,3)", "smooth": "EMA($close,9)/$close"}
SOME = ("rsi_14", "sma_60", "ichimoku_senkou_b", "obv", "bbands_width", "kdj_j")


def some_of(settings: Settings, *names: str, **own: str) -> Settings:
    """Return settings that build only these; fewer columns are built faster."""
    return replace(settings, indicators=IndicatorsSettings(names=names, own=own))


def whole(settings: Settings) -> pl.DataFrame:
    """Return the values of one computation of all bars, as they are stored."""
    bars = bars_dataset(settings).read()
    chosen = settings.indicators.names
    return indicators(bars, chosen, own=own_indicators(settings), dtype=pl.Float32)


def assert_store_is_whole(settings: Settings) -> None:
    assert_same_bits(indicator_dataset(settings).read(), whole(settings))


def digests(settings: Settings) -> dict[str, str]:
    return {month: info.digest for month, info in indicator_dataset(settings).infos().items()}


def built(settings: Settings) -> Settings:
    build_indicators(settings, MONTHS)
    return settings


@pytest.fixture(scope="module")
def lived(few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose indicators, some of ours and some own ones, are built. Not to be changed."""
    home = tmp_path_factory.mktemp("lived") / "home"
    return built(some_of(copied(few, home), *SOME, **OWN))


@pytest.fixture
def own_lived(lived: Settings, tmp_path: Path) -> Settings:
    """A copy of that home, for one test to change."""
    return copied(lived, tmp_path / "home")


def test_store_holds_what_one_computation_of_all_bars_gives(lived: Settings) -> None:
    dataset = indicator_dataset(lived)
    assert dataset.months() == MONTHS
    assert dataset.read().columns == [*KEY, *SOME, *OWN]
    assert_store_is_whole(lived)
    assert dataset.read()["gap"].null_count() < dataset.read().height / 2


def test_store_holds_every_usual_name_where_none_is_chosen(own_few: Settings) -> None:
    build_indicators(own_few, MONTHS)
    assert indicator_dataset(own_few).columns("2020-01") == column_names(own_few)
    assert_store_is_whole(own_few)


def test_months_just_built_are_not_stale_and_building_again_gives_the_same(
    own_lived: Settings,
) -> None:
    assert stale_months(own_lived, MONTHS) == []
    before = digests(own_lived)
    written = build_indicators(own_lived, MONTHS[8:11])
    assert list(written) == MONTHS[8:11]
    assert digests(own_lived) == before


def test_footer_says_by_what_own_ones_were_computed(lived: Settings) -> None:
    info = indicator_dataset(lived).info("2019-05")
    assert info is not None
    assert dict(info.expressions) == OWN
    assert info.code == code_version(lived)
    assert info.inputs == indicator_inputs(lived, ["2019-05"])["2019-05"]


# What is stale, and that it is enough.


@pytest.mark.parametrize("day", [DAYS[0], DAYS[150], DAYS[-1]])
def test_restated_bar_makes_its_month_and_all_later_ones_stale_and_no_other(
    own_lived: Settings, day: date
) -> None:
    before = digests(own_lived)
    month = restate(own_lived, "SH600000", day, close=33.0, high=34.0)
    stale = stale_months(own_lived, MONTHS)
    assert stale == [m for m in MONTHS if m >= month]
    written = build_indicators(own_lived, stale)
    assert list(written) == stale
    assert stale_months(own_lived, MONTHS) == []
    assert_store_is_whole(own_lived)
    after = digests(own_lived)
    assert {m for m in MONTHS if after[m] != before[m]} <= set(stale)
    assert after[month] != before[month]


def test_halt_that_was_overlooked_changes_the_later_months(own_lived: Settings) -> None:
    restate(own_lived, "SH600000", DAYS[200], **HALTED)
    build_indicators(own_lived, stale_months(own_lived, MONTHS))
    assert_store_is_whole(own_lived)


def test_new_month_is_the_only_stale_one(own_lived: Settings) -> None:
    last = bars_dataset(own_lived).read([MONTHS[-1]])
    bars_dataset(own_lived).remove(MONTHS[-1])
    build_indicators(own_lived, MONTHS)
    assert indicator_dataset(own_lived).months() == MONTHS[:-1]
    before = digests(own_lived)
    bars_dataset(own_lived).write(MONTHS[-1], last, inputs="new", code="tests")
    assert stale_months(own_lived, MONTHS) == MONTHS[-1:]
    build_indicators(own_lived, MONTHS[-1:])
    assert_store_is_whole(own_lived)
    assert {m: d for m, d in digests(own_lived).items() if m != MONTHS[-1]} == before


def test_month_whose_bars_are_gone_is_removed_and_later_ones_are_stale(
    own_lived: Settings,
) -> None:
    bars_dataset(own_lived).remove("2019-09")
    assert stale_months(own_lived, MONTHS) == [m for m in MONTHS if m > "2019-09"]
    written = build_indicators(own_lived, MONTHS[8:])
    assert "2019-09" not in written
    assert indicator_dataset(own_lived).months() == [m for m in MONTHS if m != "2019-09"]
    assert_store_is_whole(own_lived)


def test_inputs_are_of_months_with_bars_only_and_of_all_before(lived: Settings) -> None:
    some = indicator_inputs(lived, ["2018-12", "2019-01", "2019-03", "2020-09"])
    assert list(some) == ["2019-01", "2019-03"]
    everything = indicator_inputs(lived, MONTHS)
    assert some.items() <= everything.items()
    assert len(set(everything.values())) == len(MONTHS)


def test_changed_definition_makes_every_month_stale(lived: Settings) -> None:
    changed = [
        some_of(lived, *SOME, **{**OWN, "gap": "$rsi_14-Ref($rsi_14,4)"}),
        some_of(lived, *SOME, **OWN, more="$close*1"),
        some_of(lived, *SOME),
        some_of(lived, *SOME[1:], **OWN),
        replace(lived, indicators=IndicatorsSettings(own=OWN)),
    ]
    for other in changed:
        assert stale_months(other, MONTHS) == MONTHS
    assert stale_months(replace(lived, factors={"SWING": "$high/$low"}), MONTHS) == []


def test_changed_definition_is_in_the_months_that_are_built_again(own_lived: Settings) -> None:
    other = some_of(own_lived, "mom_10", gap="$rsi_6-Ref($rsi_14,4)")
    build_indicators(other, stale_months(other, MONTHS))
    assert stale_months(other, MONTHS) == []
    assert_store_is_whole(other)


def test_damaged_month_is_stale(own_lived: Settings) -> None:
    file = indicator_dataset(own_lived).folder / "2019-07.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    assert stale_months(own_lived, MONTHS) == ["2019-07"]
    build_indicators(own_lived, ["2019-07"])
    assert_store_is_whole(own_lived)


# However it is cut.


@pytest.mark.parametrize("at_once", [1, 600, 5_000])
def test_pieces_are_the_whole(
    own_lived: Settings, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    before = digests(own_lived)
    pieces: list[Sequence[str]] = []
    computed = store._computed

    def counted(settings: Settings, months: Sequence[str]) -> dict[str, pl.DataFrame]:
        pieces.append(months)
        return computed(settings, months)

    monkeypatch.setattr(store, "_VALUES_AT_ONCE", at_once)
    monkeypatch.setattr(store, "_computed", counted)
    for month in MONTHS[::3]:
        indicator_dataset(own_lived).remove(month)
    written = build_indicators(own_lived, MONTHS)
    assert [month for piece in pieces for month in piece] == MONTHS == list(written)
    assert len(pieces) == len(MONTHS) if at_once == 1 else 2 <= len(pieces) <= len(MONTHS)
    assert digests(own_lived) == before


@hypothesis_settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.permutations(MONTHS), cuts=st.sets(st.integers(1, 19), max_size=4))
def test_months_built_in_any_order_and_company_are_the_whole(
    own_lived: Settings, order: list[str], cuts: set[int]
) -> None:
    before = digests(own_lived)
    for month in MONTHS:
        indicator_dataset(own_lived).remove(month)
    bounds = [0, *sorted(cuts), len(MONTHS)]
    for first, last in itertools.pairwise(bounds):
        build_indicators(own_lived, order[first:last])
    assert digests(own_lived) == before


def test_months_far_apart_are_built_without_those_between(own_lived: Settings) -> None:
    before = indicator_dataset(own_lived).infos()
    written = build_indicators(own_lived, ["2020-07", "2019-02"])
    assert list(written) == ["2019-02", "2020-07"]
    assert {m: info.digest for m, info in written.items()} == {m: before[m].digest for m in written}


# None, or none that can be built.


def test_no_names_and_no_own_ones_build_none_and_remove_what_there_was(
    own_lived: Settings,
) -> None:
    none = some_of(own_lived)
    assert column_names(none) == []
    assert build_indicators(none, MONTHS) == {}
    assert indicator_dataset(none).months() == []


def test_own_ones_alone_are_built_where_no_names_are(own_lived: Settings) -> None:
    mine = some_of(own_lived, **OWN)
    build_indicators(mine, MONTHS)
    assert indicator_dataset(mine).columns("2019-01") == [*OWN]
    assert_store_is_whole(mine)


def test_instrument_listed_late_has_its_first_values_after_its_own_warm_up(
    lived: Settings,
) -> None:
    rows = indicator_dataset(lived).read().filter(pl.col("instrument") == LATE)
    bars = bars_dataset(lived).read().filter(pl.col("instrument") == LATE)
    traded = rows.filter(bars["volume"] > 0)
    assert traded["rsi_14"].is_null().to_list() == [True] * 14 + [False] * (traded.height - 14)


def test_vwap_that_a_source_lacks_leaves_its_readers_alone_without_values(
    own_few: Settings,
) -> None:
    bars = bars_dataset(own_few)
    for month in MONTHS[:3]:
        rows = bars.read([month]).with_columns(vwap=pl.lit(None, pl.Float64))
        bars.write(month, rows, inputs="no vwap", code="tests")
    settings = some_of(own_few, "vwap_5", above="$close/$vwap", swing="$vwap_5/$close")
    build_indicators(settings, MONTHS[:3])
    rows = indicator_dataset(settings).read(MONTHS[:3])
    assert rows["above"].count() == 0
    assert rows["swing"].count() == rows["vwap_5"].count() > 0


def test_month_in_which_nothing_was_traded_has_rows_without_values(own_lived: Settings) -> None:
    bars = bars_dataset(own_lived)
    halted = bars.read(["2020-08"]).with_columns(
        *(pl.lit(value, pl.Float64).alias(name) for name, value in HALTED.items())
    )
    bars.write("2020-08", halted, inputs="halted", code="tests")
    build_indicators(own_lived, ["2020-08"])
    rows = indicator_dataset(own_lived).read(["2020-08"])
    assert rows.select(KEY).equals(halted.select(KEY))
    assert rows.select(pl.col(SOME).count()).row(0) == (0,) * len(SOME)


def test_indicator_that_cannot_be_used_is_refused_before_anything_is_removed(
    own_lived: Settings,
) -> None:
    before = digests(own_lived)
    bars_dataset(own_lived).remove("2019-09")
    for other in (some_of(own_lived, "rsj_14"), some_of(own_lived, bad="$clsoe*1")):
        with pytest.raises(IndicatorError):
            build_indicators(other, MONTHS)
        with pytest.raises(IndicatorError):
            stale_months(other, MONTHS)
    assert digests(own_lived) == before


def test_damaged_bars_are_named(own_lived: Settings) -> None:
    file = bars_dataset(own_lived).folder / "2019-07.parquet"
    content = bytearray(file.read_bytes())
    content[4:400] = b"\xff" * 396
    file.write_bytes(content)
    with pytest.raises(LakeError, match=str(file)):
        build_indicators(own_lived, MONTHS)


def test_store_without_bars_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissingError, match="materialize raw_bars and bars first"):
        build_indicators(Settings(home=tmp_path), ["2020-01"])
    assert stale_months(Settings(home=tmp_path), ["2020-01"]) == []
