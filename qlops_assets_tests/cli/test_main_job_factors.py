"""The main job's stage of factors: Alpha158 always, the user's own where there are any."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qlops_assets.cli.demo.main_job import MainJob
from qlops_assets.core.errors import CustomFactorError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.store import factor_dataset
from qlops_assets_tests.support.dagster_bench import Bench, months


class Stages:
    """The stages up to factors, run as the main job runs them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def run(self, factors: dict[str, str]) -> list[str]:
        """Run them with factors of one's own and return what was said of factors."""
        said: list[str] = []
        settings = replace(self.settings, factors=factors)
        journal = Journal(settings.journal_url)
        job = MainJob(settings, said.append, journal, operator="mei", idle_minutes=None)
        job.require_own_features()
        job.scan()
        job.build_bars()
        job.build_factors()
        return [text for text in said if "factors" in text]


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    before = dict(os.environ)
    bench = Bench(tmp_path)
    bench.write("2019.parquet", months("2019-01", "2019-02"))
    yield Stages(bench.settings)
    os.environ.clear()  # an instance points the process at it
    os.environ.update(before)


def test_own_factors_are_built_changed_and_taken_away(stages: Stages) -> None:
    own = factor_dataset(stages.settings, "custom")
    assert stages.run({}) == ["alpha158_factors: 2019-01 to 2019-02"]
    assert own.months() == []
    up_to_date = "alpha158_factors: 2 months up to date, skipped"
    built = "custom_factors: 2019-01 to 2019-02"
    assert stages.run({"swing": "$high/$low"}) == [up_to_date, built]
    assert own.read().columns == ["instrument", "date", "swing"]
    assert stages.run({"swing": "$high/$low"}) == [
        up_to_date,
        "custom_factors: 2 months up to date, skipped",
    ]
    assert stages.run({"swing": "$high/$low-1", "slow": "EMA($close,9)"}) == [up_to_date, built]
    assert stages.run({}) == [up_to_date, built]
    assert own.months() == []
    assert stages.run({}) == [up_to_date]


def test_unusable_factor_ends_the_main_job_before_it_begins(stages: Stages) -> None:
    with pytest.raises(CustomFactorError, match="did you mean 'high'"):
        stages.run({"swing": "$hihg/$low"})
    assert not stages.settings.lake.exists()
