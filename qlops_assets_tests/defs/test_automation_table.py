"""Declarative automation from bars to the feature table, look by look, as events come in.

Events are reported without computing anything: what is asked for depends on them alone.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.definitions import build_definitions
from qlops_assets.defs.features.assets import SETS
from qlops_assets.defs.steps import until_current
from qlops_assets_tests.support.dagster_bench import quiet

ALPHA158, CUSTOM, INDICATORS = SETS
TABLE = "feature_table"
EVERYTHING = (*SETS, TABLE)
MONTHS = [f"2019-{month:02d}" for month in range(1, 11)]
NEWEST = MONTHS[-1]
NOTHING: dict[str, list[str]] = {}
EVERYTHING_OF_NEWEST = {name: [NEWEST] for name in EVERYTHING}


class Home:
    """A home whose events are reported one by one, and looked at as the daemon looks."""

    def __init__(self, folder: Path) -> None:
        source = SourceSettings(path=folder / "source", first_month=MONTHS[0])
        with quiet():
            self.definitions = build_definitions(Settings(home=folder / "home", source=source))
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: Any = None
        self.versions = count(1)

    def wrote(self, asset: str, months: Sequence[str] = (NEWEST,), *, version: str = "") -> None:
        """Report that months of an asset were materialized; with content of their own."""
        for month in months:
            tags = {
                "dagster/data_version": version or str(next(self.versions)),
                "dagster/data_version_is_user_provided": "true",
            }
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(asset, partition=f"{month}-01", tags=tags)
            )

    def wrote_all(self, *months: str) -> None:
        """Report what a run of all that is asked for reports."""
        for asset in EVERYTHING:
            self.wrote(asset, months or (NEWEST,))

    def asked(self) -> dict[str, list[str]]:
        """Look once and return the months that are asked for, by asset."""
        with quiet():
            result = dg.evaluate_automation_conditions(
                defs=self.definitions,
                instance=self.instance,
                asset_selection=dg.AssetSelection.assets(*EVERYTHING),
                cursor=self.cursor,
            )
        self.cursor = result.cursor
        found = {name: result.get_requested_partitions(dg.AssetKey(name)) for name in EVERYTHING}
        return {name: sorted(str(key)[:7] for key in keys) for name, keys in found.items() if keys}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home in which all months were made, looked at twice after that."""
    home = Home(tmp_path)
    for asset in ("bars", *EVERYTHING):
        home.wrote(asset, MONTHS)
    assert home.asked() == NOTHING
    assert home.asked() == NOTHING
    yield home
    home.instance.dispose()


def test_new_bars_ask_for_sets_and_table_in_one_look(home: Home) -> None:
    home.wrote("bars")
    assert home.asked() == EVERYTHING_OF_NEWEST
    home.wrote_all()
    assert home.asked() == NOTHING
    assert home.asked() == NOTHING


def test_restated_month_asks_for_every_month_of_the_table_that_a_set_is_asked_for(
    home: Home,
) -> None:
    home.wrote("bars", ["2019-03"])
    asked = home.asked()
    assert asked[ALPHA158] == ["2019-03", "2019-04", "2019-05", "2019-06", "2019-07"]
    assert asked[INDICATORS] == MONTHS[2:]
    assert asked[TABLE] == MONTHS[2:]


def test_bars_that_are_written_again_as_they_were_ask_for_nothing(home: Home) -> None:
    home.wrote("bars", version="same")
    home.asked()
    home.wrote_all()
    assert home.asked() == NOTHING
    home.wrote("bars", version="same")
    assert home.asked() == NOTHING


def test_change_that_is_seen_together_with_an_older_materialization_is_not_forgotten(
    home: Home,
) -> None:
    home.wrote("bars")
    home.asked()
    home.wrote_all()
    home.wrote("bars")
    assert home.asked() == EVERYTHING_OF_NEWEST
    home.wrote_all()
    assert home.asked() == NOTHING


def test_change_that_is_seen_together_with_a_newer_materialization_asks_for_nothing(
    home: Home,
) -> None:
    home.wrote("bars", version="same")
    home.wrote_all()
    assert home.asked() == NOTHING
    home.wrote("bars", version="same")
    assert home.asked() == NOTHING


def test_change_that_comes_right_after_a_request_is_not_forgotten(home: Home) -> None:
    home.wrote("bars")
    home.asked()
    home.wrote("bars")
    assert home.asked() == EVERYTHING_OF_NEWEST


def test_request_whose_run_fails_is_not_made_again(home: Home) -> None:
    home.wrote("bars")
    assert home.asked() == EVERYTHING_OF_NEWEST
    assert home.asked() == NOTHING
    assert home.asked() == NOTHING
    home.wrote("bars")
    assert home.asked() == EVERYTHING_OF_NEWEST


@pytest.mark.parametrize("name", SETS)
def test_set_that_a_person_materializes_asks_for_the_table_where_its_rows_changed(
    home: Home, name: str
) -> None:
    home.wrote(name, ["2019-05", "2019-08"], version="new")
    assert home.asked() == {TABLE: ["2019-05", "2019-08"]}
    home.wrote(TABLE, ["2019-05", "2019-08"])
    assert home.asked() == NOTHING
    home.wrote(name, ["2019-05"], version="new")
    assert home.asked() == NOTHING


def test_set_that_changes_while_the_table_is_written_asks_for_it_again(home: Home) -> None:
    home.wrote("bars")
    home.asked()
    home.wrote(ALPHA158)
    home.wrote(CUSTOM)
    home.wrote(TABLE)
    home.wrote(INDICATORS)
    assert home.asked() == {TABLE: [NEWEST]}


def test_month_that_appears_asks_once_its_bars_are_there(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for asset in ("bars", *EVERYTHING):
        home.wrote(asset, MONTHS[:-1])
    assert home.asked() == NOTHING
    assert home.asked() == NOTHING
    home.wrote("bars")
    assert home.asked() == EVERYTHING_OF_NEWEST
    home.wrote_all()
    assert home.asked() == NOTHING


def test_months_whose_inputs_change_while_they_are_built_are_built_again() -> None:
    inputs = {"2019-01": 1, "2019-02": 1}
    rows: dict[str, int] = {}
    arriving = [{"2019-02": 2}, {"2019-02": 3}]

    def build(months: Sequence[str]) -> list[str]:
        read = {month: inputs[month] for month in months}
        if arriving:
            inputs.update(arriving.pop(0))
        rows.update(read)
        return list(months)

    def behind(months: Sequence[str]) -> list[str]:
        return [month for month in months if rows[month] != inputs[month]]

    built = until_current(build, behind, ["2019-01", "2019-02"])
    assert built == [["2019-01", "2019-02"], ["2019-02"], ["2019-02"]]
    assert rows == inputs == {"2019-01": 1, "2019-02": 3}


def test_months_whose_inputs_never_rest_are_given_up_after_a_few_rounds() -> None:
    built = until_current(list, lambda months: months, ["2019-01"])
    assert built == [["2019-01"]] * 3
