"""A study in a process that can be killed: ``python -m`` this module HOME SOURCE TRIALS."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from qlops_assets.core.journal import Journal
from qlops_assets.core.sections.tuning import TuningSettings
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies.history import StudyHistory
from qlops_assets.core.studies.words import topic_of
from qlops_assets_tests.support.market import market_settings
from qlops_assets_tests.support.own_factors import with_features

# All of them can be trained on so small a market, and quickly.
SPACE = {
    "learning_rate": {"low": 0.02, "high": 0.3, "log": True},
    "num_leaves": {"low": 4, "high": 32},
    "lambda_l2": {"low": 0.1, "high": 10.0, "log": True},
}
FEATURES = ("KMID", "KSFT", "ROC5", "ROC10", "MA5", "MA10", "STD5", "RSV5", "CORR5", "VMA5")
TUNING = TuningSettings(trials=4, folds=2, jobs=2, startup_trials=3, pruning=False, space=SPACE)


def tuning_settings(settings: Settings, **changes: object) -> Settings:
    """Return the settings of a small study."""
    tuning = replace(TUNING, **changes)  # type: ignore[arg-type]
    return with_features(replace(settings, tuning=tuning), *FEATURES)


def kept(settings: Settings) -> str:
    """Keep the study that the settings ask for, and return its name."""
    from qlops_assets.training.tuning.specification import keep_study, study_spec

    study = study_spec(settings).name
    keep_study(settings, study)
    return study


def history_of(settings: Settings, study: str) -> StudyHistory:
    """Return what the journal knows of a study."""
    return StudyHistory(Journal(settings.journal_url).read_all(topic_of(study)))


@contextmanager
def study_process(settings: Settings, trials: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the small study of a market's home in a process of its own; it is killed in the end."""
    places = [str(settings.home), str(settings.source_folder), str(trials)]
    command = [sys.executable, "-m", "qlops_assets_tests.support.study_process", *places]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Run the study until it has its trials."""
    from qlops_assets.training.tuning.study import run_study

    home, source, trials = sys.argv[1:]
    settings = tuning_settings(market_settings(Path(home), Path(source)))
    run_study(settings, kept(settings), Journal(settings.journal_url), trials=int(trials))


if __name__ == "__main__":
    main()
