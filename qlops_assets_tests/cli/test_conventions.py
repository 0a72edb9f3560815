"""What every command keeps to: help, exit statuses, errors in one line, where the home is."""

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from qlops_assets.cli.main import COMMANDS
from qlops_assets.cli.main import qlops as group
from qlops_assets_tests.cli.conftest import Qlops

SUBCOMMANDS = {
    "data": [
        *("scan", "status", "versions", "diff", "lineage"),
        *("restore", "verify", "prune", "convert"),
    ],
    "factor": ["check", "list", "add", "remove", "report", "select"],
    "indicator": ["list", "show", "check"],
    "features": ["refresh", "status", "versions", "as-of", "compact", "untag"],
    "models": ["list", "show", "history", "record", "reproduce"],
    "train": ["cancel", "export", "recipe", "rolling"],
    "tune": ["cancel", "list", "show"],
}


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_tells_what_it_does(qlops: Qlops, name: str) -> None:
    said = qlops(name, "--help")
    assert said.status == 0
    assert said.out.startswith(f"Usage: qlops {name}")
    assert said.err == ""


@pytest.mark.parametrize(
    ("name", "subcommand"), [(n, s) for n, subs in SUBCOMMANDS.items() for s in subs]
)
def test_help_of_a_subcommand_offers_home_and_json(
    qlops: Qlops, name: str, subcommand: str
) -> None:
    said = qlops(name, subcommand, "--help")
    assert said.status == 0
    assert "--home" in said.out
    assert "--json" in said.out


def test_help_lists_every_command_with_its_line(qlops: Qlops) -> None:
    said = qlops("--help")
    assert said.status == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in said.out] == []


def test_line_of_the_table_is_true_of_the_command(qlops: Qlops) -> None:
    """The table repeats each command's purpose so that --help imports nothing."""
    context = click.Context(group)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        assert command.name == name
        subcommands = getattr(command, "commands", {})
        assert sorted(subcommands) == sorted(SUBCOMMANDS.get(name, []))
        assert [s for s in subcommands if s not in COMMANDS[name][1]] == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_answers_in_half_a_second(arguments: list[str], tmp_path: Path) -> None:
    walls = []
    for _ in range(4):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "qlops_assets.cli", *arguments],
            cwd=tmp_path,
            capture_output=True,
            check=True,
            timeout=30,
        )
        walls.append(time.perf_counter() - started)
    assert min(walls) < 0.5


def test_no_command_shows_the_help_as_wrong_usage(qlops: Qlops) -> None:
    said = qlops()
    assert said.status == 2
    assert "Usage: qlops" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["dmeo"], "did you mean 'demo'?"),
        (["modles", "list"], "did you mean 'models'?"),
        (["models", "lits"], "list"),
        (["demo", "--brs", "x"], "--bars"),
        (["demo", "--train-end", "2016"], "%Y-%m-%d"),
        (["demo", "--idle-minutes", "0"], "--idle-minutes"),
        (["serve", "--port", "70000"], "65535"),
        (["models", "show"], "VERSION"),
        (["deploy", "v1"], "--environment"),
    ],
)
def test_wrong_usage_is_one_line_that_names_what_is_right(
    qlops: Qlops, arguments: list[str], named: str
) -> None:
    said = qlops(*arguments)
    assert said.status == 2
    assert one_line(said.err).startswith("error: ")
    assert named in said.err
    assert said.out == ""


def test_wrong_usage_with_json_is_a_document(qlops: Qlops) -> None:
    said = qlops("--json", "dmeo")
    assert said.status == 2
    assert said.document["kind"] == "UsageError"
    assert "did you mean 'demo'?" in said.document["error"]


