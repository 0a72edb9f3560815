"""Factor assets and their checks, run by Dagster."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
import pytest

import qlops_assets.factors.store
from qlops_assets.defs.factors.checks import AGREEMENT_CHECKS
from qlops_assets.defs.partitions import month_range_tags, months_of_run
from qlops_assets.factors.sets import custom_set
from qlops_assets.factors.store import alpha158_dataset, factor_dataset
from qlops_assets.lake.datasets import by_month
from qlops_assets_tests.support.dagster_bench import Bench, months, quiet

HALF_YEAR = ["2019-01", "2019-02", "2019-03", "2019-04", "2019-05", "2019-06"]
OWN = {"momentum_10": "$close/Ref($close,10)-1", "slow": "EMA($close,30)/$close"}
RARE = {"RARE": "If($volume>3e6,$close,Log(-1*$close))"}  # a value on days of large volume
LARGEST_METADATA = 4_000
CUSTOM_CHECK = AGREEMENT_CHECKS["custom"]
ALPHA158_CHECK = AGREEMENT_CHECKS["alpha158"]
CHECK_OF_MISSING = "no_factor_mostly_missing"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A home with bars of half a year, and factors of one's own that were materialized once."""
    bench = Bench(tmp_path_factory.mktemp("lived"), factors=dict(OWN))
    bench.write("2019.parquet", months("2019-01", "2019-06"))
    bench.tick()
    bench.run("refresh_bars", "2019-01", "2019-06")
    bench.run("refresh_custom_factors", "2019-01", "2019-06")
    yield bench
    bench.instance.dispose()


def checks(result: Any) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def shown(materialization: dg.AssetMaterialization) -> dict[str, Any]:
    return {name: value.value for name, value in materialization.metadata.items()}


