"""The MLflow database of a home: made once, whole, and never left with a run that looks alive."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.errors import LockedError, QlopsError, RecordingError
from qlops_assets.core.locks import locked
from qlops_assets.core.settings import Settings
from qlops_assets.training.recording.store import FAILED, FINISHED, RunKey, opened
from qlops_assets_tests.support.recorded import recording
from qlops_assets_tests.support.small_disk import SmallDisk, small_disk
from qlops_assets_tests.support.waiting import wait_for

ROOT = Path(__file__).parents[3]
KEY = RunKey("alpha-1", 1, "d1")
AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path, database: Path) -> Settings:
    """A home with an empty MLflow database, in a place whose name has to be quoted."""
    return recording(Settings(home=tmp_path / "a home, 50% näher"), database)


@contextlib.contextmanager
def process(settings: Settings, name: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Record a run in a process of its own, in a working directory of its own."""
    working = folder / f"cwd-{name}"
    working.mkdir()
    files = [str(folder / f"{name}-holds"), str(folder / "go-on")]
    command = [sys.executable, "-m", "qlops_assets_tests.support.record_process"]
    started = subprocess.Popen(
        [*command, str(settings.home), name, *files],
        cwd=working,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def write_run(
    settings: Settings, key: RunKey = KEY, status: str = FINISHED, **parameters: str
) -> str:
    """Record a run and return its identity."""
    with opened(settings) as store, store.run("trials", key, began=AT) as recorder:
        curve = [("l2.valid", 1 / step, step) for step in range(1, 1203)]
        store.log(recorder.id, parameters=parameters, tags={"b": "2"}, metrics=curve, at=AT)
        store.close(recorder.id, status, AT)
        return str(recorder.id)


def client_of(settings: Settings) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(settings.mlflow_url)


def statuses(settings: Settings) -> dict[str, str]:
    """Return run name -> status, read without MLflow."""
    with contextlib.closing(sqlite3.connect(settings.mlflow / "mlflow.db")) as connection:
        return dict(connection.execute("SELECT name, status FROM runs"))


def test_two_processes_that_record_first_share_one_database_in_the_home(tmp_path: Path) -> None:
    """Also after a third was killed in making it."""
    settings = Settings(home=tmp_path / "home")
    with process(settings, "killed", tmp_path) as killed:
        wait_for(lambda: list(settings.mlflow.glob(".mlflow.db.*")))
        killed.send_signal(signal.SIGKILL)
        killed.wait(30)
    assert not (settings.mlflow / "mlflow.db").exists()
    (tmp_path / "go-on").touch()
    with process(settings, "one", tmp_path) as one, process(settings, "two", tmp_path) as two:
        told = [p.communicate(timeout=120)[1].decode() for p in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0), told
    assert told == ["", ""]
    assert statuses(settings) == {"one": "FINISHED", "two": "FINISHED"}
    places = {e.name: e.artifact_location for e in client_of(settings).search_experiments()}
    artifacts = (tmp_path / "home" / "mlflow" / "artifacts").as_uri()
    assert places == {"trials": f"{artifacts}/trials", "Default": f"{artifacts}/0"}
    assert list(tmp_path.glob("cwd-*/*")) == []
    assert {"mlflow.db", "recording.lock"} <= {p.name for p in settings.mlflow.iterdir()}


def test_run_of_a_process_that_was_killed_is_closed_by_the_next(
    settings: Settings, tmp_path: Path
) -> None:
    client = client_of(settings)
    theirs = client.create_run(client.create_experiment("theirs"), run_name="theirs")
    with process(settings, "one", tmp_path) as one:
        wait_for((tmp_path / "one-holds").exists)
        with pytest.raises(LockedError), opened(settings, wait_s=0.1):
            pass
        one.send_signal(signal.SIGKILL)
        one.wait(30)
    assert statuses(settings) == {"theirs": "RUNNING", "one": "RUNNING"}
    write_run(settings)
    assert statuses(settings) == {"theirs": "RUNNING", "one": "KILLED", "alpha-1": "FINISHED"}
    assert client.get_run(theirs.info.run_id).info.end_time is None


def test_what_is_recorded_again_is_the_same_run(settings: Settings) -> None:
    first = write_run(settings, status=FAILED, a="1")
    assert write_run(settings, a="of another release", b="3") == first
    assert write_run(settings, RunKey("alpha-1", 2, "d1")) != first
    assert write_run(settings, RunKey("alpha-1", 1, "d2")) != first
    client = client_of(settings)
    run = client.get_run(first)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "alpha-1")
    assert (run.info.start_time, run.info.end_time) == (1714979289000, 1714979289000)
    assert run.data.params == {"a": "1", "b": "3"}
    assert run.data.tags.items() >= {"b": "2", "attempt": "1", "dagster_run": "d1"}.items()
    curve = client.get_metric_history(first, "l2.valid")
    assert [(point.step, point.value) for point in curve] == [(s, 1 / s) for s in range(1, 1203)]


