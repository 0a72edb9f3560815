"""The home's MLflow database: made whole or not at all, and written by one process at a time."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.atomic import remove_leftovers, replacing
from qlops_assets.core.errors import RecordingError
from qlops_assets.core.locks import locked
from qlops_assets.core.settings import Settings, set_environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE: Final = "mlflow.db"
ARTIFACTS: Final = "artifacts"
FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
_RUNNING: Final = "RUNNING"

# Whose runs these are: another's that are in the database too are left alone.
_OURS: Final = {"recorded_by": "qlops"}
_WAIT_S: Final = 60.0
_LOCK: Final = "recording.lock"


@dataclass(frozen=True, slots=True)
class RunKey:
    """What makes two recordings the same run.

    Attributes:
        version: The model version, the run's name.
        attempt: Number of the attempt.
        dagster_run: Of its last step; None where it is not known.
    """

    version: str
    attempt: int
    dagster_run: str | None

    def tags(self) -> dict[str, str]:
        """Return the key as tags."""
        known = {"dagster_run": self.dagster_run} if self.dagster_run else {}
        return {"model_version": self.version, "attempt": str(self.attempt), **known}


class RunStore:
    """The MLflow database of a home while this process holds it; see :func:`opened`."""

    def __init__(self, settings: Settings, client: "MlflowClient") -> None:
        self._settings, self.client = settings, client

    def experiment(self, name: str) -> str:
        """Return the experiment of a name, made where there is none.

        Its artifacts are in the home, by an absolute address.
        """
        location = (self._settings.mlflow / ARTIFACTS / name).as_uri()
        found = self.client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "active":
            self.client.restore_experiment(found.experiment_id)
        if found is not None and found.artifact_location != location:
            # The home was moved or copied: what was recorded stays where it was.
            moved = f"{name} {found.experiment_id} of {found.artifact_location}"
            self.client.rename_experiment(found.experiment_id, moved)
            found = None
        if found is not None:
            return str(found.experiment_id)
        return str(self.client.create_experiment(name, artifact_location=location))

    @contextlib.contextmanager
    def run(self, name: str, key: RunKey, *, began: datetime) -> Iterator[Any]:
        """Yield Qlib's recorder of a run; what was recorded of the same key is written into again.

        Whoever is given it closes it, by :meth:`close`; where something came between, it is closed
        here, as killed.

        Args:
            name: Of the experiment.
            key: What is recorded.
            began: When that began.
        """
        from qlib.workflow.recorder import MLflowRecorder

        experiment = self.experiment(name)
        found = self.client.search_runs([experiment], _where(key.tags()), max_results=1)
        run = next(iter(found), None) or self.client.create_run(
            experiment,
            start_time=_milliseconds(began),
            tags={**key.tags(), **_OURS, "mlflow.source.name": "qlops"},
            run_name=key.version,
        )
        recorder = MLflowRecorder(experiment, self._settings.mlflow_url, mlflow_run=run)
        try:
            yield recorder
        finally:
            if self.client.get_run(recorder.id).info.status == _RUNNING:
                self.client.set_terminated(recorder.id, KILLED)

    def log(
        self,
        run: str,
        *,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        metrics: list[tuple[str, float, int]],
        at: datetime,
    ) -> None:
        """Log parameters, tags and metrics (name, value, step) in few transactions.

        MLflow lets no parameter be changed: what the run has of an earlier recording stays.
        """
        from mlflow.entities import Metric, Param, RunTag

        moment = _milliseconds(at)
        points = [Metric(name, value, moment, step) for name, value, step in metrics]
        for few in _chunks(points, 1000):  # as many as MLflow takes at a time
            self.client.log_batch(run, metrics=few)
        known = self.client.get_run(run).data.params
        missing = [Param(k, v) for k, v in parameters.items() if k not in known]
        for params in _chunks(missing, 100):
            self.client.log_batch(run, params=params)
        for some in _chunks([RunTag(k, v) for k, v in tags.items()], 100):
            self.client.log_batch(run, tags=some)

    def close(self, run: str, status: str, at: datetime) -> None:
        """Close a run, as finished, failed or killed."""
        self.client.set_terminated(run, status, _milliseconds(at))

    def close_abandoned(self) -> None:
        """Close, as killed, what a process that is gone left open.

        Whoever records holds the lock until its run is closed, so nobody works on these.
        """
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        where = f"attributes.status = '{_RUNNING}' and {_where(_OURS)}"
        for run in self.client.search_runs(experiments, where):
            self.client.set_terminated(run.info.run_id, KILLED)


@contextlib.contextmanager
def opened(settings: Settings, *, wait_s: float = _WAIT_S) -> Iterator[RunStore]:
    """Open the home's MLflow database, made where there is none, for this process alone.

    Args:
        settings: Of the home.
        wait_s: How long to wait for another process that records, and then for one that writes
            into the database by other means.

    Raises:
        LockedError: another process recorded all that time.
        RecordingError: the database cannot be written, whenever that is found.
    """
    database = settings.mlflow / DATABASE
    with (
        errors_told(settings),
        _quiet(),
        locked(settings.mlflow / _LOCK, timeout_s=wait_s),
    ):
        _make(settings, database)
        _require_writable(database, wait_s)
        from mlflow import MlflowClient

        store = RunStore(settings, MlflowClient(tracking_uri=settings.mlflow_url))
        store.close_abandoned()
        yield store


def _make(settings: Settings, database: Path) -> None:
    """Make the database, which is some seconds' work of MLflow's.

    MLflow gives its experiment ``Default`` a place in the working directory unless it is told
    another, and cannot go on with a database that it was killed in making.
    """
    if database.is_file():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    remove_leftovers(database.parent)
    with replacing(database) as temporary, _unsynchronised(temporary):
        made = SqlAlchemyStore(f"sqlite:///{temporary}", (settings.mlflow / ARTIFACTS).as_uri())
        made.engine.dispose()


@contextlib.contextmanager
def _unsynchronised(database: Path) -> Iterator[None]:
    """Have a database that is being made wait for no disk: it is synchronised when it is whole.

    That is more than half of the time that it takes.
    """
    from sqlalchemy import Engine, event

    file = str(database.resolve())

    def hurry(connection: Any, _record: Any) -> None:
        # Of every connection that this process opens meanwhile, the journal's among them.
        if file in {row[2] for row in connection.execute("PRAGMA database_list")}:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA journal_mode=MEMORY")

    event.listen(Engine, "connect", hurry)
    try:
        yield
    finally:
        event.remove(Engine, "connect", hurry)


def _require_writable(database: Path, wait_s: float) -> None:
    """Refuse a database that is locked or none: MLflow itself would try for minutes."""
    connection = sqlite3.connect(database, timeout=wait_s, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def errors_told(settings: Settings) -> Iterator[None]:
    """Raise :class:`RecordingError` for whatever keeps a training from being recorded."""
    set_environment(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1")
    from mlflow.exceptions import MlflowException
    from polars.exceptions import PolarsError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, PolarsError, sqlite3.Error, OSError) as error:
        raise RecordingError(settings.mlflow / DATABASE, _said(error)) from error


def _said(error: BaseException) -> str:
    """Return what an error says in a line: the database's own words where they are behind it."""
    from sqlalchemy.exc import DBAPIError

    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, DBAPIError) and behind.orig is not None:
            return str(behind.orig)
        behind = behind.__cause__
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from telling stderr what it does, and what it raises as well."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _where(tags: Mapping[str, str]) -> str:
    return " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
