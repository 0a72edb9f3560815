"""Bars and factors materialized by Dagster, for many months at once and for one."""

import json

import dagster as dg
import polars as pl
import pytest

from qlops_assets.defs.lake.checks import BARS_CHECKS
from qlops_assets.factors.store import alpha158_dataset
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.scan import load_manifest
from qlops_assets_tests.support.dagster_bench import Bench, months

HALF_YEAR = ["2019-01", "2019-02", "2019-03", "2019-04", "2019-05", "2019-06"]
LARGEST_METADATA = 4_000


def shown(materialization: dg.AssetMaterialization) -> dict[str, object]:
    return {name: value.value for name, value in materialization.metadata.items()}


def test_range_of_months_gives_each_its_own_data_version(built: Bench) -> None:
    infos = bars_dataset(built.settings).infos()
    assert list(infos) == HALF_YEAR
    assert {m: built.data_version("bars", m) for m in HALF_YEAR} == {
        month: info.digest for month, info in infos.items()
    }


def test_raw_bars_are_versioned_by_the_files_of_each_month(built: Bench) -> None:
    manifest = load_manifest(built.settings)
    assert manifest is not None
    assert {m: built.data_version("raw_bars", m) for m in HALF_YEAR} == month_versions(manifest)


def test_dagster_itself_reads_the_months_own_data_version(built: Bench) -> None:
    digest = bars_dataset(built.settings).infos()["2019-02"].digest
    record = built.instance.get_latest_data_version_record(
        dg.AssetKey("bars"), partition_key="2019-02-01"
    )
    assert record is not None
    materialization = record.asset_materialization
    assert materialization is not None
    assert (materialization.tags or {})["dagster/data_version"] == digest


def test_one_month_gives_the_version_that_the_range_gave(built: Bench, bench: Bench) -> None:
    bench.write("2019-q1.parquet", months("2019-01", "2019-03"))
    bench.tick()
    bench.run_month("refresh_bars", "2019-02")
    assert bars_dataset(bench.settings).months() == ["2019-02"]
    assert bench.data_version("bars", "2019-02") == built.data_version("bars", "2019-02")


def test_every_month_of_a_range_is_materialized_once_for_dagster(built: Bench) -> None:
    for asset in ("raw_bars", "bars"):
        keys = built.instance.get_materialized_partitions(dg.AssetKey(asset))
        assert sorted(keys) == [f"{month}-01" for month in HALF_YEAR]


def test_metadata_tells_the_month_and_the_run(built: Bench) -> None:
    of_month = months("2019-03", "2019-03")
    facts = shown(built.materialization("bars", "2019-03"))
    assert facts["rows_of_month"] == of_month.height
    assert facts["instruments"] == of_month["instrument"].n_unique()
    assert facts["days"] == of_month["date"].n_unique()
    assert facts["halted_rows"] == of_month.filter(pl.col("volume") == 0).height
    assert facts["rows"] == months("2019-01", "2019-06").height
    assert facts["source"] == str(built.source)
    assert facts["simulated"] is False
    assert {"wall_s", "cpu_s", "peak_mb"} <= facts.keys()


@pytest.mark.parametrize("asset", ["raw_bars", "bars"])
def test_metadata_stays_small(built: Bench, asset: str) -> None:
    for month in HALF_YEAR:
        facts = shown(built.materialization(asset, month))
        assert len(json.dumps(facts, default=str)) < LARGEST_METADATA


def test_metadata_of_a_market_of_many_files_stays_small(bench: Bench) -> None:
    rows = months("2019-01", "2019-01")
    for path in bench.source.iterdir():
        path.unlink()
    codes = [f"SH{600000 + n}" for n in range(300)]
    one = rows.filter(pl.col("instrument") == rows["instrument"][0])
    for code in codes:
        bench.write(f"{code}.parquet", one.with_columns(pl.lit(code).alias("instrument")))
    bench.tick()
    bench.run("refresh_bars", "2019-01", "2019-01")
    facts = shown(bench.materialization("raw_bars", "2019-01"))
    assert facts["files_of_month"] == len(codes)
    assert len(json.dumps(facts, default=str)) < LARGEST_METADATA