def test_recording_that_breaks_off_leaves_no_run_open(settings: Settings) -> None:
    with (
        pytest.raises(RecordingError, match="no such thing"),
        opened(settings) as store,
        store.run("trials", KEY, began=AT),
    ):
        raise FileNotFoundError("no such thing")
    assert statuses(settings) == {"alpha-1": "KILLED"}


def test_home_that_was_moved_records_where_it_is_now(settings: Settings, tmp_path: Path) -> None:
    before = write_run(settings)
    moved = Settings(home=tmp_path / "moved")
    shutil.move(settings.home, moved.home)
    after = write_run(moved)
    assert after != before
    client = client_of(moved)
    uris = {run: client.get_run(run).info.artifact_uri for run in (before, after)}
    assert uris[after].startswith(moved.mlflow.as_uri())
    assert uris[before].startswith(settings.mlflow.as_uri())
    assert not settings.home.exists()


def test_experiment_that_was_deleted_is_there_again(settings: Settings) -> None:
    run = write_run(settings)
    client = client_of(settings)
    client.delete_experiment(client.get_run(run).info.experiment_id)
    assert write_run(settings, RunKey("alpha-2", 1, "d1"))
    assert client.get_experiment_by_name("trials").lifecycle_stage == "active"


def refusal(settings: Settings, wait_s: float = 5.0) -> str:
    with pytest.raises(QlopsError) as refused, opened(settings, wait_s=wait_s):
        pass
    return str(refused.value)


def test_database_that_somebody_else_locks_is_named_with_what_to_do(settings: Settings) -> None:
    with contextlib.closing(sqlite3.connect(settings.mlflow / "mlflow.db")) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        said = refusal(settings, 0.1)
    assert said.startswith(f"{settings.mlflow / 'mlflow.db'}: the training could not be recorded")
    assert "database is locked" in said
    assert "`qlops models record VERSION`" in said
    assert write_run(settings)


def test_file_that_is_no_database_is_named_at_once(settings: Settings) -> None:
    (settings.mlflow / "mlflow.db").write_bytes(b"not a database, whatever it is called\n" * 99)
    assert "file is not a database" in refusal(settings)


def test_database_of_another_release_of_mlflow_is_refused_with_its_words(
    settings: Settings,
) -> None:
    with contextlib.closing(sqlite3.connect(settings.mlflow / "mlflow.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        connection.commit()
    assert "mlflow db upgrade" in refusal(settings)


def test_lock_that_another_recording_holds_is_waited_for_and_named(settings: Settings) -> None:
    with locked(settings.mlflow / "recording.lock"):
        assert "another process has held this lock" in refusal(settings, 0.1)


def fill_and_save(disk: SmallDisk, settings: Settings, file: Path) -> None:
    """Record a run whose disk is full when its files come."""
    file.write_bytes(b"\1" * (1 << 20))
    with (
        opened(settings) as store,
        store.run("trials", RunKey("alpha-2", 1, "d1"), began=AT) as recorder,
    ):
        disk.fill()
        recorder.save_objects(local_path=str(file))


def test_full_disk_is_told_and_leaves_no_run_open_once_there_is_room(
    tmp_path: Path, database: Path
) -> None:
    with small_disk(tmp_path / "disk", megabytes=8) as disk:
        settings = recording(Settings(home=disk.folder / "home"), database)
        write_run(settings)
        with pytest.raises(RecordingError, match=r"disk is full|No space left"):
            fill_and_save(disk, settings, tmp_path / "large")
        disk.empty()
        write_run(settings, RunKey("alpha-3", 1, "d1"))
        assert set(statuses(settings).values()) <= {"FINISHED", "KILLED"}