@pytest.fixture
def wrong_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every computation come out a thousandth too large in its last column."""

    def wrong(block: pl.DataFrame) -> dict[str, pl.DataFrame]:
        return by_month(block.with_columns(pl.col(block.columns[-1]) * 1.001))

    monkeypatch.setattr(qlops_assets.factors.store, "by_month", wrong)


def test_own_factors_of_a_range_have_rows_and_a_version_for_each_month(lived: Bench) -> None:
    infos = factor_dataset(lived.settings, "custom").infos()
    assert list(infos) == HALF_YEAR
    assert {m: lived.data_version("custom_factors", m) for m in HALF_YEAR} == {
        month: info.digest for month, info in infos.items()
    }
    rows = factor_dataset(lived.settings, "custom").read(["2019-05"])
    assert rows.columns == ["instrument", "date", "momentum_10", "slow"]


def test_metadata_of_own_factors_tells_what_they_are(lived: Bench) -> None:
    facts = shown(lived.materialization("custom_factors", "2019-03"))
    assert facts["factors"] == 2
    assert facts["engine"] == "native"
    assert facts["expressions"] == OWN
    assert facts["definitions"] == custom_set(lived.settings).code_version(lived.settings)
    assert set(facts["missing_by_factor"]) == set(OWN)
    assert facts["rows_of_month"] == factor_dataset(lived.settings, "custom").info("2019-03").rows
    assert len(json.dumps(facts, default=str)) < LARGEST_METADATA


def test_metadata_of_many_own_factors_stays_small(lived: Bench) -> None:
    many = {f"factor_{n:03}": f"Mean($close,{n + 2})/$close" + "+$close" * 20 for n in range(200)}
    bench = Bench(lived.folder, lived.instance, factors=many)
    asset = bench.definitions().resolve_assets_def("custom_factors")
    shown_expressions = asset.metadata_by_key[dg.AssetKey("custom_factors")]["expressions"].value
    assert len(json.dumps(shown_expressions)) < LARGEST_METADATA / 2
    last = list(shown_expressions)[-1]
    assert shown_expressions[last] == f"and {200 - len(shown_expressions) + 1} more"


def test_check_against_qlib_runs_with_every_materialization(lived: Bench) -> None:
    """Automation and people ask for assets, not for checks: those ride along."""
    with quiet():
        everything = lived.definitions().resolve_implicit_global_asset_job_def()
        result = everything.execute_in_process(
            instance=lived.instance,
            asset_selection=[dg.AssetKey("custom_factors")],
            partition_key="2019-04-01",
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    found = checks(result)
    assert set(found) == {CUSTOM_CHECK, CHECK_OF_MISSING}
    check = found[CUSTOM_CHECK]
    assert check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert check.metadata["months"].value == "2019-04"
    assert check.metadata["cells"].value == 2 * 6 * months("2019-04", "2019-04")["date"].n_unique()


def test_job_of_a_range_checks_the_newest_month_and_one_more(lived: Bench) -> None:
    check = checks(lived.run("refresh_custom_factors", "2019-02", "2019-06"))[CUSTOM_CHECK]
    assert check.passed
    seen = str(check.metadata["months"].value).split(", ")
    assert len(seen) == 2
    assert seen[-1] == "2019-06"


def test_wrong_values_fail_the_check_and_name_the_worst_cells(
    lived: Bench, wrong_engine: None
) -> None:
    result = lived.run_month("refresh_custom_factors", "2019-05")
    check = checks(result)[CUSTOM_CHECK]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert "are not Qlib's, first slow of" in (check.description or "")
    worst = check.metadata["worst"].value
    assert len(worst) == 10
    assert all(cell.startswith("slow of S") for cell in worst)
    sample = str(check.metadata["instruments"].value).split(", ")
    rows = factor_dataset(lived.settings, "custom").read(["2019-05"])
    of_sample = rows.filter(pl.col("instrument").is_in(sample))
    assert check.metadata["violations"].value == of_sample["slow"].count()
    (event,) = lived.events("check_failed")
    assert (event["asset"], event["check"]) == ("custom_factors", CUSTOM_CHECK)
    assert event["error"] == check.description


def test_wrong_alpha158_fails_its_check(lived: Bench, wrong_engine: None) -> None:
    check = checks(lived.run_month("refresh_factors", "2019-03"))[ALPHA158_CHECK]
    assert not check.passed
    assert "VSUMD60 of" in (check.description or "")


def test_right_alpha158_passes_its_checks(lived: Bench) -> None:
    found = checks(lived.run_month("refresh_factors", "2019-06"))
    assert found[ALPHA158_CHECK].passed
    assert found[CHECK_OF_MISSING].passed


def test_one_changed_value_in_the_store_is_found_by_the_check_alone(lived: Bench) -> None:
    lived.run_month("refresh_factors", "2019-03")
    dataset = alpha158_dataset(lived.settings)
    info, rows = dataset.info("2019-03"), dataset.read(["2019-03"])
    assert info is not None
    one_day = pl.when(pl.col("date") == rows["date"][3]).then(0.5).otherwise(pl.col("KMID"))
    dataset.write("2019-03", rows.with_columns(KMID=one_day.cast(pl.Float32)), inputs="", code="")
    key = dg.AssetCheckKey(dg.AssetKey("alpha158_factors"), ALPHA158_CHECK)
    with quiet():
        everything = lived.definitions().resolve_implicit_global_asset_job_def()
        job = everything.get_subset(asset_check_selection={key})
        result = job.execute_in_process(instance=lived.instance)
    check = checks(result)[ALPHA158_CHECK]
    assert not check.passed
    assert check.metadata["violations"].value == 6
    lived.run_month("refresh_factors", "2019-03")


def test_factor_that_is_mostly_missing_is_a_warning_that_names_it(lived: Bench) -> None:
    bench = Bench(lived.folder, lived.instance, factors=dict(RARE))
    check = checks(bench.run("refresh_custom_factors", "2019-01", "2019-06"))[CHECK_OF_MISSING]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert (check.description or "").startswith("missing: RARE 9")


def test_factor_without_a_value_fails_its_step_and_is_named(lived: Bench) -> None:
    bench = Bench(lived.folder, lived.instance, factors={"never": "Log(-1*$close)"})
    result = bench.run("refresh_custom_factors", "2019-01", "2019-06", raise_on_error=False)
    assert not result.success
    assert "first 'never' = Log(-1*$close)" in bench.events("step_failed")[-1]["error"]


def test_without_own_factors_the_asset_says_so_and_computes_nothing(bench: Bench) -> None:
    bench.tick()
    bench.run("refresh_bars", "2019-01", "2019-06")
    result = bench.run("refresh_custom_factors", "2019-01", "2019-06")
    facts = shown(bench.materialization("custom_factors", "2019-02"))
    assert "`qlops factor add`" in facts["note"]
    assert (facts["factors"], facts["rows"]) == (0, 0)
    assert bench.data_version("custom_factors", "2019-02") == "absent"
    assert all(check.passed for check in checks(result).values())
    assert factor_dataset(bench.settings, "custom").months() == []
    assert not (bench.settings.lake / "qlib").exists()


def test_own_factors_that_were_taken_away_lose_their_rows(lived: Bench) -> None:
    none = Bench(lived.folder, lived.instance)
    none.run("refresh_custom_factors", "2019-01", "2019-02")
    assert factor_dataset(none.settings, "custom").months() == HALF_YEAR[2:]
    lived.run("refresh_custom_factors", "2019-01", "2019-06")


def test_unusable_factor_fails_its_own_step_and_no_other(bench: Bench) -> None:
    bench.tick()
    broken = Bench(bench.folder, bench.instance, factors={"bad": "Maen($close,5)"})
    broken.run("refresh_bars", "2019-01", "2019-06")
    result = broken.run("refresh_custom_factors", "2019-01", "2019-06", raise_on_error=False)
    assert not result.success
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    said = failure.user_failure_data.description
    assert said.startswith("Settings(factors=…) bad: expression, character 1: unknown operator")


def test_months_of_a_run_are_those_of_its_tags() -> None:
    assert months_of_run({"dagster/partition": "2020-02-01"}) == ["2020-02"]
    assert months_of_run(month_range_tags("2019-12", "2020-02")) == [
        "2019-12",
        "2020-01",
        "2020-02",
    ]
    assert months_of_run({"qlops/trigger": "x"}) == []


def test_changed_definitions_ask_for_every_month_and_nothing_else(lived: Bench) -> None:
    key = dg.AssetKey("custom_factors")
    selection = dg.AssetSelection.assets("custom_factors", "alpha158_factors")
    lived.run("refresh_custom_factors", "2019-01", "2019-06")
    other = Bench(lived.folder, lived.instance, factors={**OWN, "swing": "$high/$low"})
    cursor, asked = None, []
    for bench in (lived, lived, other, other):
        with quiet():
            result = dg.evaluate_automation_conditions(
                defs=bench.definitions(),
                instance=lived.instance,
                asset_selection=selection,
                cursor=cursor,
            )
        cursor = result.cursor
        asked.append(sorted(k[:7] for k in result.get_requested_partitions(key)))
        assert not result.get_requested_partitions(dg.AssetKey("alpha158_factors"))
    assert asked == [[], [], HALF_YEAR, []]
