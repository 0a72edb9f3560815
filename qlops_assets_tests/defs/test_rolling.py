"""The schedule ``rolling_retraining``: what it asks for, and the run that comes of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qlops_assets.core.errors import SettingsError
from qlops_assets.core.journal import Journal
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.definitions import build_definitions
from qlops_assets.defs.partitions import MODEL_VERSION
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.training.rolling import ROLLING_SCHEDULE, versions_under_way
from qlops_assets.registry.registry import Registry
from qlops_assets.training.recipes import with_recipe
from qlops_assets.training.rolling.outcomes import START_WITHIN_S, WindowState
from qlops_assets.training.rolling.plan import RollingPlan, rolling_plan
from qlops_assets.training.spec import training_spec
from qlops_assets_tests.support.dagster_bench import quiet
from qlops_assets_tests.support.growing import grow, growing_market, quick
from qlops_assets_tests.support.market import market_days
from qlops_assets_tests.support.market_fixtures import market, own_market, shared_folder

__all__ = ["market", "own_market", "shared_folder"]

DAYS = market_days()
EVENING = datetime(2020, 4, 1, 18, 30, tzinfo=UTC)
SEGMENTS = {
    "train": (DAYS[0], DAYS[200]),
    "valid": (DAYS[203], DAYS[297]),
    "test": (DAYS[300], DAYS[300]),
}


def rolling(settings: Settings, **changes: Any) -> Settings:
    """Return settings with windows of 20 days, the first test of which begins on day 300."""
    training = replace(settings.training, segments=SEGMENTS)
    return replace(settings, training=training, rolling=RollingSettings(enabled=True, **changes))


class Evenings:
    """A home whose schedule is evaluated as Dagster's code server does."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance = settings, instance
        self.journal = Journal(settings.journal_url)

    def look(self, evening: int) -> Any:
        """Return what comes of the schedule on the so manieth evening: a request, or a reason."""
        with quiet():
            repository = build_definitions(self.settings).get_repository_def()
            schedule = repository.get_schedule_def(ROLLING_SCHEDULE)
            with dg.build_schedule_context(
                instance=self.instance,
                scheduled_execution_time=EVENING + timedelta(days=evening),
                repository_def=repository,
                resources={"platform": Platform(self.settings)},
            ) as context:
                data = schedule.evaluate_tick(context)
        if not data.run_requests:
            return data.skip_message
        (request,) = data.run_requests
        return request

    def run(self, request: Any, *, settings: Settings | None = None) -> Any:
        """Run what was asked for, as another process does that reads the settings anew."""
        with quiet():
            job = build_definitions(settings or self.settings).resolve_job_def("train_model")
            return job.execute_in_process(
                instance=self.instance,
                partition_key=request.partition_key,
                tags=request.tags,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )

    def plan(self) -> RollingPlan:
        return rolling_plan(self.settings, self.journal, now=datetime.now(UTC))

    def partitions(self) -> list[str]:
        return list(self.instance.get_dynamic_partitions(str(MODEL_VERSION.name)))


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance on the disk: a schedule looks partitions up through a reference to it."""
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def evenings(own_market: Settings, instance: dg.DagsterInstance) -> Evenings:
    return Evenings(rolling(quick(own_market)), instance)


def test_windows_are_trained_as_the_days_come_each_once(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """The story of a home over three evenings on which something is due, and some others."""
    home = Evenings(rolling(growing_market(tmp_path)), instance)
    assert "materialize" in home.look(0)  # there is no day yet
    grow(home.settings, 325)

    request = home.look(1)
    version = request.partition_key
    assert version in home.partitions()
    assert request.tags["qlops/window"] == "1"
    assert request.tags["qlops/trigger"] == "schedule"
    # Who runs it finds the recipe beside the version, whatever the settings say by then.
    others = replace(home.settings, training=replace(home.settings.training, segments={}))
    assert home.run(request, settings=others).success
    recipe = with_recipe(home.settings, version, required=True).training
    assert recipe.segments["test"] == (DAYS[300], DAYS[319])
    card = Registry(home.journal).card(version)
    assert card.facts["segments"]["test"] == [str(DAYS[300]), str(DAYS[319])]
    assert card.facts["segments"]["train"] == [str(DAYS[0]), str(DAYS[200])]
    told = f"window 1 is trained as {version}; window 2: 5 of 20 test days are there"
    assert home.look(2) == told

    grow(home.settings, 339)
    plan = home.plan()
    again = training_spec(plan.series.settings_of(plan.windows[0].window))
    assert again.version != version  # the window would have another name by now
    assert home.look(3) == told.replace("5 of 20", "19 of 20")
    assert home.partitions().count(version) == 1

    grow(home.settings, 342)
    second = home.look(4)
    assert second.tags["qlops/window"] == "2"
    assert second.run_key != request.run_key
    assert home.look(4).run_key == second.run_key  # the evening is evaluated once more
    assert home.look(5).startswith(f"window 2 is in training as {second.partition_key}, asked ")
    assert home.run(second).success
    facts = Registry(home.journal).card(second.partition_key).facts
    assert facts["segments"]["train"] == [str(DAYS[20]), str(DAYS[220])]
    assert facts["segments"]["test"] == [str(DAYS[320]), str(DAYS[339])]
    assert "window 3: 2 of 20" in home.look(6)
    assert [one.state for one in home.plan().whole] == [WindowState.TRAINED] * 2


def test_run_that_fails_three_times_is_given_up_with_its_reason(evenings: Evenings) -> None:
    """Nothing but the newest window is asked for, of the six that are whole."""
    label = "Ref($close,-9)/Ref($close,-1)-1"  # looks further ahead than its horizon says
    training = replace(evenings.settings.training, label=label)
    evenings.settings = replace(evenings.settings, training=training)
    for evening in range(3):
        request = evenings.look(evening)
        assert request.tags["qlops/window"] == "6"
        assert request.run_key.endswith(f"-6-{evening + 1}")
        assert not evenings.run(request).success
    reason = evenings.look(3)
    assert reason.startswith(
        "window 6 is given up: tried 3 times; failed: [training] label_horizon"
    )
    assert reason.endswith("`qlops train rolling` tries it again")
    assert [one.state for one in evenings.plan().whole] == ["due"] * 5 + ["given up"]


def test_run_that_waits_in_the_queue_is_not_asked_for_again_however_long(
    evenings: Evenings,
) -> None:
    version = evenings.look(0).partition_key
    now = datetime.now(UTC)
    later = now + timedelta(seconds=START_WITHIN_S + 3600)
    new = run_of(evenings, version, dg.DagsterRunStatus.NOT_STARTED)
    assert version in versions_under_way(evenings.instance, now)
    assert version not in versions_under_way(evenings.instance, later)
    evenings.instance.delete_run(new.run_id)
    assert version not in versions_under_way(evenings.instance, now)
    queued = run_of(evenings, version, dg.DagsterRunStatus.QUEUED)
    assert version in versions_under_way(evenings.instance, later)
    (state, other) = (
        rolling_plan(evenings.settings, evenings.journal, now=later, queued=versions)
        .whole[-1]
        .state
        for versions in ({version}, set())
    )
    assert (state, other) == (WindowState.TRAINING, WindowState.FAILED)
    evenings.instance.delete_run(queued.run_id)


def run_of(evenings: Evenings, version: str, status: dg.DagsterRunStatus) -> Any:
    """Make a run as the daemon makes it of a request, and leave it at that."""
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )

    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("qlops_assets"), "__repository__")
    with quiet():
        return evenings.instance.create_run_for_job(
            build_definitions(evenings.settings).resolve_job_def("train_model"),
            tags={"dagster/partition": version},
            status=status,
            remote_job_origin=RemoteJobOrigin(place, "train_model"),
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"enabled": False}, "[rolling] enabled is false"),
        ({"step_days": 19}, "[rolling] step_days: was 19, must be at least 20"),
        ({"kind": "growing"}, "[rolling] kind: was 'growing'"),
        ({"step_days": 200}, "window 1: 120 of 200 test days are there"),
        ({"spec": Path("/nowhere/recipe.toml")}, "/nowhere/recipe.toml: cannot be read"),
    ],
)
def test_evening_on_which_nothing_is_done_says_why(
    evenings: Evenings, change: dict[str, Any], reason: str
) -> None:
    changed = replace(evenings.settings.rolling, **change)
    evenings.settings = replace(evenings.settings, rolling=changed)
    assert evenings.look(0).startswith(reason)
    assert evenings.journal.read("rolling/*") == []


def test_recipe_of_a_file_is_the_one_that_is_trained(evenings: Evenings, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    days = "\n".join(f"{name} = [{first}, {last}]" for name, (first, last) in SEGMENTS.items())
    file.write_text(
        '[training]\nmodel = "linear"\nfeatures = ["KLEN"]\ntopk = 4\nn_drop = 1\n\n'
        f"[training.segments]\n{days}\n\n[rolling]\nstep_days = 60\n"
    )
    changed = replace(evenings.settings.rolling, spec=file)
    evenings.settings = replace(evenings.settings, rolling=changed)
    request = evenings.look(0)
    assert request.tags["qlops/window"] == "2"
    recipe = with_recipe(evenings.settings, request.partition_key, required=True).training
    assert recipe.features == ("KLEN",)
    assert recipe.segments["test"] == (DAYS[360], DAYS[419])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "every evening"}, "schedule: was 'every evening', must be five fields"),
        ({"schedule": "99 18 * * *"}, "schedule: was '99 18"),
        ({"timezone": "Asia/Nowhere"}, "timezone: was 'Asia/Nowhere', must be a zone such as"),
        ({"timezone": "../../etc/passwd"}, "timezone: was"),
    ],
)
def test_time_that_is_none_is_refused_when_definitions_are_made(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    settings = Settings(home=tmp_path, rolling=RollingSettings(**change))
    with quiet(), pytest.raises(SettingsError, match=message):
        build_definitions(settings)


def test_schedule_looks_at_the_time_and_in_the_zone_of_the_settings(tmp_path: Path) -> None:
    chosen = RollingSettings(schedule="5 17 * * 1-5", timezone="Asia/Shanghai")
    with quiet():
        repository = build_definitions(Settings(home=tmp_path, rolling=chosen)).get_repository_def()
    schedule = repository.get_schedule_def(ROLLING_SCHEDULE)
    assert schedule.cron_schedule == "5 17 * * 1-5"
    assert schedule.execution_timezone == "Asia/Shanghai"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
