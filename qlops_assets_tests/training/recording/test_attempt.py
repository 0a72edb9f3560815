"""Attempts that failed, were cancelled or killed, and recordings that could not be made."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.errors import TrainingCancelledError, TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.progress import TrainingProgress
from qlops_assets.core.trainings.status import request_cancel, sign_path
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent, ModelState
from qlops_assets.training.recording.attempt import RecordedRun, record_newest
from qlops_assets_tests.support.recorded import recording
from qlops_assets_tests.support.trainings import events_of, failure_of, run_training, version_of
from qlops_assets_tests.support.waiting import wait_for

ROOT = Path(__file__).parents[3]
VERSION = "lightgbm-simulated-7-300x8-20251231-b20f4d"


@pytest.fixture
def settings(tmp_path: Path, database: Path) -> Settings:
    """A home without anything but an MLflow database."""
    return recording(Settings(home=tmp_path / "home"), database)


@pytest.fixture
def progress(settings: Settings) -> Iterator[TrainingProgress]:
    """A fit that this process is at."""
    journal = Journal(settings.journal_url)
    Registry(journal).advance(VERSION, ModelEvent.STARTED, by="d", why="", facts={"seed": 1})
    progress = TrainingProgress(
        journal, VERSION, "trained_model", sign=sign_path(settings.models, VERSION), run_id="r1"
    )
    for step in range(1, 5):
        progress.report("fit", step, 100, {"train.l2": 1 / step, "valid.l2": 2 / step})
    yield progress
    with suppress(TimeoutError):
        progress._pulse.close()
    journal.close()


def record(settings: Settings, version: str = VERSION) -> RecordedRun:
    journal = Journal(settings.journal_url)
    try:
        return record_newest(settings, journal, version, by="ann", now=datetime.now(UTC))
    finally:
        journal.close()


def runs_of(settings: Settings) -> list[Any]:
    """Return every run of a home, the first recorded first."""
    from mlflow import MlflowClient

    client = MlflowClient(settings.mlflow_url)
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))


def card_of(settings: Settings, version: str) -> Any:
    return Registry(Journal(settings.journal_url)).card(version)


def test_attempt_that_was_cancelled_is_a_killed_run_with_its_curves(
    settings: Settings, progress: TrainingProgress
) -> None:
    journal = Journal(settings.journal_url)
    request_cancel(journal, settings.models, VERSION, by="ann", why="wrong label")
    wait_for(lambda: progress._pulse.request)
    with pytest.raises(TrainingCancelledError) as cancelled:
        progress.report("fit", 5, 100, {"train.l2": 0.2, "valid.l2": 0.4})
    about = {"by": "ann", "why": "wrong label", "reached": cancelled.value.reached}
    Registry(journal).advance(VERSION, ModelEvent.CANCELLED, by="d", why="")
    progress.end("cancelled", about)
    recorded = record(settings)
    (run,) = runs_of(settings)
    assert (run.info.run_id, run.info.status, recorded.status) == (recorded.run, "KILLED", "KILLED")
    told = {"state": "cancelled", "cancelled_by": "ann", "cancelled_why": "wrong label"}
    assert run.data.tags.items() >= {**told, "reached": "fit 5 of 100"}.items()
    assert run.data.metrics == {"l2.train": 0.2, "l2.valid": 0.4}
    assert card_of(settings, VERSION).facts["mlflow_run"] == recorded.run


def test_training_whose_process_was_killed_can_be_recorded_as_killed(
    settings: Settings, progress: TrainingProgress
) -> None:
    wait_for(lambda: len(events_of(settings, VERSION, "progress")) == 4)
    with pytest.raises(TrainingError, match="its training runs"):
        record(settings)
    sign = sign_path(settings.models, VERSION)
    document = json.loads(sign.read_text())
    sign.write_text(json.dumps({**document, "started": 1.0}))  # its number was used again
    recorded = record(settings)
    (run,) = runs_of(settings)
    assert (run.info.status, recorded.is_linked) == ("KILLED", True)
    assert run.data.metrics == {"l2.train": 0.25, "l2.valid": 0.5}
    assert run.info.end_time >= run.info.start_time


def test_training_that_has_not_come_to_its_end_is_not_recorded(
    settings: Settings, progress: TrainingProgress
) -> None:
    progress.end("finished", {})
    with pytest.raises(TrainingError, match="after trained_model nothing was done yet"):
        record(settings)
    with pytest.raises(TrainingError, match="never trained"):
        record(settings, "alpha-1")
    assert runs_of(settings) == []


def test_failure_is_a_failed_run_and_what_follows_is_another(home: Settings) -> None:
    """Of a fit, then a training to its end, then one that fails of the valid version."""
    version = version_of(home)
    assert run_training(home, only=["training_set"]).success
    assert runs_of(home) == []
    labels = home.models / version / "labels.parquet"
    content = labels.read_bytes()
    labels.write_bytes(b"PAR1 not really")
    result = run_training(home, only=["trained_model"])
    (failed,) = runs_of(home)
    check_failed_run(home, version, failed, result)

    labels.write_bytes(content)
    assert run_training(home, only=["trained_model", "model_evaluation"]).success
    _, finished = runs_of(home)
    assert (finished.info.status, finished.data.tags["attempt"]) == ("FINISHED", "2")
    card = card_of(home, version)
    assert (card.state, card.facts["mlflow_run"]) == (ModelState.VALIDATED, finished.info.run_id)

    assert not run_training(home, only=["trained_model"]).success  # it has been trained
    third = runs_of(home)[-1]
    assert third.info.status == "FAILED"
    assert third.data.tags["exception"] == "IllegalTransitionError"
    assert card_of(home, version).facts["mlflow_run"] == finished.info.run_id
    assert {run.info.status for run in runs_of(home)} == {"FINISHED", "FAILED"}


def check_failed_run(home: Settings, version: str, run: Any, result: Any) -> None:
    failure = card_of(home, version).facts["failure"]
    assert (run.info.status, run.info.run_name) == ("FAILED", version)
    tags = run.data.tags
    assert tags["failed_step"] == "trained_model"
    assert (tags["failed_stage"], tags["exception"]) == ("load", "ComputeError")
    assert tags["message"] == failure["message"]
    assert tags["snapshot"] == failure["data_version"]
    assert run.data.params["model.class"] == "LGBModel"
    assert run.data.params["dataset.kwargs.handler.kwargs.instruments"] == "core"
    assert run.data.metrics == {}
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert json.loads((folder / "failure.json").read_text()) == failure
    assert not (folder / "pred.pkl").exists()
    shown = failure_of(result)
    assert shown.metadata["mlflow_run"].value == run.info.run_id
    assert card_of(home, version).facts["mlflow_run"] == run.info.run_id


def test_model_is_valid_where_it_cannot_be_recorded_and_is_recorded_later(
    home: Settings, database: Path
) -> None:
    version = version_of(home)
    (home.mlflow / "mlflow.db").write_bytes(b"no database at all " * 50)
    result = run_training(home)
    assert result.success
    card = card_of(home, version)
    assert (card.state, card.facts["mlflow_run"]) == (ModelState.VALIDATED, None)
    (event,) = events_of(home, version, "recording_failed")
    assert event.data["kind"] == "RecordingError"
    assert "file is not a database" in event.data["error"]
    (shown,) = [
        e.step_materialization_data.materialization.metadata
        for e in result.all_events
        if e.is_step_materialization and e.asset_key.path == ["model_evaluation"]
    ]
    assert shown["mlflow_error"].value == event.data["error"]

    shutil.copy(database, home.mlflow)
    recorded = record(home, version)
    card = card_of(home, version)
    assert (card.state, card.facts["mlflow_run"]) == (ModelState.VALIDATED, recorded.run)
    (run,) = runs_of(home)
    assert run.info.status == "FINISHED"


def test_failure_is_told_as_it_is_where_it_cannot_be_recorded(home: Settings) -> None:
    training = replace(home.training, label="Ref($close,-9)/Ref($close,-1)-1")
    settings = replace(home, training=training)
    (home.mlflow / "mlflow.db").write_bytes(b"no database at all " * 50)
    shown = failure_of(run_training(settings, only=["training_set"]))
    version = version_of(settings)
    assert shown.description == card_of(settings, version).facts["failure"]["message"]
    assert "file is not a database" in shown.metadata["mlflow_error"].value
    assert len(events_of(settings, version, "recording_failed")) == 1


def test_recorder_that_is_disabled_is_not_even_imported(
    own_market: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qlops_assets.training.recording.attempt", None)
    training = replace(own_market.training, label="Ref($close,-9)/Ref($close,-1)-1")
    settings = replace(own_market, training=training)
    shown = failure_of(run_training(settings, only=["training_set"]))
    assert shown.metadata["error"].value == "TrainingError"
    assert not {"mlflow_run", "mlflow_error"} & set(shown.metadata)
    assert not own_market.mlflow.exists()
    result = run_training(recording(settings, None), only=["training_set"])
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "ModuleNotFoundError" in event.step_failure_data.error.to_string()