def test_error_of_the_work_is_one_line_and_status_1(qlops: Qlops, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    said = qlops("data", "scan", "--bars", str(missing))
    assert said.status == 1
    assert one_line(said.err).startswith(f"error: {missing}: there is no such folder; accepted is")
    assert said.out == ""


@pytest.mark.parametrize("place", ["before", "after"])
def test_error_with_json_is_a_document_on_stdout(qlops: Qlops, tmp_path: Path, place: str) -> None:
    command = ["data", "scan", "--bars", str(tmp_path / "missing")]
    said = qlops(*(["--json", *command] if place == "before" else [*command, "--json"]))
    assert said.status == 1
    assert said.document["kind"] == "SourceError"
    assert "there is no such folder" in said.document["error"]
    assert one_line(said.err) == f"error: {said.document['error']}"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "qlops_assets.cli", "--home", str(tmp_path / "home")]
    done = subprocess.run(
        [*command, "--debug", "data", "scan", "--bars", str(tmp_path / "missing")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "SourceError" in done.stderr


def test_home_stands_before_or_after_the_command(qlops: Qlops, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    assert qlops("--home", str(before), "models", "list").status == 0
    assert qlops("models", "list", "--home", str(after)).status == 0
    assert [(h / "journal.db").is_file() for h in (before, after)] == [True, True]


def test_home_after_the_command_wins(qlops: Qlops, tmp_path: Path) -> None:
    qlops("--home", str(tmp_path / "outer"), "models", "list", "--home", str(tmp_path / "inner"))
    assert (tmp_path / "inner" / "journal.db").is_file()
    assert not (tmp_path / "outer").exists()


def test_home_is_that_of_the_variable_where_none_is_given(
    qlops: Qlops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QLOPS_HOME", str(tmp_path / "named"))
    qlops("models", "list")
    assert (tmp_path / "named" / "journal.db").is_file()
    qlops("models", "list", "--home", str(tmp_path / "given"))
    assert (tmp_path / "given" / "journal.db").is_file()


def test_home_is_dot_qlops_otherwise(qlops: Qlops, tmp_path: Path) -> None:
    qlops("models", "list")
    assert (tmp_path / ".qlops" / "journal.db").is_file()


def test_home_that_is_a_file_is_wrong_usage(qlops: Qlops, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    said = qlops("--home", str(tmp_path / "file"), "models", "list")
    assert said.status == 2
    assert "is a file" in one_line(said.err)


def test_home_that_cannot_be_made_is_one_line(qlops: Qlops) -> None:
    said = qlops("--home", "/proc/none/home", "models", "list")
    assert said.status == 1
    assert "/proc/none" in one_line(said.err)


def test_database_of_the_journal_is_where_the_variable_says(
    qlops: Qlops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QLOPS_DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere.db")
    assert qlops("models", "list").status == 0
    with sqlite3.connect(tmp_path / "elsewhere.db") as database:
        assert database.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_database_that_is_damaged_is_one_line(qlops: Qlops, tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("this is no database, and long enough to be read as one")
    said = qlops("models", "list", "--home", str(tmp_path))
    assert said.status == 1
    assert f"error: {tmp_path}/journal.db: file is not a database" in one_line(said.err)


def test_database_in_a_folder_that_cannot_be_made_is_one_line(
    qlops: Qlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QLOPS_DATABASE_URL", "sqlite:////proc/none/journal.db")
    said = qlops("models", "list")
    assert said.status == 1
    assert one_line(said.err).startswith("error: /proc/none/journal.db: ")


def test_database_that_is_no_sqlite_is_wrong_usage(
    qlops: Qlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QLOPS_DATABASE_URL", "mysql://nowhere/x")
    said = qlops("models", "list")
    assert said.status == 2
    assert "QLOPS_DATABASE_URL: was 'mysql', must be sqlite:///PATH" in one_line(said.err)


@pytest.mark.parametrize("where", ["folder", "home", "variable"])
def test_unknown_key_names_the_file_and_the_nearest_key(
    qlops: Qlops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    files = {
        "folder": tmp_path / "qlops.toml",
        "home": tmp_path / ".qlops" / "qlops.toml",
        "variable": tmp_path / "other.toml",
    }
    files[where].parent.mkdir(exist_ok=True)
    files[where].write_text("[training]\nembargo_day = 3\n")
    if where == "variable":
        monkeypatch.setenv("QLOPS_CONFIG", str(files[where]))
    said = qlops("--json", "models", "list")
    assert said.status == 2
    assert str(files[where]) in said.document["error"]
    assert "unknown key 'embargo_day'; did you mean 'embargo_days'?" in said.document["error"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("[trianing]\n", "did you mean 'training'?"),
        ("[training]\nrounds = 'many'\n", "must be int"),
        ("[training]\ntrain_end = '2016-13-01'\n", "must be a date YYYY-MM-DD"),
        ("[environments.staging]\nneeds_approval = true\n", "'port' is missing"),
        ("[training\n", "not TOML"),
    ],
)
def test_wrong_setting_is_wrong_usage(
    qlops: Qlops, tmp_path: Path, content: str, found: str
) -> None:
    (tmp_path / "qlops.toml").write_text(content)
    said = qlops("models", "list")
    assert said.status == 2
    assert found in one_line(said.err)


def test_configuration_file_that_is_missing_is_wrong_usage(
    qlops: Qlops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QLOPS_CONFIG", str(tmp_path / "none.toml"))
    said = qlops("models", "list")
    assert said.status == 2
    assert "none.toml: no such file" in one_line(said.err)


def test_document_is_the_only_thing_on_stdout(qlops: Qlops) -> None:
    said = qlops("models", "list", "--json")
    assert json.loads(said.out) == {"models": []}
    assert said.err == ""
