"""Where the user's own indicators come from, and what their values' versions follow from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.errors import IndicatorError, SettingsError
from qlops_assets.core.settings import IndicatorsSettings, Settings
from qlops_assets.indicators.own import own_indicators
from qlops_assets.indicators.sets import built_in_names, code_version, column_names, definitions


def settings_of(tmp_path: Path, *, names: tuple[str, ...] | None = None, **texts: Any) -> Settings:
    return Settings(home=tmp_path / "home", indicators=IndicatorsSettings(names=names, own=texts))


def test_own_indicators_come_from_the_file_and_errors_name_it(tmp_path: Path) -> None:
    file = tmp_path / "qlops.toml"
    file.write_text(
        '[indicators]\nnames = ["rsi_14"]\n[indicators.own]\ngap = "$rsi_14-$rsi_6"\n', "utf-8"
    )
    settings = Settings.read(home=tmp_path / "home", config=file)
    assert column_names(settings) == ["rsi_14", "gap"]
    assert own_indicators(settings)["gap"].definition == "$rsi_14-$rsi_6"
    file.write_text('[indicators.own]\ngap = "$rsj_14"\n', "utf-8")
    with pytest.raises(IndicatorError) as caught:
        own_indicators(Settings.read(home=tmp_path / "home", config=file))
    assert str(caught.value).startswith(f"{file}: [indicators.own] gap: character 1: unknown field")
    file.write_text('[indicators]\nnames = ["rsj_14"]\n', "utf-8")
    with pytest.raises(IndicatorError) as caught:
        built_in_names(Settings.read(home=tmp_path / "home", config=file))
    assert str(caught.value).startswith(f"{file}: [indicators] names: indicator 'rsj_14': is unkn")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[indicators]\nname = []\n", "unknown key 'name'"),
        ('[indicators]\nnames = "rsi_14"\n', "names"),
        ("[indicators]\nnames = [5]\n", "names"),
        ("[indicators.own]\ngap = 5\n", "gap"),
        ("[indicators]\nown = []\n", "own"),
    ],
)
def test_settings_of_another_kind_are_refused(tmp_path: Path, text: str, found: str) -> None:
    file = tmp_path / "qlops.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=found):
        Settings.read(home=tmp_path / "home", config=file)


def test_definition_of_python_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndicatorError) as caught:
        own_indicators(settings_of(tmp_path, mine=5))
    assert str(caught.value) == "Settings(indicators=…) own mine: was 5; must be a text"


def test_name_of_a_factor_is_refused_in_whatever_case(tmp_path: Path) -> None:
    settings = replace(settings_of(tmp_path, swing="$high-$low"), factors={"SWING": "$high/$low"})
    with pytest.raises(IndicatorError, match="own swing: there is a factor 'SWING'"):
        own_indicators(settings)
    with pytest.raises(IndicatorError, match="own kmid: there is a factor 'KMID'"):
        own_indicators(settings_of(tmp_path, kmid="$high-$low"))
    ours = replace(settings_of(tmp_path, names=("rsi_14",)), factors={"RSI_14": "$close/1"})
    with pytest.raises(IndicatorError, match="there is a factor 'RSI_14' of your own too"):
        built_in_names(ours)


def test_versions_follow_names_and_definitions_and_nothing_else(tmp_path: Path) -> None:
    one = settings_of(tmp_path, names=("rsi_14",), a="$close*1")
    same = replace(one, home=tmp_path / "elsewhere")
    others = [
        settings_of(tmp_path, names=("rsi_6",), a="$close*1"),
        settings_of(tmp_path, names=("rsi_14", "rsi_6"), a="$close*1"),
        settings_of(tmp_path, names=("rsi_14",), a="$close*2"),
        settings_of(tmp_path, names=("rsi_14",), b="$close*1"),
        settings_of(tmp_path, names=("rsi_14",)),
        settings_of(tmp_path),
    ]
    assert code_version(one) == code_version(same)
    assert len({code_version(settings) for settings in (one, *others)}) == 7
    said = definitions(one)
    assert list(said) == ["rsi_14", "a"]
    assert said["rsi_14"].startswith("rsi_14@")
    assert said["a"] == "$close*1"
    built = definitions(settings_of(tmp_path))
    assert len(set(built.values())) == len(built) == len(column_names(settings_of(tmp_path)))
