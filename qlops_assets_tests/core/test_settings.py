from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from qlops_assets.core.atomic import write_json
from qlops_assets.core.errors import SettingsError
from qlops_assets.core.settings import Settings, child_environment

VARIABLES = ("QLOPS_HOME", "QLOPS_CONFIG", "QLOPS_DATABASE_URL", "QLOPS_LAKE_URL")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start each test in an empty folder and without our variables."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str, folder: Path) -> Settings:
    file = folder / "given.toml"
    file.write_text(text, encoding="utf-8")
    return Settings.read(home=folder / "home", config=file)


def test_without_anything_given_defaults_hold(elsewhere: Path) -> None:
    settings = Settings.read()
    assert settings == Settings(home=elsewhere / ".qlops")
    assert settings.source.is_simulated
    assert settings.source_folder == elsewhere / ".qlops" / "sources" / "simulated-7-300x8"
    assert settings.journal_url == f"sqlite:///{elsewhere / '.qlops' / 'journal.db'}"
    assert list(settings.environments) == ["staging", "production"]


def test_every_section_is_read(elsewhere: Path) -> None:
    settings = read(
        """
        [source]
        path = "data"
        quiet_seconds = 5
        timezone = "Asia/Shanghai"
        columns = {close = "px_close"}
        [simulated]
        years = 3
        [universe]
        name = "csi300"
        [training]
        train_end = 2016-12-31
        valid_end = "2018-12-31"
        parameters = {num_leaves = 31, boosting = "gbdt"}
        [environments.paper]
        port = 8200
        needs_approval = true
        approvers = ["ann", "bob"]
        [console]
        port = 9090
        [factors]
        momentum_10 = "$close/Ref($close,10)-1"
        """,
        elsewhere,
    )
    assert settings.source.path == elsewhere / "data"
    assert settings.source.quiet_seconds == 5.0
    assert isinstance(settings.source.quiet_seconds, float)
    assert settings.source.columns == {"close": "px_close"}
    assert settings.simulated.years == 3
    assert (settings.training.train_end, settings.training.valid_end) == (
        date(2016, 12, 31),
        date(2018, 12, 31),
    )
    assert settings.training.parameters == {"num_leaves": 31, "boosting": "gbdt"}
    assert list(settings.environments) == ["paper"]
    assert settings.environments["paper"].approvers == ("ann", "bob")
    assert settings.console.port == 9090
    assert settings.universe.name == "csi300"
    assert settings.factors == {"momentum_10": "$close/Ref($close,10)-1"}
    assert settings.config_file == elsewhere / "given.toml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sorce]", ["unknown key 'sorce'", "did you mean 'source'"]),
        ("[home]", ["unknown key 'home'"]),
        ("[source]\npaht = 'x'", ["[source]", "unknown key 'paht'", "did you mean 'path'"]),
        ("[environments.x]\nport = 1\nprot = 2", ["[environments].x", "did you mean 'port'"]),
        ("[environments.x]\nneeds_approval = true", ["[environments].x", "'port' is missing"]),
        ("[environments]\nx = 3", ["[environments].x", "was 3", "must be a table"]),
        ("source = 3", ["[source]", "was 3", "must be a table"]),
        ("environments = 3", ["[environments]", "must be a table"]),
        ("[source]\npath = 3", ["path", "was 3", "must be str"]),
        ("[source]\nadjusted = 'yes'", ["adjusted", "was 'yes'", "must be bool"]),
        ("[source]\nquiet_seconds = '2'", ["quiet_seconds", "must be int or float"]),
        ("[source]\nquiet_seconds = true", ["quiet_seconds", "was True"]),
        ("[source]\ncolumns = ['close']", ["columns", "must be dict"]),
        ("[source.columns]\nclose = 3", ["columns.close", "was 3", "must be str"]),
        ("[training]\nrounds = 1.5", ["rounds", "was 1.5", "must be int"]),
        ("[training]\nrounds = true", ["rounds", "was True", "must be int"]),
        ("[training]\ntrain_end = '2016-13-01'", ["train_end", "must be a date YYYY-MM-DD"]),
        ("[training]\ntrain_end = 2016", ["train_end", "was 2016", "must be date"]),
        ("[training]\ntrain_end = 2016-01-01T00:00:00", ["train_end", "must be a date"]),
        ("[environments.x]\nport = 1\napprovers = 'ann'", ["approvers", "must be list"]),
        ("[environments.x]\nport = 1\napprovers = [1]", ["approvers", "must be str"]),
        ("factors = 3", ["[factors]", "was 3", "must be a table"]),
        ("[factors]\nswing = 3", ["[factors].swing", "was 3", "must be str"]),
        ("[source", ["not TOML"]),
    ],
)
def test_wrong_setting_names_the_key_the_value_and_what_is_taken(
    elsewhere: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(SettingsError) as raised:
        read(text, elsewhere)
    for word in ["given.toml", *words]:
        assert word in str(raised.value)


def test_missing_config_file_that_was_named_is_an_error(elsewhere: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: no such file"):
        Settings.read(config=elsewhere / "nowhere.toml")


def test_config_file_that_is_not_text_is_an_error(elsewhere: Path) -> None:
    (elsewhere / "qlops.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not TOML"):
        Settings.read()


def test_config_in_the_working_directory_goes_before_that_of_the_home(elsewhere: Path) -> None:
    home = elsewhere / "home"
    home.mkdir()
    (home / "qlops.toml").write_text("[simulated]\nyears = 2\n", encoding="utf-8")
    assert Settings.read(home).simulated.years == 2
    (elsewhere / "qlops.toml").write_text("[simulated]\nyears = 3\n", encoding="utf-8")
    assert Settings.read(home).simulated.years == 3


def test_environment_variables_are_read(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = elsewhere / "else.toml"
    config.write_text("[simulated]\nseed = 11\n", encoding="utf-8")
    monkeypatch.setenv("QLOPS_HOME", str(elsewhere / "h"))
    monkeypatch.setenv("QLOPS_CONFIG", str(config))
    monkeypatch.setenv("QLOPS_DATABASE_URL", "sqlite:////x/j.db")
    monkeypatch.setenv("QLOPS_LAKE_URL", f"file://{elsewhere}/lake")
    settings = Settings.read()
    assert settings.home == elsewhere / "h"
    assert settings.simulated.seed == 11
    assert settings.journal_url == "sqlite:////x/j.db"
    assert settings.lake == elsewhere / "lake" / "simulated-11-300x8"


def test_arguments_go_before_environment_variables(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QLOPS_HOME", str(elsewhere / "a"))
    monkeypatch.setenv("QLOPS_CONFIG", str(elsewhere / "nowhere.toml"))
    config = elsewhere / "b.toml"
    config.write_text("", encoding="utf-8")
    settings = Settings.read(home="b", config=config)
    assert (settings.home, settings.config_file) == (elsewhere / "b", config)


def test_remembered_source_is_used_where_none_is_configured(elsewhere: Path) -> None:
    home = elsewhere / "home"
    write_json(home / "source.json", {"path": str(elsewhere / "mine")})
    assert Settings.read(home).source.path == elsewhere / "mine"
    (home / "qlops.toml").write_text('[source]\npath = "/other"\n', encoding="utf-8")
    assert Settings.read(home).source.path == Path("/other")


def test_sources_of_the_same_name_have_lakes_of_their_own(elsewhere: Path) -> None:
    one = Settings().with_source(elsewhere / "a" / "My Bars!")
    other = Settings().with_source(elsewhere / "b" / "My Bars!")
    assert one.lake != other.lake
    assert one.source_name.startswith("my-bars-")
    assert one.with_source(None).source.is_simulated


def test_every_path_lies_in_the_home(elsewhere: Path) -> None:
    settings = Settings(home=Path("h"))
    paths = [
        settings.lake,
        settings.models,
        settings.dagster,
        settings.servers,
        settings.source_file,
    ]
    assert all(path.is_relative_to(elsewhere / "h") for path in paths)


def test_settings_are_values(elsewhere: Path) -> None:
    assert Settings(home=elsewhere) == Settings(home=elsewhere)
    assert replace(Settings(), home=elsewhere).home == elsewhere


def test_child_environment_is_a_copy_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QLOPS_HOME", "/a")
    assert child_environment(QLOPS_HOME="/b")["QLOPS_HOME"] == "/b"
    assert child_environment()["QLOPS_HOME"] == "/a"