def test_steps_are_in_the_journal_with_their_cost(built: Bench) -> None:
    started, finished = built.events("step_started"), built.events("step_finished")
    assert [e["asset"] for e in started] == [e["asset"] for e in finished] == ["raw_bars", "bars"]
    for event in finished:
        assert event["wall_s"] >= 0
        assert event["peak_mb"] > 50  # this process alone is larger
        assert event["run_id"]
        assert event["months"] == 6
    assert built.events("step_failed") == []


def test_every_check_of_the_bars_has_a_result(bench: Bench) -> None:
    bench.tick()
    result = bench.run("refresh_bars", "2019-01", "2019-06")
    evaluations = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert set(evaluations) == set(BARS_CHECKS)
    assert evaluations["no_price_jumps"].passed
    assert evaluations["no_quarantined_files"].passed
    assert all(e.description for e in evaluations.values())


def test_every_check_has_a_result_where_the_only_month_went_away(bench: Bench) -> None:
    bench.tick()
    bench.run("refresh_bars", "2019-01", "2019-06")
    (bench.source / "2019-q2.parquet").unlink()
    bench.tick()
    result = bench.run("refresh_bars", "2019-04", "2019-06")
    assert result.success
    assert {e.check_name for e in result.get_asset_check_evaluations()} == set(BARS_CHECKS)
    assert bars_dataset(bench.settings).months() == ["2019-01", "2019-02", "2019-03"]
    assert bench.data_version("bars", "2019-05") == "absent"


def test_quarantined_file_fails_its_check_and_not_the_run(bench: Bench) -> None:
    broken = bench.source / "broken.parquet"
    broken.write_bytes(b"PAR1 not really")
    bench.age(broken, 60)
    bench.tick()
    result = bench.run("refresh_bars", "2019-01", "2019-06")
    (check,) = [
        e for e in result.get_asset_check_evaluations() if e.check_name == "no_quarantined_files"
    ]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "broken.parquet" in str(check.metadata["examples"].value)


def test_error_of_the_domain_fails_the_step_in_its_own_words(bench: Bench) -> None:
    bench.tick()
    for blob in (bench.settings.lake / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    manifest = load_manifest(bench.settings)
    assert manifest is not None
    for path in bench.source.iterdir():
        path.unlink()
    result = bench.run("refresh_bars", "2019-01", "2019-06", raise_on_error=False)
    assert not result.success
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert failure.user_failure_data is not None
    assert "found no Parquet file" in (failure.user_failure_data.description or "")
    (event,) = bench.events("step_failed")
    assert event["asset"] == "raw_bars"
    assert event["kind"] == "SourceError"
    assert event["error"] == failure.user_failure_data.description


def test_failure_is_not_retried(bench: Bench) -> None:
    for path in bench.source.iterdir():
        path.unlink()
    with pytest.raises(dg.Failure) as caught:
        bench.run("refresh_bars", "2010-01", "2010-01")
    assert caught.value.allow_retries is False


def test_interrupted_step_is_recorded_as_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qlops_assets.lake.bars

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    bench.tick()
    monkeypatch.setattr(qlops_assets.lake.bars, "build_bars", interrupted)
    result = bench.run("refresh_bars", "2019-01", "2019-06", raise_on_error=False)
    assert not result.success
    (event,) = bench.events("step_failed")
    assert (event["asset"], event["kind"]) == ("bars", "KeyboardInterrupt")


def test_factors_of_a_range_and_of_one_month_agree(built: Bench) -> None:
    built.run("refresh_factors", "2019-01", "2019-06")
    whole = alpha158_dataset(built.settings).infos()
    assert {m: built.data_version("alpha158_factors", m) for m in HALF_YEAR} == {
        month: info.digest for month, info in whole.items()
    }
    facts = shown(built.materialization("alpha158_factors", "2019-05"))
    assert facts["factors"] == 158
    assert facts["rows_of_month"] == bars_dataset(built.settings).infos()["2019-05"].rows
    assert len(json.dumps(facts, default=str)) < LARGEST_METADATA

    built.run_month("refresh_factors", "2019-05")
    assert built.data_version("alpha158_factors", "2019-05") == whole["2019-05"].digest
