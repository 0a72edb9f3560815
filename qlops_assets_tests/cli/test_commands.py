"""The commands that only read, and those that refuse: what they say, for people and as JSON."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.dagster_bench import months
from qlops_assets_tests.support.served_models import register, set_live, train_text

METRICS = {
    "ic": 0.041,
    "icir": 0.31,
    "rank_ic": 0.0512,
    "rank_icir": 0.4,
    "long_short": 0.2,
    "excess_return_with_cost": 0.07,
    "excess_return_without_cost": 0.09,
    "information_ratio": 1.25,
    "max_drawdown": -0.08,
}


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """The home ``.qlops`` of the working directory, with two validated versions."""
    settings = Settings(home=tmp_path / ".qlops")
    journal = Journal(settings.journal_url)
    for number in (1, 2):
        register(settings, journal, f"alpha-{number}", train_text(number), metrics=METRICS)
    journal.close()
    return settings


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source of two files, one of which is broken."""
    folder = tmp_path / "bars"
    folder.mkdir()
    months("2019-01", "2019-02").write_parquet(folder / "2019.parquet")
    (folder / "2020.parquet").write_bytes(b"PAR1 and no more")
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)
    return folder


def test_models_list_is_empty_in_a_new_home(qlops: Qlops) -> None:
    assert qlops("models", "list").out.strip() == "no model yet; run `qlops demo`"


def test_models_list_names_versions_states_and_metrics(qlops: Qlops, home: Settings) -> None:
    models = qlops("models", "list", "--json").document["models"]
    assert [m["model_version"] for m in models] == ["alpha-1", "alpha-2"]
    assert {m["state"] for m in models} == {"validated"}
    assert models[0]["metrics"] == METRICS
    table = qlops("models", "list").out
    assert "alpha-1" in table
    assert "0.0512" in table


def test_models_list_shows_versions_without_metrics(qlops: Qlops, home: Settings) -> None:
    registry = Registry(Journal(home.journal_url))
    registry.advance("young", ModelEvent.STARTED, by="tests", why="needed")
    said = qlops("models", "list")
    assert said.status == 0
    assert "young" in said.out


def test_models_show_is_the_card_and_what_its_training_does(qlops: Qlops, home: Settings) -> None:
    card = qlops("models", "show", "alpha-2", "--json").document
    expected = Registry(Journal(home.journal_url)).card("alpha-2").to_json()
    known = {"attempt": None, "status": None, "last_progress": None}
    training = {**known, "heard_at": expected["updated_at"]}
    assert card == {**expected, "shown": "validated", "training": training}
    assert len(card["artifact_sha256"]) == 64
    assert card["artifact_sha256"] in qlops("models", "show", "alpha-2").out


def test_models_history_tells_every_change(qlops: Qlops, home: Settings) -> None:
    document = qlops("models", "history", "alpha-1", "--json").document
    assert document["model_version"] == "alpha-1"
    changes = document["history"]
    assert [(c["from"], c["to"]) for c in changes] == [
        (None, "training"),
        ("training", "trained"),
        ("trained", "validated"),
    ]
    assert set(changes[0]) == {"at", "by", "from", "to", "event", "why"}
    lines = qlops("models", "history", "alpha-1").out.strip().splitlines()
    assert len(lines) == 3
    assert "training → trained" in lines[1]


@pytest.mark.parametrize("command", ["show", "history"])
def test_unknown_version_names_the_nearest(qlops: Qlops, home: Settings, command: str) -> None:
    said = qlops("models", command, "alpha-3", "--json")
    assert said.status == 1
    assert said.document["kind"] == "UnknownModelError"
    assert "did you mean 'alpha-" in said.document["error"]


def test_data_scan_tells_files_versions_and_what_is_quarantined(qlops: Qlops, source: Path) -> None:
    document = qlops("data", "scan", "--bars", str(source), "--json").document
    (good,) = document["files"]
    assert set(good) == {"path", "xxh3_128", "size", "modified_at", "rows", "months"}
    assert good["path"] == "2019.parquet"
    assert good["months"] == 2
    assert good["rows"] == document["rows"] == months("2019-01", "2019-02").height
    assert good["size"] == (source / "2019.parquet").stat().st_size
    (bad,) = document["quarantined"]
    assert bad["path"] == "2020.parquet"
    assert "not a readable Parquet file" in bad["reason"]
    assert document["waiting"] == []
    assert document["source"] == str(source)


