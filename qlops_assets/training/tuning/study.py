"""A study from its start, or from where it was left, to its end."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil

from qlops_assets.core.errors import LockedError, TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.locks import locked
from qlops_assets.core.metering import release_freed_memory
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import StudyHistory
from qlops_assets.features.current import current_version
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.frame import (
    compute_labels,
    require_label,
    training_frame,
)
from qlops_assets.training.spec import available_cores
from qlops_assets.training.tuning.decisions import Decisions
from qlops_assets.training.tuning.folds import days_of
from qlops_assets.training.tuning.messages import Setup
from qlops_assets.training.tuning.record import StudyRecord
from qlops_assets.training.tuning.search import ParameterSearch
from qlops_assets.training.tuning.shared_data import (
    binned_bytes,
    is_written,
    remove_shared,
    write_shared,
)
from qlops_assets.training.tuning.specification import (
    StudySpec,
    require_study,
    study_folder,
    with_study,
)
from qlops_assets.training.tuning.team import team_of

DATA: Final = "data"
_LOCK: Final = "study.lock"
_KEPT_SHARE: Final = 0.25  # of the free memory, for what workers keep between trials


def run_study(settings: Settings, study: str, journal: Journal, *, trials: int) -> StudyHistory:
    """Run a study until it has as many trials as asked for; go on where it was left.

    Args:
        settings: Of the home; ``[tuning] jobs`` says how many trials run at a time.
        study: Its name; :func:`keep_study` has kept what it was asked for with.
        journal: Of the home.
        trials: How many it is to have, those that it has included.

    Returns:
        What is known of it then.

    Raises:
        TrainingError: the lake is no longer what the study was named after, another process works
            on it, all trials fail, or a worker cannot be kept alive.
        StudyCancelledError: somebody asked for it to stop.
    """
    settings = with_study(settings, study)
    spec = require_study(settings, study)
    require_label(settings.training)
    folder = study_folder(settings, study)
    try:
        with locked(folder / _LOCK, timeout_s=0.0):
            known = StudyHistory(journal.read_all(words.topic_of(study)))
            if len(known.ended) >= trials and known.outcome == words.FINISHED:
                return known
            return _run(settings, spec, journal, max(trials, len(known.ended)))
    except LockedError as error:
        raise TrainingError(f"study {study!r}: another process works on it") from error


def _run(settings: Settings, spec: StudySpec, journal: Journal, trials: int) -> StudyHistory:
    jobs = min(settings.tuning.jobs or available_cores(), trials)
    threads = max(1, available_cores() // jobs)
    about = {**spec.to_json(), "trials": trials, "jobs": jobs, "threads": threads}
    with StudyRecord(journal, settings, spec.name, about) as record:
        provider = _prepare(settings, spec, record)
        gc.collect()  # Qlib's handlers refer to each other
        release_freed_memory()
        setup = _setup(settings, spec, provider, jobs, threads)
        search = ParameterSearch(
            spec.space, seed=spec.seed, startup=spec.startup, pruning=spec.pruning
        )
        with team_of(setup, jobs=jobs) as team:
            Decisions(record, search, team, setup, trials=trials).run()
        remove_shared(study_folder(settings, spec.name) / DATA)
        record.end(words.FINISHED, **_found(record.history))
    return record.history


def _prepare(settings: Settings, spec: StudySpec, record: StudyRecord) -> Path:
    """Make the data of the folds, where it is not there; return Qlib's provider."""
    provider = build_provider(settings)
    folder = study_folder(settings, spec.name) / DATA
    if is_written(folder):
        return provider
    record.report("load", 0, None)
    names = spec.training.feature_names
    labels = compute_labels(settings, spec.training.label, record)
    table = current_version(settings, names)
    frame, _ = training_frame(settings, table, labels, names, days_of(spec.folds))
    record.report("processors", 0, None)
    with qlib_session(provider, region=settings.training.region):
        write_shared(folder, frame, spec.folds, spec.training.processors)
    return provider


def _setup(settings: Settings, spec: StudySpec, provider: Path, jobs: int, threads: int) -> Setup:
    training = settings.training
    folder = study_folder(settings, spec.name)
    kept = binned_bytes(folder / DATA) * jobs
    return Setup(
        study=str(folder),
        provider=str(provider),
        region=training.region,
        model=training.model,
        parameters=dict(training.parameters),
        seed=training.seed,
        threads=threads,
        rounds=training.rounds,
        early_stopping_rounds=training.early_stopping_rounds,
        folds=spec.folds,
        keeps=kept <= _KEPT_SHARE * psutil.virtual_memory().available,
    )


def _found(history: StudyHistory) -> dict[str, Any]:
    best = history.best
    counts = (words.COMPLETE, words.PRUNED, words.FAILED)
    return {
        **{name: history.count(name) for name in counts},
        "best_trial": best.number if best else None,
        "best_value": best.value if best else None,
        "best_parameters": dict(best.parameters) if best else {},
    }


def tuned(settings: Settings, study: str, history: StudyHistory) -> Settings:
    """Return the settings of the training that a study found to be the best.

    Raises:
        TrainingError: none of its trials is complete.
    """
    best = history.best
    if best is None:
        raise TrainingError(f"study {study!r}: no trial is complete; there is no best one")
    settings = with_study(settings, study)
    parameters = {**settings.training.parameters, **best.parameters}
    training = replace(settings.training, parameters=parameters, study=study)
    return replace(settings, training=training)
