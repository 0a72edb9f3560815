"""What surrounds a step of a training: its attempt, its progress, and the record of its end."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from qlops_assets.core.atomic import read_json
from qlops_assets.core.clock import SystemClock
from qlops_assets.core.errors import (
    LockedError,
    QlopsError,
    TrainingCancelledError,
    TrainingError,
)
from qlops_assets.core.locks import locked
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.failure import failure_record
from qlops_assets.core.trainings.progress import TrainingProgress
from qlops_assets.core.trainings.status import sign_path
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import Step, step
from qlops_assets.registry.states import ModelEvent, ModelState, allowed_events
from qlops_assets.registry.used_data import TRAINING_SET

ACTOR: Final = "dagster"
_LOCK: Final = "training.lock"


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """A step of a training that runs.

    Attributes:
        version: What is trained.
        running: The step as every asset's.
        progress: Where the step tells how far it is; it raises where somebody cancelled.
    """

    version: str
    running: Step
    progress: TrainingProgress

    @property
    def facts(self) -> dict[str, Any]:
        """What ends up in the journal and in the asset's metadata."""
        return self.running.facts

    def metadata(self) -> dict[str, Any]:
        """Return the facts as Dagster metadata."""
        return self.running.metadata()


@contextmanager
def training_step(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[TrainingStep]:
    """Run one step of the training of the partition's version.

    Its progress is in the journal, it can be cancelled and gives signs of life. However it ends, a
    record says so on the version's topic; a failure is in the registry's card as well, where the
    version can still fail. A training that ended by it is then recorded in MLflow.

    Raises:
        dagster.Failure: in place of every error, with the record of the failure as metadata.
    """
    version = context.partition_key
    record = _Record(platform, version, context.asset_key.to_user_string(), context.log)
    about = {"model_version": version}
    # The lock is let go after the end of the step was recorded.
    with ExitStack() as held, step(context, platform, about, record.failed) as running:
        held.enter_context(_alone(platform.settings, version))
        progress = record.begin(context.run_id)
        yield TrainingStep(version, running, progress)
        progress.end(words.FINISHED, {})
        if record.step_name == words.MODEL_EVALUATION:
            running.facts.update(record.in_mlflow())


@contextmanager
def _alone(settings: Settings, version: str) -> Iterator[None]:
    """Hold a version's training; who comes second says nothing of it anywhere.

    Raises:
        TrainingError: another process trains the version.
    """
    try:
        with locked(settings.models / version / _LOCK, timeout_s=0.0):
            yield
    except LockedError as error:
        raise TrainingError(
            f"model version {version!r}: another process trains it; wait for it, or cancel it"
        ) from error


@dataclass
class _Record:
    platform: Platform
    version: str
    step_name: str
    log: dg.DagsterLogManager
    progress: TrainingProgress | None = None
    is_recorded: bool = False

    def begin(self, run_id: str) -> TrainingProgress:
        self.progress = TrainingProgress(
            self.platform.journal,
            self.version,
            self.step_name,
            sign=sign_path(self.platform.settings.models, self.version),
            run_id=run_id,
            rows=_rows_of_a_step(self._trained_on()),
            patience=self._asked().training.early_stopping_rounds,
        )
        return self.progress

    def failed(self, error: BaseException) -> dict[str, Any]:
        """Record the end in registry and journal; return the metadata of Dagster's failure."""
        if self.progress is None:  # not even begun: the step's own event says why
            return {}
        if isinstance(error, TrainingCancelledError):
            return self._cancelled(error, self.progress)
        trained_on = self._trained_on() or self._would_train_on()
        failure = failure_record(
            error,
            step=self.step_name,
            attempt=self.progress.attempt,
            last=self.progress.last,
            task=trained_on.get("task"),
            data_version=trained_on.get("snapshot"),
        )
        self._advance(ModelEvent.FAILED, failure["message"], {"failure": failure})
        self.progress.end(words.FAILED, {"failure": failure})
        return {**_shown(failure), **self.in_mlflow()}

    def _cancelled(
        self, error: TrainingCancelledError, progress: TrainingProgress
    ) -> dict[str, Any]:
        about = {"by": error.by, "why": error.why, "reached": error.reached}
        told = {"attempt": progress.attempt, **about}
        self._advance(ModelEvent.CANCELLED, str(error), {"cancelled": told, "failure": None})
        progress.end(words.CANCELLED, about)
        shown = {f"cancelled_{name}": value for name, value in about.items()}
        return {**shown, **self.in_mlflow()}

    def in_mlflow(self) -> dict[str, str]:
        """Record the attempt, which has ended, in MLflow; return the metadata that says where.

        Journal and registry have been told by now. Where MLflow cannot be, the version stays what
        it is, and the event, the warning and the metadata say why.
        """
        if self.is_recorded or not self.platform.settings.recorder.enabled:
            return {}
        from qlops_assets.training.recording.attempt import record_newest

        self.is_recorded = True
        settings, journal = self.platform.settings, self.platform.journal
        now = SystemClock().now()
        try:
            return record_newest(settings, journal, self.version, by=ACTOR, now=now).facts()
        except QlopsError as error:
            attempt = self.progress.attempt if self.progress else None
            about = {"attempt": attempt, "error": str(error), "kind": type(error).__name__}
            journal.append(words.topic_of(self.version), words.RECORDING_FAILED, about)
            self.log.warning(str(error))
            return {"mlflow_error": str(error)}

    def _advance(self, event: ModelEvent, why: str, facts: Mapping[str, Any]) -> None:
        """Advance the registry; of a version that is past training only the journal tells."""
        registry = self.platform.registry
        state = registry.state(self.version)
        is_evaluation = self.step_name == words.MODEL_EVALUATION
        if event == ModelEvent.FAILED and state == ModelState.TRAINED and is_evaluation:
            event = ModelEvent.EVALUATION_FAILED
        if event in allowed_events(state):
            registry.advance(self.version, event, by=ACTOR, why=why, facts=facts)

    def _trained_on(self) -> Mapping[str, Any]:
        path = self.platform.settings.models / self.version / TRAINING_SET
        return read_json(path) or {}

    def _asked(self) -> Settings:
        """Return the settings that the version was asked for with."""
        from qlops_assets.training.recipes import with_recipe

        return with_recipe(self.platform.settings, self.version)

    def _would_train_on(self) -> Mapping[str, Any]:
        """Return what the lake and the settings name now, where that is this version."""
        from qlops_assets.training.spec import training_spec

        try:
            spec = training_spec(self._asked())
        except (QlopsError, OSError):  # which may be the very failure that is recorded
            return {}
        return spec.to_json() if spec.version == self.version else {}


def _rows_of_a_step(trained_on: Mapping[str, Any]) -> dict[str, int]:
    """Return how many rows a step of the fit handles, where that is known.

    A tree and an epoch see the train segment; a network that is trained by steps, which Qlib's
    ``DNNModelPytorch`` with its ``eval_steps`` is, a batch.
    """
    model = (trained_on.get("task") or {}).get("kwargs") or {}
    if "eval_steps" in model:
        return {"fit": model["batch_size"]} if "batch_size" in model else {}
    rows = trained_on.get("rows") or {}
    return {"fit": rows["train"]} if "train" in rows else {}


def _shown(failure: Mapping[str, Any]) -> dict[str, Any]:
    """Return a failure as Dagster's metadata."""
    told = {"stage": failure["stage"] or "–", "attempt": failure["attempt"]}
    if failure["data_version"]:
        told["data_version"] = failure["data_version"]
    documents = {name: failure[name] for name in ("last_progress", "environment", "task")}
    return {
        **told,
        "traceback": dg.MetadataValue.md(f"```\n{failure['traceback']}\n```"),
        **{
            name: dg.MetadataValue.json(json.loads(json.dumps(value, default=str)))
            for name, value in documents.items()
            if value
        },
    }
