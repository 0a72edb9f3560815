"""A whole training by Dagster in a process elsewhere, read as a user of Qlib reads it."""

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.atomic import read_json
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.history import TrainingHistory
from qlops_assets.core.trainings.words import topic_of
from qlops_assets.registry.registry import ModelCard, Registry
from qlops_assets.registry.states import ModelState
from qlops_assets.training.recording.attempt import record_newest
from qlops_assets.training.recording.qlib_records import HEADLINES
from qlops_assets_tests.support.market import copied
from qlops_assets_tests.support.recorded import recording
from qlops_assets_tests.support.trainings import version_of

ROOT = Path(__file__).parents[3]
SECRET = "an uncommitted secret"


@dataclass(frozen=True)
class Recorded:
    """A training that was recorded, the folder that it was started in, and what it said."""

    settings: Settings
    version: str
    working: Path
    before: dict[str, bytes]
    said: str

    @property
    def card(self) -> ModelCard:
        """The version's card."""
        return Registry(Journal(self.settings.journal_url)).card(self.version)

    @property
    def artifacts(self) -> list[Path]:
        """Every artifact of the home."""
        return [p for p in (self.settings.mlflow / "artifacts").rglob("*") if p.is_file()]


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, Git's own too."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def repository(folder: Path) -> Path:
    """Make a Git repository with a change that was not committed."""
    folder.mkdir()
    (folder / "strategy.py").write_text("alpha = 1\n")
    identity = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    (folder / "strategy.py").write_text(f"alpha = 2  # {SECRET}\n")
    (folder / "staged.py").write_text(f"beta = 2  # {SECRET}\n")
    subprocess.run(["git", "add", "staged.py"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def recorded(
    market: Settings, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Recorded:
    """A training in a process whose working directory is a repository with changes."""
    folder = tmp_path_factory.mktemp("recorded")
    settings = recording(copied(market, folder / "home"), database)
    working = repository(folder / "repository")
    before = contents(working)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "qlops_assets_tests.support.recorded"),
            *(str(settings.home), str(settings.source_folder)),
        ],
        cwd=working,
        env={**os.environ, "PYTHONPATH": str(ROOT), "_QLIB_SECRET": SECRET},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Recorded(settings, version_of(settings), working, before, done.stdout + done.stderr)


@pytest.fixture
def recorder(recorded: Recorded) -> Iterator[Any]:
    """Qlib's recorder of the run, as its users get it."""
    import qlib
    from qlib.workflow import R

    hook = sys.excepthook
    qlib.init(
        exp_manager={
            "class": "MLflowExpManager",
            "module_path": "qlib.workflow.expm",
            "kwargs": {"uri": recorded.settings.mlflow_url, "default_exp_name": "mine"},
        }
    )
    facts = recorded.card.facts
    yield R.get_recorder(
        recorder_id=facts["mlflow_run"], experiment_name=facts["mlflow_experiment"]
    )
    sys.excepthook = hook
    atexit.unregister(R.end_exp)


def test_working_directory_is_untouched_and_nothing_of_it_is_kept(recorded: Recorded) -> None:
    assert contents(recorded.working) == recorded.before
    inside = [*recorded.artifacts, recorded.settings.mlflow / "mlflow.db"]
    assert len(inside) > 8
    telling = (SECRET.encode(), b"strategy.py", b"cmd-sys.argv", b"_QLIB_")
    assert [p.name for p in inside if any(word in p.read_bytes() for word in telling)] == []


def test_nothing_of_mlflow_is_said_aloud(recorded: Recorded) -> None:
    assert "mlflow" not in recorded.said.lower()
    assert "alembic" not in recorded.said


def test_registry_links_to_the_run_and_is_told_first(recorded: Recorded) -> None:
    registry = Registry(Journal(recorded.settings.journal_url))
    history = [(c.event, c.target) for c in registry.history(recorded.version)]
    assert history[-2:] == [("validated", "validated"), ("recorded", "validated")]
    assert recorded.card.state == ModelState.VALIDATED
    assert recorded.card.facts["mlflow_experiment"] == recorded.settings.source_name


def test_every_run_is_closed_and_every_address_is_absolute(recorded: Recorded) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(recorded.settings.mlflow_url)
    experiments = client.search_experiments()
    (run,) = client.search_runs([e.experiment_id for e in experiments])
    assert run.info.status == "FINISHED"
    (mine,) = [e for e in experiments if e.name == recorded.settings.source_name]
    places = [mine.artifact_location, run.info.artifact_uri]
    home = recorded.settings.mlflow.as_uri()
    assert all(place.startswith(f"{home}/artifacts/") for place in places)
    journal = Journal(recorded.settings.journal_url)
    (attempt,) = TrainingHistory(journal.read_all(topic_of(recorded.version))).attempts
    assert run.info.start_time == round(attempt.at.timestamp() * 1000)
    assert run.info.end_time == round(attempt.heard_at.timestamp() * 1000)


def test_qlibs_recorder_lists_parameters_and_the_registrys_metrics(
    recorded: Recorded, recorder: Any
) -> None:
    facts = recorded.card.facts
    metrics = recorder.list_metrics()
    assert {ours: metrics[theirs] for ours, theirs in HEADLINES.items()} == facts["metrics"]
    parameters = recorder.list_params()
    for name, value in facts["task"]["kwargs"].items():
        assert parameters[f"model.kwargs.{name}"] == str(value)
    tags = recorder.list_tags()
    told = ("spec_digest", "snapshot", "dagster_run")
    assert {name: tags[name] for name in told} == {name: facts[name] for name in told}
    assert (tags["model_version"], tags["state"]) == (recorded.version, "validated")
    assert tags["overfitting"] == facts["overfitting"]["verdict"]
    folder = recorded.settings.models / recorded.version
    assert tags["report"] == (folder / "report.html").as_uri()
    assert recorder.info["name"] == recorded.version
    assert set(recorder.list_artifacts()) >= {"pred.pkl", "label.pkl", "task.yaml", "task"}


def test_experiment_lists_it_as_finished(recorded: Recorded, recorder: Any) -> None:
    from qlib.workflow import R

    listed = R.list_recorders(experiment_name=recorded.settings.source_name)
    assert {run: one.status for run, one in listed.items()} == {recorder.id: "FINISHED"}


def test_qlibs_recorder_loads_what_its_own_records_save(recorded: Recorded, recorder: Any) -> None:
    import polars as pl

    predictions = pl.read_parquet(
        recorded.settings.models / recorded.version / "predictions.parquet"
    ).filter(pl.col("segment") == "test")
    pred = recorder.load_object("pred.pkl")
    assert pred["score"].to_list() == predictions.sort("date", "instrument")["score"].to_list()
    ic = recorder.load_object("sig_analysis/ic.pkl")
    assert ic.mean() == pytest.approx(recorded.card.facts["metrics"]["ic"], rel=1e-12)
    report = recorder.load_object("portfolio_analysis/report_normal_1day.pkl")
    assert len(report) == recorded.card.facts["backtest"]["days"]
    assert recorder.load_object("task")["model"]["class"] == "LGBModel"


def test_curves_are_those_of_the_fit_by_iteration(recorded: Recorded, recorder: Any) -> None:
    fitted = read_json(recorded.settings.models / recorded.version / "curves.json")
    assert fitted is not None
    for ours, theirs in (("train.l2", "l2.train"), ("valid.l2", "l2.valid")):
        points = recorder.client.get_metric_history(recorder.id, theirs)
        found = {point.step: point.value for point in points}
        assert found == dict(enumerate(fitted["curves"][ours], start=1))


def test_qlibs_graphs_and_collectors_read_it(recorded: Recorded, recorder: Any) -> None:
    from qlib.workflow.task.collect import RecorderCollector

    collector = RecorderCollector(
        experiment=recorded.settings.source_name,
        artifacts_path={"pred": "pred.pkl", "ic": "sig_analysis/ic.pkl"},
        rec_key_func=lambda one: one.info["name"],
    )
    collected = collector.collect()
    assert list(collected["pred"]) == list(collected["ic"]) == [recorded.version]


def test_recorded_again_it_is_the_same_run_with_the_same_contents(recorded: Recorded) -> None:
    journal = Journal(recorded.settings.journal_url)
    before = {p: pickle.loads(p.read_bytes()) for p in recorded.artifacts if p.suffix == ".pkl"}
    again = record_newest(
        recorded.settings, journal, recorded.version, by="ann", now=datetime.now(UTC)
    )
    assert again.run == recorded.card.facts["mlflow_run"]
    assert (again.status, again.is_linked) == ("FINISHED", True)
    after = {p: pickle.loads(p.read_bytes()) for p in recorded.artifacts if p.suffix == ".pkl"}
    assert after.keys() == before.keys()
    assert all(after[path].equals(before[path]) for path in before)
