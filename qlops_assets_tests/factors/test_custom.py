"""The user's own factors: where they come from, what is refused, who changed them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.errors import CustomFactorError, FactorError, SettingsError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.alpha158_names import ALPHA158_LOOK_BACK_DAYS, ALPHA158_NAMES
from qlops_assets.factors.custom import (
    CustomFactor,
    add_factor,
    custom_factors,
    defined_factors,
    kept,
    remove_factor,
)
from qlops_assets.factors.sets import FactorSet, alpha158_set, look_back_months

MOMENTUM = "$close/Ref($close,10)-1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def journal(settings: Settings) -> Journal:
    return Journal(settings.journal_url)


def from_toml(folder: Path, text: str) -> Settings:
    file = folder / "qlops.toml"
    file.write_text(text, encoding="utf-8")
    return Settings.read(home=folder / "home", config=file)


def test_without_any_there_are_none(settings: Settings) -> None:
    assert custom_factors(settings) == {}


def test_factors_come_from_the_file_from_python_and_from_the_home(
    tmp_path: Path, settings: Settings, journal: Journal
) -> None:
    add_factor(settings, journal, "kept", "$open/1", by="mei")
    read = from_toml(tmp_path, f'[factors]\nmomentum_10 = "{MOMENTUM}"\n')
    assert defined_factors(read) == [
        CustomFactor("kept", "$open/1", str(tmp_path / "home" / "factors.json")),
        CustomFactor("momentum_10", MOMENTUM, f"{tmp_path / 'qlops.toml'}: [factors]"),
    ]
    python = replace(settings, factors={"swing": "$high-$low"})
    assert custom_factors(python) == {"kept": "$open/1", "swing": "$high-$low"}


def test_factors_are_in_the_order_of_their_names(settings: Settings) -> None:
    given = {"b": "$open", "a": "$close", "c": "$high"}
    assert list(custom_factors(replace(settings, factors=given))) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "expression", "found"),
    [
        ("KMID", "$close", "there is a factor 'KMID'"),
        ("kmid", "$close", "there is a factor 'KMID'"),
        ("close", "$close", "is that of the field 'close'"),
        ("LABEL0", "$close", "is that of the label"),
        ("with space", "$close", "letters, digits and underscores"),
        ("__class__.__x", "$close", "letters, digits and underscores"),
        ("ahead", "Ref($close,-1)", "looks 1 days ahead"),
        ("field", "$clsoe/1", "unknown field '$clsoe'; did you mean 'close'?"),
        ("operator", "Maen($close,5)", "did you mean 'Mean'?"),
        ("arity", "Mean($close)", "takes 2 arguments, found 1"),
        ("code", "().__class__.__base__", "expression, character"),
        ("code", "__import__('os')", "expression, character"),
        ("empty", "", "expression, character 1"),
        ("long", "$close" + "+$close" * 20_000, "at most 10,000 are accepted"),
        ("deep", "(" * 200 + "$close" + ")" * 200, "at most 100 may be open at once"),
        ("window", "Mean($close,20000)", "a window has at most 10,000 days"),
        ("number", 5, "was 5, must be the text of an expression"),
    ],
)
def test_factor_that_cannot_be_used_is_refused_with_its_place(
    settings: Settings, name: str, expression: Any, found: str
) -> None:
    with pytest.raises(CustomFactorError) as caught:
        custom_factors(replace(settings, factors={"good": "$close/1", name: expression}))
    assert str(caught.value).startswith(f"Settings(factors=…) {name}: ")
    assert found in str(caught.value)


def test_error_in_the_file_names_file_key_and_character(tmp_path: Path) -> None:
    settings = from_toml(tmp_path, '[factors]\nmomentum_10 = "$close/Rfe($close,10)"\n')
    with pytest.raises(CustomFactorError) as caught:
        custom_factors(settings)
    first, text, mark = str(caught.value).split("\n")
    assert first.startswith(
        f"{tmp_path / 'qlops.toml'}: [factors] momentum_10: expression, character 8: "
        "unknown operator 'Rfe'; did you mean 'Ref'?"
    )
    assert (text, mark) == ("  $close/Rfe($close,10)", "         ^")
    assert caught.value.excerpt == f"{text}\n{mark}"


def test_names_that_differ_in_case_alone_are_refused(settings: Settings) -> None:
    with pytest.raises(CustomFactorError, match="'Swing': there is a factor 'swing'"):
        custom_factors(replace(settings, factors={"swing": "$high-$low", "Swing": "$high"}))


def test_one_name_with_two_meanings_is_refused_and_with_one_is_not(
    settings: Settings, journal: Journal
) -> None:
    add_factor(settings, journal, "swing", "$high-$low", by="mei")
    same = replace(settings, factors={"swing": "Sub($high, $low)"})
    assert list(custom_factors(same)) == ["swing"]
    other = replace(settings, factors={"swing": "$high/$low"})
    with pytest.raises(CustomFactorError) as caught:
        custom_factors(other)
    assert "was '$high-$low', and '$high/$low' in Settings(factors=…)" in str(caught.value)
    assert str(settings.factors_file) in str(caught.value)


def test_adding_and_removing_are_recorded_with_who_and_what(
    settings: Settings, journal: Journal
) -> None:
    add_factor(settings, journal, "swing", "$high-$low", by="mei")
    assert kept(settings) == {"swing": "$high-$low"}
    assert remove_factor(settings, journal, "swing", by="tom").expression == "$high-$low"
    assert kept(settings) == {}
    assert [(e.kind, dict(e.data)) for e in journal.read("factors")] == [
        ("factor_added", {"name": "swing", "expression": "$high-$low", "by": "mei"}),
        ("factor_removed", {"name": "swing", "expression": "$high-$low", "by": "tom"}),
    ]


def test_name_that_is_taken_is_not_added(settings: Settings, journal: Journal) -> None:
    given = replace(settings, factors={"swing": "$high-$low"})
    for name in ("swing", "SWING", "kmid"):
        with pytest.raises(FactorError, match="choose another"):
            add_factor(given, journal, name, "$close/1", by="mei")
    assert kept(given) == {}
    assert journal.read("factors") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("given", "is defined in Settings"),
        ("KMID", "is one of Alpha158"),
        ("sving", "did you mean 'swing'"),
    ],
)
def test_only_what_the_home_keeps_is_removed(
    settings: Settings, journal: Journal, name: str, found: str
) -> None:
    add_factor(settings, journal, "swing", "$high-$low", by="mei")
    given = replace(settings, factors={"given": "$close/1"})
    with pytest.raises(FactorError, match=found):
        remove_factor(given, journal, name, by="mei")
    assert kept(given) == {"swing": "$high-$low"}


def test_factor_that_became_unusable_can_be_removed(settings: Settings, journal: Journal) -> None:
    settings.home.mkdir()
    settings.factors_file.write_text(json.dumps({"kmid": "$close", "good": "$open"}))
    with pytest.raises(CustomFactorError, match="there is a factor 'KMID'"):
        custom_factors(settings)
    remove_factor(settings, journal, "kmid", by="mei")
    assert list(custom_factors(settings)) == ["good"]


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '"text"', "\xff"])
def test_damaged_file_of_the_home_is_named(settings: Settings, content: str) -> None:
    settings.home.mkdir()
    settings.factors_file.write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingsError, match=str(settings.factors_file)):
        custom_factors(settings)


def test_factors_that_processes_add_at_the_same_time_are_all_kept(settings: Settings) -> None:
    code = """
