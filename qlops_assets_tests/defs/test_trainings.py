"""Real trainings by Dagster: their events, cancelled, killed, failed, and started again."""

import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.history import TrainingHistory
from qlops_assets.core.trainings.signs import SIGN
from qlops_assets.core.trainings.status import request_cancel
from qlops_assets.core.trainings.words import topic_of
from qlops_assets.registry.registry import ModelCard, Registry
from qlops_assets.registry.shown import shown_state, training_status
from qlops_assets.registry.states import ModelEvent, ModelState
from qlops_assets_tests.support.market_fixtures import market, own_market, shared_folder
from qlops_assets_tests.support.trainings import (
    events_of,
    failure_of,
    long_training,
    run_training,
    training_process,
    version_of,
)
from qlops_assets_tests.support.waiting import wait_for

__all__ = ["market", "own_market", "shared_folder"]

DEAD_WITHIN_S = 30.0
STAGES = ["load", "processors", "fit", "predict", "metrics", "backtest", "report"]


def card_of(settings: Settings, version: str) -> ModelCard:
    return Registry(Journal(settings.journal_url)).card(version)


def shown(settings: Settings, version: str) -> str:
    """Return what a reader in this process calls the version now."""
    journal = Journal(settings.journal_url)
    registry = Registry(journal)
    card = registry.card(version) if registry.state(version) else None
    history = TrainingHistory(journal.read_all(topic_of(version)))
    now = datetime.now(UTC)
    status = training_status(version, card, history, settings.models, now)
    journal.close()
    return shown_state(card.state if card else None, status)


def reported(settings: Settings, version: str, attempt: int) -> int:
    """Return the last iteration of an attempt's fit, 0 before the first."""
    told = [e.data for e in events_of(settings, version, "progress")]
    return max(
        (d["step"] for d in told if (d["attempt"], d["stage"]) == (attempt, "fit")), default=0
    )


def test_every_stage_and_iteration_of_a_training_is_an_event(own_market: Settings) -> None:
    version = version_of(own_market)
    assert run_training(own_market).success
    told = [e.data for e in events_of(own_market, version, "progress")]
    stages = list(dict.fromkeys(d["stage"] for d in told))
    assert [s for s in stages if s in STAGES] == STAGES
    assert {d["attempt"] for d in told} == {1}
    fit = [d for d in told if d["stage"] == "fit"]
    facts = card_of(own_market, version).facts
    assert [d["step"] for d in fit] == list(range(1, facts["iterations"] + 1))
    best = min(fit, key=lambda d: d["metrics"]["valid.l2"])
    assert best["step"] == facts["best_iteration"]
    assert best["metrics"]["valid.l2"] == facts["valid_loss"]
    assert all(d["memory_mb"] > 50 for d in told)
    assert all(d["rows_per_s"] > 0 for d in fit[1:])
    assert all(d["eta_low_s"] <= d["eta_s"] <= d["eta_high_s"] for d in fit[3:])
    runs = TrainingHistory(Journal(own_market.journal_url).read_all(topic_of(version))).attempts[0]
    assert [(r.name, r.outcome) for r in runs.runs] == [
        ("training_set", "finished"),
        ("trained_model", "finished"),
        ("model_evaluation", "finished"),
    ]
    assert (facts["failure"], facts["cancelled"]) == (None, None)


def test_training_is_cancelled_killed_and_started_again(own_market: Settings) -> None:
    """One story in three processes, because each takes seconds to begin."""
    settings = long_training(own_market)
    version = version_of(settings)
    journal = Journal(settings.journal_url)
    with training_process(settings) as process:
        wait_for(lambda: reported(settings, version, 1) >= 20, 120)
        assert shown(settings, version) == "running"
        asked = request_cancel(journal, settings.models, version, by="ann", why="wrong label")
        wait_for(lambda: events_of(settings, version, "cancelled"), 10)
        process.wait(60)
    check_cancelled(settings, version, asked.at)
    with training_process(settings) as process:
        wait_for(lambda: reported(settings, version, 2) >= 100, 120)  # the request is answered
        process.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        wait_for(lambda: shown(settings, version) == "dead", DEAD_WITHIN_S)
        assert time.monotonic() - killed_at < DEAD_WITHIN_S
    assert card_of(settings, version).state == ModelState.TRAINING  # the journal was told nothing
    with training_process(settings):
        wait_for(lambda: reported(settings, version, 3) >= 5, 120)
        assert shown(settings, version) == "running"
        assert card_of(settings, version).facts["cancelled"] is None


