"""Declarative automation: restated bars ask for the factors that look back to them."""

from datetime import date
from typing import Any

import dagster as dg
import pytest

from qlops_assets.factors.sets import alpha158_set, look_back_months
from qlops_assets.factors.store import stale_months as stale_factor_months
from qlops_assets.lake.bars import stale_months
from qlops_assets_tests.support.dagster_bench import Bench, day_changed, months, quiet

FACTORS = dg.AssetKey("alpha158_factors")


class Automation:
    """The evaluations of one home, one after the other, as the daemon makes them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.cursor: Any = None

    def requested(self) -> list[str]:
        """Evaluate once and return the months of factors that are asked for."""
        with quiet():
            result = dg.evaluate_automation_conditions(
                defs=self.bench.definitions(),
                instance=self.bench.instance,
                asset_selection=dg.AssetSelection.assets(FACTORS),
                cursor=self.cursor,
            )
        self.cursor = result.cursor
        return sorted(key[:7] for key in result.get_requested_partitions(FACTORS))

    def materialize_factors(self, wanted: list[str]) -> None:
        """Record materializations as the requested run would, without computing anything."""
        for month in wanted:
            self.bench.instance.report_runless_asset_event(
                dg.AssetMaterialization(FACTORS, partition=f"{month}-01")
            )


YEAR = [f"2019-{month:02d}" for month in range(1, 11)]


@pytest.fixture
def automation(bench: Bench) -> Automation:
    """A home with bars and factors of ten months in ten files, evaluated once after that."""
    for path in bench.source.iterdir():
        path.unlink()
    for month in YEAR:
        bench.write(f"{month}.parquet", months(month, month))
    bench.tick()
    bench.run("refresh_bars", YEAR[0], YEAR[-1])
    automation = Automation(bench)
    automation.materialize_factors(YEAR)
    return automation


def restate(bench: Bench, month: str, day: date) -> None:
    """Change one day of the source and materialize the month's bars."""
    bench.write(f"{month}.parquet", day_changed(months(month, month), day))
    bench.tick()
    assert stale_months(bench.settings) == [month]
    bench.run("refresh_bars", month, month)


def test_nothing_is_asked_right_after_the_first_build(automation: Automation) -> None:
    assert automation.requested() == []
    assert automation.requested() == []


def test_restated_month_asks_for_itself_and_those_that_look_back(automation: Automation) -> None:
    assert automation.requested() == []
    restate(automation.bench, "2019-03", date(2019, 3, 13))
    assert look_back_months(60) == 4
    assert automation.requested() == ["2019-03", "2019-04", "2019-05", "2019-06", "2019-07"]


def test_months_asked_for_are_those_that_the_lake_finds_stale(automation: Automation) -> None:
    """Dagster's view, from events, and the lake's, from digests, name the same months."""
    from qlops_assets.factors.store import alpha158_dataset, factor_inputs
    from qlops_assets.lake.datasets import bars_dataset

    settings = automation.bench.settings
    frame = bars_dataset(settings).read(["2019-01"]).head(0)
    inputs = factor_inputs(settings, alpha158_set(), YEAR)
    for month in YEAR:  # factors of no rows, made from the bars as they are
        alpha158_dataset(settings).write(
            month, frame, inputs=inputs[month], code=alpha158_set().code_version(settings)
        )
    assert stale_factor_months(settings, alpha158_set(), YEAR) == []
    assert automation.requested() == []
    restate(automation.bench, "2019-02", date(2019, 2, 13))
    assert automation.requested() == stale_factor_months(settings, alpha158_set(), YEAR)


def test_newest_month_asks_for_itself_alone(automation: Automation) -> None:
    assert automation.requested() == []
    restate(automation.bench, "2019-10", date(2019, 10, 9))
    assert automation.requested() == ["2019-10"]


def test_asked_months_are_asked_once(automation: Automation) -> None:
    assert automation.requested() == []
    restate(automation.bench, "2019-03", date(2019, 3, 13))
    asked = automation.requested()
    automation.materialize_factors(asked)
    assert automation.requested() == []


def test_month_that_is_materialized_again_as_it_was_asks_for_nothing(
    automation: Automation,
) -> None:
    assert automation.requested() == []
    automation.bench.run("refresh_bars", "2019-03", "2019-06")
    assert automation.requested() == []


def test_changed_day_in_a_file_of_many_months_asks_for_what_sees_it(
    automation: Automation,
) -> None:
    bench = automation.bench
    for month in YEAR:
        (bench.source / f"{month}.parquet").unlink()
    bench.write("2019.parquet", months(YEAR[0], YEAR[-1]))
    bench.tick()
    assert stale_months(bench.settings) == []  # other files, the same rows
    assert automation.requested() == []
    bench.write("2019.parquet", day_changed(months(YEAR[0], YEAR[-1]), date(2019, 9, 11)))
    bench.tick()
    bench.run("refresh_bars", YEAR[0], YEAR[-1])
    assert automation.requested() == ["2019-09", "2019-10"]
