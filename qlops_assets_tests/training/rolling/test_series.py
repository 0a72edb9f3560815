"""What tells a series from another, and where its first window is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.errors import HistoryTooShortError, QlopsError, SettingsError, TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.sections.overfitting import OverfittingSettings
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.core.settings import Settings, UniverseSettings
from qlops_assets.training.recipes import read_spec, recipe_of
from qlops_assets.training.rolling.asks import ask_for, asks_of
from qlops_assets.training.rolling.series import Series, series_of
from qlops_assets.training.segments import split_calendar
from qlops_assets_tests.support.market import weekdays

DAYS = weekdays(date(2015, 1, 5), 1000)
GIVEN = {"train": (DAYS[0], DAYS[599]), "valid": (DAYS[602], DAYS[700]), "test": (DAYS[703],) * 2}


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def journal(home: Settings) -> Iterator[Journal]:
    journal = Journal(home.journal_url)
    yield journal
    journal.close()


def trained_with(home: Settings, **changes: Any) -> Settings:
    return replace(home, training=replace(home.training, **changes))


def ask_first(series: Series, journal: Journal, version: str = "v") -> object:
    window = series.windows(DAYS)[0]
    return ask_for(journal, series, window, version, before=0, by="tests")


def test_first_window_has_the_segments_that_are_given_whatever_day_the_test_ends(
    home: Settings, journal: Journal
) -> None:
    for end in (DAYS[703], DAYS[710], DAYS[-1], DAYS[-1] + timedelta(days=900)):
        segments = {**GIVEN, "test": (DAYS[703], end)}
        series = series_of(trained_with(home, segments=segments), journal, DAYS)
        first = series.windows(DAYS)[0]
        assert (first.train, first.valid) == (GIVEN["train"], GIVEN["valid"])
        assert first.test == (DAYS[703], DAYS[722])


def test_first_window_of_dates_stays_as_days_come(home: Settings, journal: Journal) -> None:
    settings = trained_with(home, train_end=DAYS[500], valid_end=DAYS[600])
    for count in (640, 641, 1000):
        first = series_of(settings, journal, DAYS[:count]).windows(DAYS[:count])[0]
        assert first.train == (DAYS[0], DAYS[498])
        assert first.valid == (DAYS[501], DAYS[598])
        assert first.test[0] == DAYS[601]


def test_shares_are_those_of_the_day_on_which_a_window_is_first_asked_for(
    home: Settings, journal: Journal
) -> None:
    few = series_of(home, journal, DAYS[:600])
    assert few.first == split_calendar(DAYS[:600], home.training)
    more = series_of(home, journal, DAYS[:800])
    assert more.first == split_calendar(DAYS[:800], home.training)
    assert not more.has_begun
    assert ask_first(more, journal) is not None
    later = series_of(home, journal, DAYS)
    assert later.has_begun
    assert later.first == more.first
    # Who looked before it began, on other days, cannot ask for windows of its own.
    assert ask_first(few, journal, "w") is None
    assert list(asks_of(journal.read_all(later.topic))) == [1]


def test_window_is_asked_for_by_one_of_two_that_saw_the_same(
    home: Settings, journal: Journal
) -> None:
    one, two = (series_of(home, journal, DAYS) for _ in range(2))
    assert [ask_first(series, journal) is not None for series in (one, two)] == [True, False]


def test_settings_of_a_window_are_a_plain_recipe_with_its_days(
    home: Settings, journal: Journal
) -> None:
    settings = trained_with(home, train_end=DAYS[500], valid_end=DAYS[600], seed=9)
    series = series_of(settings, journal, DAYS)
    for window in series.windows(DAYS)[:-1]:
        found = series.settings_of(window)
        assert split_calendar(DAYS, found.training) == window.segments
        document = recipe_of(found)
        assert document["training"]["seed"] == 9
        assert document["training"]["segments"] == window.segments.to_json()
        assert not {"train_end", "valid_end"} & set(document["training"])
        assert set(document) == {"training", "backtest"}


@pytest.mark.parametrize(
    "change",
    [
        {"rolling": RollingSettings(step_days=21)},
        {"rolling": RollingSettings(kind="expanding")},
        {"universe": UniverseSettings("csi300")},
        {"overfitting": OverfittingSettings(blocks=True)},
    ],
)
def test_series_differs_by_what_decides_its_windows(
    home: Settings, journal: Journal, change: dict[str, Any]
) -> None:
    topic = series_of(home, journal, DAYS).topic
    assert series_of(replace(home, **change), journal, DAYS).topic != topic
    assert series_of(trained_with(home, seed=8), journal, DAYS).topic != topic
    elsewhere = home.with_source(home.home / "bars")
    assert series_of(elsewhere, journal, DAYS).topic != topic


def test_series_is_the_same_whenever_and_whether_the_schedule_looks(
    home: Settings, journal: Journal
) -> None:
    topic = series_of(home, journal, DAYS).topic
    rolling = RollingSettings(enabled=True, schedule="0 1 * * *", timezone="Asia/Tokyo")
    other = replace(home, rolling=rolling, overfitting=OverfittingSettings(confidence=0.9))
    assert series_of(other, journal, DAYS).topic == topic


@pytest.mark.parametrize(
    ("training", "count", "error", "message"),
    [
        ({}, 249, HistoryTooShortError, "need at least 250"),
        ({"train_share": 0.9, "valid_share": 0.2}, 900, TrainingError, "leave a share"),
        ({"embargo_days": 1}, 900, TrainingError, "embargo_days: was 1"),
        ({"segments": GIVEN}, 722, HistoryTooShortError, "'test'"),
        ({"segments": GIVEN}, 703, TrainingError, "no trading day is between"),
        ({"segments": {**GIVEN, "valid": (DAYS[601], DAYS[700])}}, 900, TrainingError, "purge"),
        ({"segments": {"train": (DAYS[0],) * 2}}, 900, TrainingError, "valid: is missing"),
        ({"segments": {**GIVEN, "test": (DAYS[703],)}}, 900, TrainingError, "a first and a last"),
        ({"segments": GIVEN, "train_end": DAYS[9]}, 900, TrainingError, "one or the other"),
    ],
)
def test_recipe_without_room_for_a_window_is_refused_with_the_reason(
    home: Settings,
    journal: Journal,
    training: dict[str, Any],
    count: int,
    error: type[QlopsError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        series_of(trained_with(home, **training), journal, DAYS[:count])


def test_recipe_may_say_its_windows_and_not_when_they_are_trained(home: Settings) -> None:
    file = home.home / "recipe.toml"
    file.write_text("[training]\nseed = 3\n\n[rolling]\nstep_days = 60\n")
    kept = replace(home, rolling=RollingSettings(enabled=True, kind="expanding"))
    found, _ = read_spec(kept, file)
    assert found.rolling == RollingSettings(enabled=True, kind="expanding", step_days=60)
    assert found.training.seed == 3
    for line, message in (
        ("enabled = true", r"'enabled' belongs into qlops.toml; a recipe has step_days, kind"),
        ("step_dys = 30", "did you mean 'step_days'"),
        ("step_days = 30.5", "must be int"),
    ):
        file.write_text(f"[rolling]\n{line}\n")
        with pytest.raises(SettingsError, match=message):
            read_spec(home, file)
