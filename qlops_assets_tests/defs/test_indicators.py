"""The asset of technical indicators, run by Dagster."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import polars as pl
import pytest

from qlops_assets.core.settings import IndicatorsSettings
from qlops_assets.definitions import build_definitions
from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.own import own_indicators
from qlops_assets.indicators.store import code_version, column_names, indicator_dataset
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.support.dagster_bench import Bench, day_changed, months, quiet
from qlops_assets_tests.support.indicator_bars import assert_same_bits

HALF_YEAR = ["2019-01", "2019-02", "2019-03", "2019-04", "2019-05", "2019-06"]
ASSET = "indicator_features"
KEY = dg.AssetKey(ASSET)
JOB = "refresh_indicators"
CHOSEN = IndicatorsSettings(names=("rsi_14", "sma_20"), own={"gap": "$rsi_14-$rsi_6"})
LARGEST_TEXT = 1_500


def with_indicators(bench: Bench, *names: str, **own: str) -> Bench:
    """Return the same home and instance with other indicators."""
    return Bench(bench.folder, bench.instance, indicators=IndicatorsSettings(names=names, own=own))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A home with bars of half a year, whose indicators were materialized once.

    A test that changes something brings it back.
    """
    bench = Bench(tmp_path_factory.mktemp("lived"), indicators=CHOSEN)
    for month in HALF_YEAR:
        bench.write(f"{month}.parquet", months(month, month))
    bench.tick()
    bench.run("refresh_bars", HALF_YEAR[0], HALF_YEAR[-1])
    bench.run(JOB, HALF_YEAR[0], HALF_YEAR[-1])
    yield bench
    bench.instance.dispose()


def definition(bench: Bench) -> tuple[str | None, dict[str, Any]]:
    """Return the asset's code version and its metadata as a code location would load them."""
    asset = bench.definitions().resolve_assets_def(ASSET)
    metadata = asset.metadata_by_key[KEY]
    values = {name: getattr(value, "value", value) for name, value in metadata.items()}
    return asset.code_versions_by_key[KEY], values


def shown(materialization: dg.AssetMaterialization) -> dict[str, Any]:
    return {name: value.value for name, value in materialization.metadata.items()}


def assert_store_is_whole(bench: Bench) -> None:
    settings = bench.settings
    expected = indicators(
        bars_dataset(settings).read(),
        settings.indicators.names,
        own=own_indicators(settings),
        dtype=pl.Float32,
    )
    assert_same_bits(indicator_dataset(settings).read(), expected)


def test_range_of_months_has_rows_and_a_version_for_each(lived: Bench) -> None:
    infos = indicator_dataset(lived.settings).infos()
    assert list(infos) == HALF_YEAR
    assert {m: lived.data_version(ASSET, m) for m in HALF_YEAR} == {
        month: info.digest for month, info in infos.items()
    }
    assert_store_is_whole(lived)


def test_metadata_of_a_month_tells_what_was_computed(lived: Bench) -> None:
    facts = shown(lived.materialization(ASSET, "2019-03"))
    info = indicator_dataset(lived.settings).info("2019-03")
    assert info is not None
    assert facts["indicators"] == 3
    assert facts["rows"] == bars_dataset(lived.settings).read().height
    assert facts["rows_of_month"] == info.rows
    assert facts["digest"] == info.digest
    assert facts["definitions"] == code_version(lived.settings) == info.code
    assert facts["simulated"] is False
    assert facts["wall_s"] >= 0.0


def test_journal_has_the_step_from_its_start_to_its_end(lived: Bench) -> None:
    started = [e for e in lived.events("step_started") if e["asset"] == ASSET]
    finished = [e for e in lived.events("step_finished") if e["asset"] == ASSET]
    assert started[0]["months"] == 6
    assert finished[0]["indicators"] == 3
    assert finished[0]["run_id"] == started[0]["run_id"]


def test_one_month_alone_gives_what_the_range_gave(lived: Bench) -> None:
    """Its values are computed from an instrument's first bar on, five months before."""
    before = lived.data_version(ASSET, "2019-06")
    indicator_dataset(lived.settings).remove("2019-06")
    result = lived.run_month(JOB, "2019-06")
    assert result.success
    assert lived.data_version(ASSET, "2019-06") == before
    assert_store_is_whole(lived)


def test_asset_shows_its_columns_and_their_version(lived: Bench) -> None:
    code, shown_values = definition(lived)
    assert code == code_version(lived.settings)
    assert shown_values["columns"] == 3
    assert shown_values["names"] == "rsi_14, sma_20, gap"


def test_asset_of_many_columns_shows_the_first_of_them(lived: Bench) -> None:
    many = with_indicators(lived, *(f"sma_{days}" for days in range(2, 400)))
    _, shown_values = definition(many)
    assert shown_values["columns"] == 398
    assert len(shown_values["names"]) <= LARGEST_TEXT