def check_cancelled(settings: Settings, version: str, asked_at: datetime) -> None:
    card = card_of(settings, version)
    assert card.state == ModelState.CANCELLED
    (cancelled,) = events_of(settings, version, "cancelled")
    told = card.facts["cancelled"]
    assert (told["by"], told["why"], told["attempt"]) == ("ann", "wrong label", 1)
    last = events_of(settings, version, "progress")[-1]
    # It listens five times a second, and stops after the iteration that is under way then.
    assert (last.at - asked_at).total_seconds() < 1.0
    assert f"fit {last.data['step']} of 200000" in told["reached"]
    assert cancelled.seq > last.seq
    names = {path.name for path in (settings.models / version).iterdir()}
    assert not names & {"artifact.json", "curves.json", "predictions.parquet", SIGN}
    assert [name for name in names if name.startswith((".", "model"))] == []


def damage(path: Path) -> bytes:
    """Make a file one that Polars cannot read; return what it held."""
    content = path.read_bytes()
    path.write_bytes(b"PAR1 not really")
    return content


def check_failure(failure: dict[str, Any], step: str) -> None:
    assert failure["step"] == step
    assert failure["exception"] == "ComputeError"
    lines = failure["traceback"].splitlines()
    assert len(lines) <= 41
    assert "ComputeError" in lines[-1]
    assert failure["task"]["class"] == "LGBModel"
    assert len(failure["data_version"]) == 32
    environment = failure["environment"]
    assert environment["cpus"] >= 1
    assert environment["memory_mb"] > 100
    assert {"pyqlib", "lightgbm", "polars", "dagster"} <= set(environment["libraries"])


def test_failure_of_a_fit_is_recorded_with_everything_and_forgotten_by_the_next(
    own_market: Settings,
) -> None:
    version = version_of(own_market)
    assert run_training(own_market, only=["training_set"]).success
    labels = own_market.models / version / "labels.parquet"
    content = damage(labels)
    result = run_training(own_market, only=["trained_model"])
    card = card_of(own_market, version)
    assert card.state == ModelState.FAILED
    check_failure(card.facts["failure"], "trained_model")
    assert card.facts["failure"]["stage"] == "load"
    assert card.facts["failure"]["last_progress"]["stage"] == "load"
    (event,) = events_of(own_market, version, "failed")
    assert event.data["failure"] == card.facts["failure"]
    shown = failure_of(result)
    assert shown.description.startswith("ComputeError")
    assert {"stage", "attempt", "data_version", "traceback", "environment", "task"} <= set(
        shown.metadata
    )
    labels.write_bytes(content)
    assert run_training(own_market, only=["trained_model"]).success
    card = card_of(own_market, version)
    assert (card.state, card.facts["failure"]) == (ModelState.TRAINED, None)


def test_failure_of_an_evaluation_leaves_a_model_that_can_be_evaluated_again(
    own_market: Settings,
) -> None:
    version = version_of(own_market)
    assert run_training(own_market, only=["training_set", "trained_model"]).success
    predictions = own_market.models / version / "predictions.parquet"
    content = damage(predictions)
    run_training(own_market, only=["model_evaluation"])
    card = card_of(own_market, version)
    assert card.state == ModelState.TRAINED
    check_failure(card.facts["failure"], "model_evaluation")
    assert shown(own_market, version) == "evaluation failed"
    predictions.write_bytes(content)
    assert run_training(own_market, only=["model_evaluation"]).success
    card = card_of(own_market, version)
    assert (card.state, card.facts["failure"]) == (ModelState.VALIDATED, None)


def test_failure_of_a_training_set_is_recorded_of_a_version_that_never_trained(
    own_market: Settings,
) -> None:
    training = replace(own_market.training, label="Ref($close,-9)/Ref($close,-1)-1")
    settings = replace(own_market, training=training)
    version = version_of(settings)
    result = run_training(settings, only=["training_set"])
    card = card_of(settings, version)
    assert card.state == ModelState.FAILED
    failure = card.facts["failure"]
    assert (failure["step"], failure["exception"]) == ("training_set", "TrainingError")
    assert failure["stage"] is None
    assert failure["task"]["class"] == "LGBModel"
    assert failure["message"] == failure_of(result).description


@pytest.mark.parametrize("step", ["training_set", "trained_model"])
def test_step_that_fails_for_a_validated_version_leaves_its_state(
    own_market: Settings, step: str
) -> None:
    version = version_of(own_market)
    registry = Registry(Journal(own_market.journal_url))
    for event in (ModelEvent.STARTED, ModelEvent.TRAINED, ModelEvent.VALIDATED):
        registry.advance(version, event, by="tests", why="needed")
    others = replace(own_market, training=replace(own_market.training, rounds=41))
    assert not run_training(others, only=[step], version=version).success
    assert registry.card(version).state == ModelState.VALIDATED
    (failed,) = events_of(own_market, version, "failed")
    assert failed.data["failure"]["exception"] == "TrainingError"
