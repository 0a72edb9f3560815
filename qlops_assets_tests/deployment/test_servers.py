"""Model servers as real processes: started, found, asked, killed, stopped."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from qlops_assets.core.errors import (
    DeploymentError,
    PortInUseError,
    ServerError,
    UnknownEntryError,
)
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import EnvironmentSettings, Settings
from qlops_assets.deployment.server_record import own_record, read_record, write_record
from qlops_assets.deployment.servers import (
    ServerRecord,
    ensure_server,
    is_ready,
    load_version,
    publish_record,
    running,
    score,
    stop_server,
    withdraw_record,
)
from qlops_assets.serving.run import bind
from qlops_assets_tests.support.served_models import INSTRUMENTS, register, set_live, train_text


def command(settings: Settings, *more: str) -> list[str]:
    script = "qlops_assets_tests.support.serve_process"
    return [sys.executable, "-m", script, "--home", str(settings.home), *more]


def with_port(home: Path, port: int) -> Settings:
    return Settings(home=home, environments={"staging": EnvironmentSettings(port=port)})


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with two versions, the first live, and at most one server, stopped in the end."""
    settings = with_port(tmp_path_factory.mktemp("home"), 0)
    journal = Journal(settings.journal_url)
    for number in (1, 2):
        register(settings, journal, f"alpha-{number}", train_text(number))
    set_live(journal, "staging", "alpha-1")
    yield settings
    stop_server(settings, "staging")


@pytest.fixture
def record(settings: Settings) -> ServerRecord:
    """The record of a running server."""
    return ensure_server(settings, "staging", command=command(settings))


def wait_until_ready(record: ServerRecord) -> None:
    for _ in range(500):
        if is_ready(record):
            return
    raise AssertionError("not ready")


def test_server_that_runs_is_found_not_started_again(
    settings: Settings, record: ServerRecord
) -> None:
    again = ensure_server(settings, "staging", command=["false"])
    assert again == record
    assert running(settings) == [record]
    file = settings.servers / "staging.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert record.url == f"http://127.0.0.1:{record.port}"
    process = psutil.Process(record.pid)
    assert process.cmdline() == list(record.command)
    assert os.getsid(record.pid) == record.pid  # it outlives its starter
    assert record.token not in " ".join(process.cmdline())
    assert record.token not in (settings.servers / "staging.log").read_text()


def test_callers_at_the_same_time_get_the_same_server(settings: Settings) -> None:
    stop_server(settings, "staging")
    got: list[ServerRecord] = []
    callers = [
        threading.Thread(
            target=lambda: got.append(ensure_server(settings, "staging", command=command(settings)))
        )
        for _ in range(3)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(got) == 3
    assert len(set(got)) == 1


def test_version_is_loaded_and_scores_are_asked(record: ServerRecord) -> None:
    assert load_version(record, "alpha-2")["model_version"] == "alpha-2"
    assert is_ready(record)
    answer = score(record, instruments=INSTRUMENTS[:2])
    assert answer["model_version"] == "alpha-2"
    assert [s["instrument"] for s in answer["scores"]] == INSTRUMENTS[:2]


def test_refusals_carry_the_servers_reason(record: ServerRecord) -> None:
    wait_until_ready(record)
    with pytest.raises(DeploymentError, match="staging did not load alpha-9: unknown model"):
        load_version(record, "alpha-9")
    with pytest.raises(DeploymentError, match="not this server's admin token"):
        load_version(replace(record, token="another"), "alpha-1")
    with pytest.raises(ServerError, match="date: was 'yesterday'"):
        score(record, date="yesterday")


def test_killed_server_started_again_serves_the_live_version(
    settings: Settings, record: ServerRecord
) -> None:
    load_version(record, "alpha-2")
    set_live(Journal(settings.journal_url), "staging", "alpha-2")
    os.kill(record.pid, signal.SIGKILL)
    psutil.Process(record.pid).wait(10)
    assert running(settings) == []
    assert not is_ready(record)
    with pytest.raises(ServerError, match="did not answer"):
        score(record)
    again = ensure_server(settings, "staging", command=command(settings))
    assert again.pid != record.pid
    assert again.token != record.token
    wait_until_ready(again)
    assert score(again)["model_version"] == "alpha-2"


def test_stopped_server_is_gone_with_its_record(settings: Settings, record: ServerRecord) -> None:
    assert stop_server(settings, "staging") is True
    assert not psutil.pid_exists(record.pid)
    assert running(settings) == []
    assert not (settings.servers / "staging.json").exists()
    assert stop_server(settings, "staging") is False


def test_port_of_a_foreign_process_is_named(tmp_path: Path) -> None:
    with closing(bind(0)) as foreign:
        port = foreign.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} .* the model server of staging"):
            ensure_server(with_port(tmp_path, port), "staging", command=["false"])


def test_unknown_environment_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownEntryError, match="did you mean 'staging'"):
        ensure_server(with_port(tmp_path, 0), "stagin")


def test_server_that_ends_at_once_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    settings = with_port(tmp_path, 0)
    settings.servers.mkdir(parents=True)
    (settings.servers / "staging.log").write_text("words of another day\n")
    ends = [sys.executable, "-c", "import sys; sys.exit('no disk left')"]
    with pytest.raises(ServerError, match=r"ended with status 1.*no disk left") as caught:
        ensure_server(settings, "staging", command=ends)
    assert "another day" not in str(caught.value)


def test_server_that_does_not_answer_in_time_is_an_error_and_killed(tmp_path: Path) -> None:
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(ServerError, match=r"did not answer within 0\.3 s"):
        ensure_server(with_port(tmp_path, 0), "staging", timeout_s=0.3, command=sleeps)
    mine = psutil.Process().children(recursive=True)
    assert not [child for child in mine if "time.sleep(60)" in " ".join(child.cmdline())]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no server of ours."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait(10)


@pytest.mark.parametrize("lie", ["started_at", "command"])
def test_record_whose_process_id_was_used_again_is_not_believed(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], lie: str
) -> None:
    settings = with_port(tmp_path, 0)
    process = psutil.Process(sleeper.pid)
    own = own_record("staging", port=1, token="t", url="http://127.0.0.1:1")
    record = replace(
        own,
        pid=sleeper.pid,
        started_at="2020-01-01T00:00:00+00:00" if lie == "started_at" else own.started_at,
        command=own.command if lie == "command" else tuple(process.cmdline()),
    )
    write_record(settings.servers / "staging.json", record)
    assert running(settings) == []
    assert stop_server(settings, "staging") is False
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"pid": "x", "command": 3}', '{"a'])
def test_record_that_is_none_is_ignored(tmp_path: Path, text: str) -> None:
    settings = with_port(tmp_path, 0)
    settings.servers.mkdir(parents=True)
    (settings.servers / "staging.json").write_text(text)
    assert read_record(settings.servers / "staging.json") is None
    assert running(settings) == []
    assert stop_server(settings, "staging") is False


def test_record_is_withdrawn_by_its_own_process_only(tmp_path: Path) -> None:
    settings = with_port(tmp_path, 0)
    record = publish_record(settings, "staging", port=8101, token="secret")
    assert running(settings) == [record]
    write_record(settings.servers / "staging.json", replace(record, pid=record.pid + 1))
    withdraw_record(settings, "staging")
    assert json.loads((settings.servers / "staging.json").read_text())["port"] == 8101
    publish_record(settings, "staging", port=8101, token="secret")
    withdraw_record(settings, "staging")
    assert running(settings) == []
