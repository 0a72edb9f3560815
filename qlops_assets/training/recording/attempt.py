"""An attempt at a version that has ended, as one closed run."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from qlops_assets.core.atomic import read_json
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.history import Attempt, TrainingHistory
from qlops_assets.core.trainings.status import DEAD, WORKING, status_of
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent, ModelState
from qlops_assets.training.evaluation import EVALUATION, REPORT
from qlops_assets.training.fit import CURVES
from qlops_assets.training.recording.configuration import (
    Configuration,
    configuration_of,
    write_configuration,
)
from qlops_assets.training.recording.curves import curve_metrics, whole_curves
from qlops_assets.training.recording.qlib_records import write_qlib_records
from qlops_assets.training.recording.store import (
    FAILED,
    FINISHED,
    KILLED,
    RunKey,
    errors_told,
    opened,
)

_LONGEST_TAG: Final = 5000
# How an attempt ended -> MLflow's word.
_STATUS: Final[Mapping[str | None, str]] = {
    words.FINISHED: FINISHED,
    words.FAILED: FAILED,
    words.CANCELLED: KILLED,
    DEAD: KILLED,
}
# States that an attempt which did not finish leads to, or leaves.
_UNFINISHED: Final = (
    ModelState.TRAINING,
    ModelState.TRAINED,
    ModelState.FAILED,
    ModelState.CANCELLED,
)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """Where an attempt is recorded.

    Attributes:
        run: MLflow's identity of the run.
        experiment: Name of its experiment.
        status: ``FINISHED``, ``FAILED`` or ``KILLED``.
        is_linked: Whether the registry's card says so: of a version that is valid it goes on to
            name the training that made it, not a later one that failed.
    """

    run: str
    experiment: str
    status: str
    is_linked: bool

    def facts(self) -> dict[str, str]:
        """Return what card and metadata say of it."""
        return {"mlflow_run": self.run, "mlflow_experiment": self.experiment}


def record_newest(
    settings: Settings, journal: Journal, version: str, *, by: str, now: datetime
) -> RecordedRun:
    """Record the newest attempt at a version in the home's MLflow, and link the registry to it.

    Recorded again, it is the same run.

    Args:
        settings: Of the home.
        journal: Of the home.
        version: The model version.
        by: Who asks.
        now: The moment to judge by.

    Raises:
        TrainingError: it was never trained, is being trained, or was not evaluated yet.
        RecordingError: MLflow's database cannot be written.
        LockedError: another process records, and did not end in time.
    """
    history = TrainingHistory(journal.read_all(words.topic_of(version)))
    attempt = history.last
    status = _ended(attempt, status_of(history, settings.models, version, now), version)
    assert attempt is not None
    registry = Registry(journal)
    state = registry.state(version)
    record = _Record(settings, version, attempt, status, registry)
    run = record.write()
    is_linked = state is not None and (status == FINISHED or state in _UNFINISHED)
    recorded = RecordedRun(run, settings.source_name, status, is_linked)
    if is_linked:
        registry.advance(
            version,
            ModelEvent.RECORDED,
            by=by,
            why=f"recorded in MLflow as {run}",
            facts=recorded.facts(),
        )
    return recorded


def _ended(attempt: Attempt | None, status: str | None, version: str) -> str:
    """Return how MLflow calls the end of an attempt.

    Raises:
        TrainingError: it has not ended.
    """
    if attempt is None or status is None:
        found = "it was never trained"
    elif status in WORKING:
        found = "its training runs"
    elif status == words.FINISHED and attempt.run and attempt.run.name != words.MODEL_EVALUATION:
        found = f"after {attempt.run.name} nothing was done yet"
    else:
        return _STATUS[status]
    raise TrainingError(
        f"model version {version!r}: {found}; a training is recorded when it was evaluated, failed "
        "or was cancelled"
    )


class _Record:
    """What is written of one attempt."""

    def __init__(
        self, settings: Settings, version: str, attempt: Attempt, status: str, registry: Registry
    ) -> None:
        self._settings, self._version, self._attempt = settings, version, attempt
        self._status = status
        self._folder = settings.models / version
        state = registry.state(version)
        self._card = registry.card(version).to_json() if state else {}

    def write(self) -> str:
        """Write the run, closed; return its identity."""
        attempt = self._attempt
        dagster_run = attempt.run.run_id if attempt.run else None
        key = RunKey(self._version, attempt.number, dagster_run)
        with (
            errors_told(self._settings),
            tempfile.TemporaryDirectory(prefix="qlops-recording-") as name,
        ):
            folder = Path(name)
            configuration = configuration_of(self._settings, self._version, attempt.failure)
            results = self._write_files(folder, configuration)
            with (
                opened(self._settings) as store,
                store.run(self._settings.source_name, key, began=attempt.at) as recorder,
            ):
                store.log(
                    recorder.id,
                    parameters=configuration.parameters,
                    tags=self._tags(configuration),
                    metrics=[*curve_metrics(attempt), *results],
                    at=attempt.heard_at,
                )
                recorder.save_objects(local_path=str(folder))
                store.close(recorder.id, self._status, attempt.heard_at)
            return str(recorder.id)

    def _write_files(
        self, folder: Path, configuration: Configuration
    ) -> list[tuple[str, float, int]]:
        """Write the artifacts into a folder; return the metrics of an evaluation."""
        write_configuration(folder, configuration)
        documents = {CURVES: whole_curves(self._attempt), "failure.json": self._attempt.failure}
        results: dict[str, float] = {}
        if self._status == FINISHED:
            evaluation = read_json(self._folder / EVALUATION) or {}
            documents[EVALUATION] = evaluation
            results = write_qlib_records(
                folder, self._settings, self._version, evaluation["metrics"]
            )
            results["best_iteration"] = self._card["best_iteration"]
        for name, document in documents.items():
            if document is not None:
                text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
                (folder / name).write_text(text + "\n", encoding="utf-8")
        return [(name, float(value), 0) for name, value in results.items()]

    def _tags(self, configuration: Configuration) -> dict[str, str]:
        spec, failure = configuration.spec or {}, self._attempt.failure or {}
        cancelled = self._attempt.cancelled.data if self._attempt.cancelled else {}
        report = self._folder / REPORT
        is_finished = self._status == FINISHED
        overfitting = self._card.get("overfitting") or {}
        told = {
            "state": self._card.get("state"),
            "spec_digest": spec.get("digest"),
            "snapshot": spec.get("snapshot") or failure.get("data_version"),
            "model_folder": str(self._folder),
            "overfitting": overfitting.get("verdict") if is_finished else None,
            "report": report.as_uri() if is_finished else None,
            "qlib_task": configuration.note or None,
            "failed_step": failure.get("step"),
            "failed_stage": failure.get("stage"),
            "exception": failure.get("exception"),
            "message": failure.get("message"),
            "cancelled_by": cancelled.get("by"),
            "cancelled_why": cancelled.get("why"),
            "reached": cancelled.get("reached"),
        }
        if is_finished:
            told["mlflow.note.content"] = f"Report: {report}"
        return {name: str(value)[:_LONGEST_TAG] for name, value in told.items() if value}
