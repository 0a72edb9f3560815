"""Automation and the runs that it asks for: what a look after a run asks for, whole or failed."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qlops_assets.defs.features.assets import SETS
from qlops_assets_tests.support.dagster_bench import Bench, day_changed, months, quiet

EVERYTHING = (*SETS, "feature_table")
JANUARY, FEBRUARY = "2019-01", "2019-02"


class Daemon:
    """Looks at a home, and runs what is asked for in this process."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.cursor = bench, None
        for month in (JANUARY, FEBRUARY):
            bench.write(f"{month}.parquet", months(month, month))
        bench.tick()
        bench.run("refresh_bars", JANUARY, FEBRUARY)
        for month in (JANUARY, FEBRUARY):
            self.run(month, EVERYTHING)
        self.asked()
        assert self.asked() == {}

    def restate(self) -> None:
        """Change a day of February and make the bars anew."""
        rows = day_changed(months(FEBRUARY, FEBRUARY), date(2019, 2, 13))
        self.bench.write(f"{FEBRUARY}.parquet", rows)
        self.bench.tick()
        self.bench.run("refresh_bars", FEBRUARY, FEBRUARY)

    def asked(self) -> dict[str, list[str]]:
        """Look once and return the months that are asked for, by asset."""
        with quiet():
            result: Any = dg.evaluate_automation_conditions(
                defs=self.bench.definitions(),
                instance=self.bench.instance,
                asset_selection=dg.AssetSelection.assets(*EVERYTHING),
                cursor=self.cursor,
            )
        self.cursor = result.cursor
        found = {name: result.get_requested_partitions(dg.AssetKey(name)) for name in EVERYTHING}
        return {name: sorted(key[:7] for key in keys) for name, keys in found.items() if keys}

    def run(self, month: str, assets: tuple[str, ...]) -> bool:
        """Run assets of a month as automation would; return whether it succeeded."""
        with quiet():
            job = self.bench.definitions().resolve_implicit_global_asset_job_def()
            done = job.execute_in_process(
                instance=self.bench.instance,
                partition_key=f"{month}-01",
                asset_selection=[dg.AssetKey(name) for name in assets],
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
        return bool(done.success)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_run_of_sets_and_table_asks_for_nothing_more(bench: Bench) -> None:
    daemon = Daemon(bench)
    daemon.restate()
    assert daemon.asked() == {name: [FEBRUARY] for name in EVERYTHING}
    assert daemon.run(FEBRUARY, EVERYTHING)
    assert daemon.asked() == {}
    assert daemon.asked() == {}


def test_run_that_fails_after_some_sets_asks_once_for_the_table_alone(bench: Bench) -> None:
    daemon = Daemon(bench)
    daemon.restate()
    assert daemon.asked() == {name: [FEBRUARY] for name in EVERYTHING}
    assert daemon.asked() == {}
    bench.factors = {"swing": "$hihg/$low"}  # custom_factors cannot be computed
    assert not daemon.run(FEBRUARY, EVERYTHING)
    bench.factors = {}
    assert daemon.asked() == {"feature_table": [FEBRUARY]}
    assert daemon.asked() == {}
