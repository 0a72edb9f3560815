"""Trainings as Dagster runs them, in this process or in one that can be killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from qlops_assets.core.journal import Event, Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.words import topic_of
from qlops_assets.definitions import build_definitions
from qlops_assets.defs.automation import TRAINING_JOB
from qlops_assets.defs.partitions import MODEL_VERSION
from qlops_assets_tests.support.dagster_bench import quiet
from qlops_assets_tests.support.market import market_settings


def long_training(settings: Settings) -> Settings:
    """Return the settings of a training that goes on until it is stopped."""
    training = replace(settings.training, rounds=200_000, early_stopping_rounds=200_000)
    return replace(settings, training=training)


def version_of(settings: Settings) -> str:
    """Return the version that the home names."""
    from qlops_assets.training.spec import training_spec

    return training_spec(settings).version


def run_training(
    settings: Settings, *, only: list[str] | None = None, version: str | None = None
) -> Any:
    """Run the training job, of the version that the home names where none is given.

    Returns:
        Dagster's result.
    """
    version = version or version_of(settings)
    with quiet(), dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(MODEL_VERSION.name), [version])
        job = build_definitions(settings).resolve_job_def(TRAINING_JOB)
        return job.execute_in_process(
            instance=instance,
            partition_key=version,
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )


def failure_of(result: Any) -> Any:
    """Return the description and the metadata of a run's failed step."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.user_failure_data


@contextmanager
def training_process(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the long training of a market's home in a process of its own; it is killed in the end."""
    places = [str(settings.home), str(settings.source_folder)]
    command = [sys.executable, "-m", "qlops_assets_tests.support.trainings", *places]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def events_of(settings: Settings, version: str, kind: str) -> list[Event]:
    """Return the events of a kind on a version's topic."""
    journal = Journal(settings.journal_url)
    try:
        return [e for e in journal.read_all(topic_of(version)) if e.kind == kind]
    finally:
        journal.close()


if __name__ == "__main__":
    run_training(long_training(market_settings(Path(sys.argv[1]), Path(sys.argv[2]))))