def test_code_version_follows_the_settings(lived: Bench) -> None:
    others = [
        with_indicators(lived, "rsi_14", **CHOSEN.own),
        with_indicators(lived, "rsi_14", "sma_20", gap="$rsi_14-$rsi_12"),
        with_indicators(lived, "rsi_14", "sma_20"),
        Bench(lived.folder, lived.instance),
    ]
    versions = [definition(bench)[0] for bench in (lived, *others)]
    assert len(set(versions)) == 5
    again = Bench(lived.folder, lived.instance, factors={"a": "$close/1"}, indicators=CHOSEN)
    assert definition(again)[0] == versions[0]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (
            IndicatorsSettings(names=("rsj_14",)),
            "Settings(indicators=…) names: indicator 'rsj_14': is unknown; did you mean 'rsi_14'?",
        ),
        (
            IndicatorsSettings(own={"gap": "$rsi_14-$rsj_6"}),
            "Settings(indicators=…) own gap: character 9: unknown field '$rsj_6'; did you mean",
        ),
        (
            IndicatorsSettings(own={"gap": "no_such_module:function"}),
            "Settings(indicators=…) own gap: there is no Python module 'no_such_module'",
        ),
        (
            IndicatorsSettings(names=(), own={"gap": "json:dumps"}),
            "Settings(indicators=…) own gap: json:dumps failed: TypeError: ",
        ),
    ],
)
def test_indicator_that_cannot_be_used_fails_its_own_step_in_its_words(
    lived: Bench, chosen: IndicatorsSettings, said: str
) -> None:
    before = indicator_dataset(lived.settings).infos()
    broken = Bench(lived.folder, lived.instance, indicators=chosen)
    assert broken.run("refresh_bars", "2019-06", "2019-06").success
    result = broken.run(JOB, "2019-05", "2019-06", raise_on_error=False)
    assert not result.success
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert failure.user_failure_data.description.startswith(said)
    assert broken.events("step_failed")[-1]["error"].startswith(said)
    assert indicator_dataset(lived.settings).infos() == before


def test_definitions_load_with_an_indicator_that_cannot_be_used_and_say_what_is_wrong(
    lived: Bench,
) -> None:
    broken = with_indicators(lived, "rsi_14", gap="Ref($close,-1)")
    with quiet():
        assert build_definitions(broken.settings).resolve_job_def("refresh_bars")
    code, shown_values = definition(broken)
    assert code == "unusable"
    assert "Ref by -1 looks 1 days ahead" in shown_values["error"]


def test_month_without_bars_is_absent(lived: Bench) -> None:
    bars, rows = bars_dataset(lived.settings), bars_dataset(lived.settings).read(["2019-06"])
    info = bars.info("2019-06")
    assert info is not None
    bars.remove("2019-06")
    lived.run(JOB, "2019-05", "2019-06")
    assert lived.data_version(ASSET, "2019-06") == "absent"
    assert "rows_of_month" not in shown(lived.materialization(ASSET, "2019-06"))
    assert indicator_dataset(lived.settings).months() == HALF_YEAR[:-1]
    bars.write("2019-06", rows, inputs=info.inputs, code=info.code)
    lived.run_month(JOB, "2019-06")
    assert_store_is_whole(lived)


def test_without_indicators_the_asset_removes_its_rows_and_computes_nothing(lived: Bench) -> None:
    none = with_indicators(lived)
    none.run(JOB, "2019-05", "2019-06")
    facts = shown(none.materialization(ASSET, "2019-06"))
    assert (facts["indicators"], facts["rows"]) == (0, 0)
    assert none.data_version(ASSET, "2019-06") == "absent"
    assert definition(none)[1]["columns"] == len(column_names(none.settings)) == 0
    assert indicator_dataset(none.settings).months() == HALF_YEAR[:4]
    lived.run(JOB, HALF_YEAR[0], HALF_YEAR[-1])
    assert_store_is_whole(lived)


class Automation:
    """The evaluations of one home, one after the other, as the daemon makes them."""

    def __init__(self) -> None:
        self.cursor: Any = None

    def requested(self, bench: Bench) -> list[str]:
        """Evaluate once and return the months of indicators that are asked for."""
        with quiet():
            result = dg.evaluate_automation_conditions(
                defs=bench.definitions(),
                instance=bench.instance,
                asset_selection=dg.AssetSelection.assets(KEY, "alpha158_factors"),
                cursor=self.cursor,
            )
        self.cursor = result.cursor
        return sorted(key[:7] for key in result.get_requested_partitions(KEY))


def test_changed_indicators_ask_for_every_month_once(lived: Bench) -> None:
    automation = Automation()
    other = with_indicators(lived, "rsi_14", "sma_20", gap="$rsi_14-$rsi_12")
    asked = [automation.requested(bench) for bench in (lived, lived, other, other)]
    assert asked == [[], [], HALF_YEAR, []]


def test_restated_bars_ask_for_their_month_and_all_later_ones(lived: Bench) -> None:
    automation = Automation()
    assert automation.requested(lived) == []
    lived.write("2019-04.parquet", day_changed(months("2019-04", "2019-04"), date(2019, 4, 10)))
    lived.tick()
    lived.run("refresh_bars", "2019-04", "2019-04")
    assert automation.requested(lived) == ["2019-04", "2019-05", "2019-06"]
    lived.run(JOB, "2019-04", "2019-06")
    assert automation.requested(lived) == []
    assert_store_is_whole(lived)


def test_indicator_without_values_is_a_warning_that_names_it(lived: Bench) -> None:
    def check_of(result: Any) -> dg.AssetCheckEvaluation:
        (found,) = result.get_asset_check_evaluations()
        return found

    well = check_of(lived.run(JOB, "2019-04", "2019-05"))
    assert (well.passed, well.description) == (True, "nothing is")
    never = with_indicators(lived, "rsi_14", never="Log(0-$close)")
    found = check_of(never.run(JOB, "2019-04", "2019-05"))
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "missing: never 100%"
    lived.run(JOB, HALF_YEAR[0], HALF_YEAR[-1])
    assert_store_is_whole(lived)
