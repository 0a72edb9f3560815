"""The asset ``factor_report``, its check and its schedule, on the small market."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qlops_assets.core.settings import FactorReportSettings, Settings
from qlops_assets.definitions import build_definitions
from qlops_assets.defs.factors.report_schedule import weekly_factor_report
from qlops_assets.defs.platform import Platform
from qlops_assets.factors.report import Scope, build_report, load_report
from qlops_assets.training.features import report_scope
from qlops_assets_tests.support.dagster_bench import quiet
from qlops_assets_tests.support.market import copied, market_days
from qlops_assets_tests.support.market_fixtures import market, shared_folder

__all__ = ["market", "shared_folder"]

ASSET = dg.AssetKey("factor_report")
LARGEST_TEXT, LARGEST_PICTURE = 4_000, 24_000
FEW = ["KMID", "ROC5", "MA5"]


@pytest.fixture
def home(market: Settings, tmp_path: Path) -> Settings:
    return copied(market, tmp_path / "home")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(settings: Settings, instance: dg.DagsterInstance, **config: Any) -> Any:
    with quiet():
        job = build_definitions(settings).resolve_job_def("report_factors")
        options = {"ops": {"factor_report": {"config": config}}} if config else {}
        loggers = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return job.execute_in_process(
            instance=instance, run_config={**loggers, **options}, raise_on_error=False
        )


def shown(instance: dg.DagsterInstance) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(ASSET)
    assert event is not None
    assert event.asset_materialization is not None
    return {k: v.value for k, v in event.asset_materialization.metadata.items()}


def check_of(result: Any) -> dg.AssetCheckEvaluation:
    (evaluation,) = result.get_asset_check_evaluations()
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    return evaluation


def test_asset_makes_the_report_of_all_factors_and_shows_it(
    home: Settings, instance: dg.DagsterInstance
) -> None:
    result = run(home, instance)
    assert result.success
    record = load_report(home)
    assert record is not None
    assert record.selection is not None
    facts = shown(instance)
    assert (facts["factors"], facts["selected"]) == (158, len(record.selection.kept))
    assert facts["days"] == f"{record.analysis.first} to {record.analysis.last}"
    assert facts["snapshot"] == record.snapshot
    assert facts["simulated"] is False
    strongest = record.analysis.summary["rank_icir"].abs().arg_max()
    assert f"| {record.analysis.factors[strongest or 0]} | " in facts["strongest"].splitlines()[2]
    assert len(facts["strongest"].splitlines()) == 17
    assert facts["effect_and_decay"].startswith("![Rank ICIR and decay](data:image/png;base64,")
    assert len(facts["effect_and_decay"]) < LARGEST_PICTURE
    assert sum(len(str(v)) for k, v in facts.items() if k != "effect_and_decay") < LARGEST_TEXT
    assert (check := check_of(result)).passed
    assert "factors pass by the data from 2019-01-02" in (check.description or "")


def test_data_version_is_the_reports_digest_and_a_second_run_computes_nothing(
    home: Settings, instance: dg.DagsterInstance
) -> None:
    versions = []
    for _ in range(2):
        assert run(home, instance, factors=FEW).success
        event = instance.get_latest_materialization_event(ASSET)
        assert event is not None
        assert event.asset_materialization is not None
        versions.append((event.asset_materialization.tags or {})["dagster/data_version"])
    record = load_report(home, Scope(tuple(FEW)))
    assert record is not None
    assert versions == [record.digest] * 2
    journal = Platform(home).journal
    stages = [e.data["stage"] for e in journal.read_all("pipeline") if e.kind == "progress"]
    days = len(market_days())
    steps = [e.data["step"] for e in journal.read_all("pipeline") if e.kind == "progress"]
    assert set(stages) == {"factor_analysis"}
    assert max(steps) == days
    assert steps.count(days) == 1


def test_report_can_be_asked_for_some_factors_up_to_a_day(
    home: Settings, instance: dg.DagsterInstance
) -> None:
    until = market_days()[300]
    assert run(home, instance, factors=FEW, until=str(until)).success
    facts = shown(instance)
    assert facts["factors"] == 3
    assert facts["days"].endswith(str(until))


def test_check_warns_where_no_factor_passes(home: Settings, instance: dg.DagsterInstance) -> None:
    strict = replace(home, factor_report=FactorReportSettings(least_rank_ic=0.9))
    result = run(strict, instance, factors=FEW)
    check = check_of(result)
    assert result.success
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert (check.description or "").startswith("0 of 3 factors pass")


def test_history_too_short_for_a_training_is_reported_without_a_selection(
    home: Settings, instance: dg.DagsterInstance
) -> None:
    short = replace(home, training=replace(home.training, min_days=421))
    result = run(short, instance, factors=FEW)
    assert result.success
    assert "need at least 421" in shown(instance)["selected"]
    assert "not judged" in (check_of(result).description or "")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"factors": ["KMIDD"]}, "unknown factor 'KMIDD'; did you mean 'KMID'"),
        ({"until": "yesterday"}, "until: was 'yesterday', must be a date YYYY-MM-DD"),
    ],
)
def test_question_that_cannot_be_answered_fails_in_the_users_words(
    home: Settings, instance: dg.DagsterInstance, config: dict[str, Any], message: str
) -> None:
    result = run(home, instance, **config)
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert message in failure.step_failure_data.user_failure_data.description
    assert load_report(home) is None


def evaluated(settings: Settings) -> Any:
    with quiet():
        context = dg.build_schedule_context(resources={"platform": Platform(settings)})
        return weekly_factor_report(context)


def test_schedule_asks_for_a_report_where_there_is_none_of_the_present_data(
    home: Settings,
) -> None:
    asked = evaluated(home)
    assert isinstance(asked, dg.RunRequest)
    assert asked.tags == {"qlops/trigger": "schedule"}
    build_report(home, report_scope(home)[0])
    skipped = evaluated(home)
    assert isinstance(skipped, dg.SkipReason)
    assert "up to date" in (skipped.skip_message or "")


def test_schedule_of_an_empty_home_asks_for_nothing(tmp_path: Path) -> None:
    skipped = evaluated(Settings(home=tmp_path))
    assert isinstance(skipped, dg.SkipReason)
    assert "materialize" in (skipped.skip_message or "")