import sys
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.custom import add_factor
settings = Settings(home=sys.argv[1])
for n in range(8):
    add_factor(settings, Journal(settings.journal_url), f"{sys.argv[2]}_{n}", "$close/1", by="x")
"""
    command = [sys.executable, "-c", code, str(settings.home)]
    processes = [subprocess.Popen([*command, name]) for name in ("a", "b", "c")]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert sorted(kept(settings)) == sorted(f"{p}_{n}" for p in "abc" for n in range(8))
    assert len(Journal(settings.journal_url).read("factors")) == 24


def test_names_and_look_back_of_alpha158_are_those_of_qlibs_definitions() -> None:
    """They are written down so that nobody has to wait for Qlib; here Qlib is asked."""
    assert tuple(alpha158_expressions()) == ALPHA158_NAMES
    assert alpha158_set().look_back == ALPHA158_LOOK_BACK_DAYS


@pytest.mark.parametrize(
    ("days", "months"),
    [(0, 0), (1, 1), (7, 1), (8, 2), (20, 2), (60, 4), (250, 14), (10**6, 1200), (None, 1200)],
)
def test_months_of_a_look_back_are_enough_for_the_longest_holidays(
    days: int | None, months: int
) -> None:
    assert look_back_months(days) == months


def test_look_back_of_a_set_is_that_of_its_longest_factor() -> None:
    short = {"a": "Ref($close,3)", "b": "Mean(Ref($close,2),5)"}
    assert FactorSet("custom", short).look_back == 6
    assert FactorSet("custom", {**short, "c": "EMA($close,5)"}).look_back is None
    assert FactorSet("custom", {}).look_back == 0


def test_code_version_follows_definitions_and_engine(settings: Settings) -> None:
    one, other = ({"a": f"Ref($close,{days})"} for days in (1, 2))
    qlib = replace(settings, features=replace(settings.features, engine="qlib"))
    versions = {
        FactorSet("custom", factors).code_version(chosen)
        for factors in (one, other)
        for chosen in (settings, qlib)
    }
    assert len(versions) == 4
