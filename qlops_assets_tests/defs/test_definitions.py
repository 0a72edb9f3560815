"""What the asset graph looks like to those who open it."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qlops_assets.core.settings import EnvironmentSettings, Settings, SourceSettings
from qlops_assets.definitions import build_definitions
from qlops_assets.defs.partitions import build_partitions, month_range_tags, months_of
from qlops_assets_tests.support.asset_groups import ASSET_GROUPS
from qlops_assets_tests.support.dagster_bench import Bench, quiet

LARGEST_SUM_OF_PARTITIONS = 50_000


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    with quiet():
        return build_definitions(Settings(home=tmp_path_factory.mktemp("home")))


def specs(definitions: dg.Definitions) -> dict[str, Any]:
    return {s.key.to_user_string(): s for s in definitions.resolve_all_asset_specs()}


def test_definitions_load_whole(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_definitions_are_made_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_definitions(Settings(home=tmp_path))


def test_module_offers_its_definitions_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QLOPS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import qlops_assets.definitions as module

    monkeypatch.delitem(vars(module), "defs", raising=False)
    with quiet():
        assert isinstance(module.defs, dg.Definitions)
    assert "defs" in dir(module)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing
    monkeypatch.delitem(vars(module), "defs", raising=False)


def test_every_asset_is_in_the_group_of_its_room(definitions: dg.Definitions) -> None:
    assert {name: s.group_name for name, s in specs(definitions).items()} == ASSET_GROUPS


@pytest.mark.parametrize("asset", sorted(ASSET_GROUPS))
def test_every_asset_says_what_it_is(definitions: dg.Definitions, asset: str) -> None:
    spec = specs(definitions)[asset]
    assert spec.owners
    assert spec.kinds
    assert spec.code_version
    first = (spec.description or "").splitlines()[0]
    assert 20 < len(first) < 100
    assert first.endswith(".")


def test_every_check_says_what_it_looks_for(definitions: dg.Definitions) -> None:
    checks = [s for a in definitions.resolve_asset_graph().assets_defs for s in a.check_specs]
    assert {str(s.key.asset_key.to_user_string()) for s in checks} == {
        *("bars", "alpha158_factors", "custom_factors", "indicator_features"),
        *("factor_report", "model_evaluation"),
    }
    assert [s.name for s in checks if not s.description] == []


def test_graph_leads_from_the_source_to_the_deployment(definitions: dg.Definitions) -> None:
    deps = {
        name: {d.asset_key.to_user_string() for d in spec.deps}
        for name, spec in specs(definitions).items()
    }
    assert deps == {
        "raw_bars": set(),
        "bars": {"raw_bars"},
        "source_versions": {"raw_bars"},
        "alpha158_factors": {"bars"},
        "custom_factors": {"bars"},
        "factor_report": {"alpha158_factors", "custom_factors", "bars"},
        "indicator_features": {"bars"},
        "feature_table": {"alpha158_factors", "custom_factors", "indicator_features"},
        "feature_table_versions": {"feature_table"},
        "training_set": {"feature_table", "bars"},
        "trained_model": {"training_set"},
        "model_evaluation": {"trained_model"},
        "tuning_study": {"feature_table", "bars"},
        "deployment": {"model_evaluation"},
    }


def test_jobs_together_cover_every_asset(definitions: dg.Definitions) -> None:
    names = (
        *("refresh_bars", "refresh_factors", "refresh_custom_factors", "report_factors"),
        *("train_model", "tune_model", "deploy_model", "prune_source_versions"),
        *("refresh_indicators", "refresh_features", "compact_feature_table"),
    )
    covered = [
        key.to_user_string()
        for name in names
        for key in definitions.resolve_job_def(name).asset_layer.executable_asset_keys
    ]
    assert sorted(covered) == sorted(ASSET_GROUPS)


def test_everything_that_starts_by_itself_runs_from_the_start(definitions: dg.Definitions) -> None:
    with quiet():
        sensors = definitions.get_repository_def().sensor_defs
    assert {s.name for s in sensors} == {"source_files_changed", "automation"}
    assert {s.default_status for s in sensors} == {dg.DefaultSensorStatus.RUNNING}
    with quiet():
        schedules = definitions.get_repository_def().schedule_defs
    assert {s.name: s.cron_schedule for s in schedules} == {
        "weekly_factor_report": "0 6 * * 6",
        "weekly_retention": "0 5 * * 0",
        "weekly_compaction": "30 5 * * 0",
        "rolling_retraining": "30 18 * * 1-5",
    }
    assert {s.default_status for s in schedules} == {dg.DefaultScheduleStatus.RUNNING}


def test_months_begin_with_the_first_month_of_the_data(built: Bench) -> None:
    partitions = built.definitions().resolve_assets_def("bars").partitions_def
    assert partitions is not None
    assert partitions.get_partition_keys()[0] == "2019-01-01"


def test_months_begin_where_the_settings_say() -> None:
    settings = Settings(source=SourceSettings(first_month="2015-07"))
    month = build_partitions(settings, "2012-01").month
    assert month.get_partition_keys()[0] == "2015-07-01"


def test_months_begin_in_2010_before_the_first_scan() -> None:
    month = build_partitions(Settings(), None).month
    assert month.get_partition_keys()[0] == "2010-01-01"


def test_running_month_is_a_partition() -> None:
    from qlops_assets.core.clock import SystemClock

    now = SystemClock().now()
    assert build_partitions(Settings(), None).month.get_partition_keys()[-1] == f"{now:%Y-%m}-01"


def test_environments_of_the_settings_are_the_partitions_of_deployment() -> None:
    places = {name: EnvironmentSettings(port=1) for name in ("lab", "live")}
    both = build_partitions(Settings(environments=places), None).environment_and_version
    dimension = both.get_partitions_def_for_dimension("environment")
    assert list(dimension.get_partition_keys()) == ["lab", "live"]


def test_partitions_of_half_a_century_stay_few() -> None:
    settings = Settings(source=SourceSettings(first_month="1970-01"))
    month = build_partitions(settings, None).month
    environments, versions = len(settings.environments), 2_000
    assert 3 * len(month.get_partition_keys()) + (3 + environments) * versions < (
        LARGEST_SUM_OF_PARTITIONS
    )


def test_months_and_keys_translate_into_each_other() -> None:
    assert months_of(["2020-01-01", "2020-12-01"]) == ["2020-01", "2020-12"]
    assert month_range_tags("2020-01", "2020-03") == {
        "dagster/asset_partition_range_start": "2020-01-01",
        "dagster/asset_partition_range_end": "2020-03-01",
    }


def test_an_engine_of_another_name_is_another_code_version(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    other = replace(settings, features=replace(settings.features, engine="qlib"))
    with quiet():
        versions = [
            specs(build_definitions(s))["alpha158_factors"].code_version for s in (settings, other)
        ]
    assert len(set(versions)) == 2
