"""``qlops train cancel``, and what ``qlops models`` says of trainings."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlops_assets.core.errors import TrainingCancelledError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.progress import TrainingProgress
from qlops_assets.core.trainings.status import sign_path
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.cli.conftest import Qlops

VERSION = "young"


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """The home ``.qlops`` of the working directory."""
    return Settings(home=tmp_path / ".qlops")


@pytest.fixture
def progress(home: Settings) -> Iterator[TrainingProgress]:
    """A training that runs in this process and has done three iterations."""
    journal = Journal(home.journal_url)
    sign = sign_path(home.models, VERSION)
    progress = TrainingProgress(journal, VERSION, "trained_model", sign=sign, run_id="r")
    Registry(journal).advance(VERSION, ModelEvent.STARTED, by="tests", why="needed")
    for step in (1, 2, 3):
        progress.report("fit", step, 100, {"valid.l2": 1 / step})
    yield progress
    progress._pulse.close()
    journal.close()


def test_cancel_asks_the_training_that_runs(qlops: Qlops, progress: TrainingProgress) -> None:
    said = qlops("train", "cancel", VERSION, "--by", "ann", "--why", "wrong label", "--json")
    assert said.status == 0
    shown = {k: said.document[k] for k in ("model_version", "attempt", "by", "why")}
    assert shown == {"model_version": VERSION, "attempt": 1, "by": "ann", "why": "wrong label"}
    with pytest.raises(TrainingCancelledError, match="by ann: wrong label"):
        report_on(progress)


def report_on(progress: TrainingProgress) -> None:
    for step in range(4, 400):
        progress.report("fit", step, 100)
        time.sleep(0.01)


def test_cancel_of_what_does_not_run_is_an_error_in_one_line(qlops: Qlops, home: Settings) -> None:
    said = qlops("train", "cancel", "alpha-1")
    assert said.status == 1
    assert "alpha-1" in said.err
    assert "only one that runs can be cancelled" in said.err


def test_models_say_that_a_training_runs_and_that_its_process_is_gone(
    qlops: Qlops, home: Settings, progress: TrainingProgress
) -> None:
    def line() -> str:
        return next(li for li in qlops("models", "list").out.splitlines() if VERSION in li)

    assert "running" in line()
    sign = sign_path(home.models, VERSION)
    text = sign.read_text()
    sign.write_text(text[: text.index('"started"')] + '"started": 1.0}')
    assert "dead" in line()
    shown = qlops("models", "show", VERSION, "--json").document
    assert (shown["state"], shown["shown"]) == ("training", "dead")
    assert shown["training"]["status"] == "dead"
    assert shown["training"]["attempt"] == 1
