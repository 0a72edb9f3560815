"""Homes whose trainings are recorded in MLflow, without the seconds that a new database takes.

Run as a program it trains the small market's home in a process of its own, as whoever has another
working directory does.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qlops_assets.core.sections.recorder import RecorderSettings
from qlops_assets.core.settings import Settings
from qlops_assets_tests.support.market import market_settings, once
from qlops_assets_tests.support.trainings import run_training


def build_database(folder: Path) -> None:
    """Make the MLflow database of a home, as the first recording there does."""
    from qlops_assets.training.recording.store import opened

    with opened(Settings(home=folder)):
        pass


@pytest.fixture(scope="session")
def database(shared_folder: Path) -> Path:
    """An MLflow database without a run. To be copied."""
    return once(shared_folder / "mlflow", build_database) / "mlflow" / "mlflow.db"


def recording(settings: Settings, database: Path | None) -> Settings:
    """Return settings of a home that records, given a database; it makes one where None."""
    if database is not None:
        settings.mlflow.mkdir(parents=True, exist_ok=True)
        shutil.copy(database, settings.mlflow)
    return replace(settings, recorder=RecorderSettings(enabled=True))


if __name__ == "__main__":
    recorded = recording(market_settings(Path(sys.argv[1]), Path(sys.argv[2])), None)
    sys.exit(not run_training(recorded).success)