def test_data_scan_tells_people_the_same(qlops: Qlops, source: Path) -> None:
    out = qlops("data", "scan", "--bars", str(source)).out
    assert "2019.parquet" in out
    assert "quarantined 2020.parquet: is not a readable Parquet file" in out


def test_data_scan_writes_nothing_into_the_source(qlops: Qlops, source: Path) -> None:
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in source.iterdir()}
    qlops("data", "scan", "--bars", str(source))
    assert {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in source.iterdir()} == before


def test_data_status_names_the_months_to_build(qlops: Qlops, source: Path, tmp_path: Path) -> None:
    (tmp_path / "qlops.toml").write_text(f'[source]\npath = "{source}"\n')
    scanned = qlops("data", "scan", "--json").document
    status = qlops("data", "status", "--json").document
    assert status == {
        **scanned,
        "bars_months": 0,
        "factor_months": 0,
        "months_to_build": ["2019-01", "2019-02"],
    }
    assert "to build: 2019-01, 2019-02" in qlops("data", "status").out


def test_data_status_before_the_first_scan_says_so(qlops: Qlops) -> None:
    said = qlops("data", "status")
    assert said.status == 1
    assert "was never scanned; run `qlops data scan`" in said.err


def test_predict_without_a_server_says_how_to_start_one(qlops: Qlops, home: Settings) -> None:
    said = qlops("predict", "--environment", "staging", "--json")
    assert said.status == 1
    assert said.document["error"] == (
        "staging: no server is running; start it with "
        "`qlops serve --environment staging` or `qlops up`"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "--environment", "prodution"],
        ["serve", "--environment", "prodution"],
        ["deploy", "alpha-1", "--environment", "prodution"],
        ["approve", "alpha-1", "--environment", "prodution"],
    ],
)
def test_unknown_environment_names_the_nearest(
    qlops: Qlops, home: Settings, arguments: list[str]
) -> None:
    said = qlops(*arguments)
    assert said.status == 1
    assert "unknown environment 'prodution'; did you mean 'production'?" in said.err


def test_down_where_nothing_runs_is_done(qlops: Qlops) -> None:
    assert qlops("down", "--json").document == {"stopped": []}
    assert "nothing was running" in qlops("down").out


def test_approve_of_what_nobody_asked_for_is_refused(qlops: Qlops, home: Settings) -> None:
    said = qlops("approve", "alpha-1", "--environment", "production")
    assert said.status == 1
    assert "nobody asked to deploy 'alpha-1'" in said.err


def test_deploy_to_production_before_staging_is_refused(qlops: Qlops, home: Settings) -> None:
    said = qlops("deploy", "alpha-1", "--environment", "production", "--json")
    assert said.status == 1
    assert "did not pass staging first" in said.document["error"]


def test_deploy_without_approval_says_how_to_approve(qlops: Qlops, home: Settings) -> None:
    set_live(Journal(home.journal_url), "staging", "alpha-1")
    said = qlops("deploy", "alpha-1", "--environment", "production", "--by", "mei")
    assert said.status == 1
    assert "run `qlops approve alpha-1 --environment production`" in said.err
    approved = qlops("approve", "alpha-1", "--environment", "production", "--by", "tom", "--json")
    assert approved.document == {
        "model_version": "alpha-1",
        "environment": "production",
        "approved": True,
    }


def test_second_main_job_in_a_home_is_refused(qlops: Qlops, source: Path, tmp_path: Path) -> None:
    home = tmp_path / ".qlops"
    home.mkdir()
    with (home / "demo.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = qlops("demo", "--bars", str(source), "--json")
    assert said.status == 1
    assert said.document["kind"] == "HomeBusyError"
    busy = "another `qlops demo` or `qlops features refresh` is at work on this home; wait"
    assert busy in said.document["error"]


def test_serve_on_a_taken_port_says_which(qlops: Qlops, home: Settings) -> None:
    from qlops_assets.serving.run import bind

    with bind(0) as taken:
        port = taken.getsockname()[1]
        said = qlops("serve", "--environment", "staging", "--port", str(port))
    assert said.status == 1
    assert f"port {port} is already in use" in said.err


def test_console_on_a_taken_port_says_which(qlops: Qlops, home: Settings) -> None:
    from qlops_assets.serving.run import bind

    with bind(0) as taken:
        port = taken.getsockname()[1]
        said = qlops("console", "--port", str(port))
    assert said.status == 1
    assert f"port {port} is already in use" in said.err
