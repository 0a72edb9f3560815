"""The built-in market: what a new user sees first, and that it says everywhere what it is."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qlops_assets_tests.acceptance.conftest import Chapter
from qlops_assets_tests.support.journeys import CONFIGURATION, Journey, run_states

SMALL = "\n[simulated]\ninstruments = 30\nyears = 2\n"


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    recorded = CONFIGURATION.replace("enabled = false", "enabled = true")
    journey = Journey(tmp_path_factory.mktemp("simulated"), recorded + SMALL)
    yield journey
    journey.close()


@pytest.fixture(scope="module")
def made(market: Journey) -> Chapter:
    """``qlops demo`` in a new home, without a word about data."""
    finished = market.qlops("demo", "--json")
    assert finished.status == 0, finished.err
    answers = {"score": market.post("production", "/v1/score", {})}
    return Chapter(finished, run_states(market), answers)


@pytest.fixture(scope="module")
def card(market: Journey, made: Chapter) -> dict[str, Any]:
    """What is shown of the version."""
    return market.qlops("models", "show", made.document["model_version"], "--json").document


def test_main_job_needs_no_data_of_the_user(market: Journey, made: Chapter) -> None:
    document = made.document
    assert document["state"] == "production"
    assert document["skipped"] == []
    assert document["source"] == str(market.home / "sources" / "simulated-7-30x2")
    assert document["prediction"]["instruments"] >= 20


def test_document_and_log_say_that_the_market_is_simulated(made: Chapter) -> None:
    assert made.document["simulated"] is True
    assert "simulated market: generated prices with a planted signal" in made.finished.err


def test_version_and_card_say_that_the_market_is_simulated(
    made: Chapter, card: dict[str, Any]
) -> None:
    assert "simulated" in made.document["model_version"]
    assert card["simulated"] is True


def test_training_is_recorded_for_users_of_qlib(market: Journey, card: dict[str, Any]) -> None:
    assert card["mlflow_experiment"] == "simulated-7-30x2"
    query = "SELECT status FROM runs WHERE run_uuid = ?"
    with contextlib.closing(sqlite3.connect(market.home / "mlflow" / "mlflow.db")) as database:
        assert database.execute(query, [card["mlflow_run"]]).fetchall() == [("FINISHED",)]


def test_report_says_that_the_market_is_simulated(made: Chapter) -> None:
    page = Path(made.document["report"]).read_text(encoding="utf-8").lower()
    assert "simulated" in page


def test_server_says_that_the_market_is_simulated(market: Journey, made: Chapter) -> None:
    assert made.facts["score"]["simulated"] is True
    with httpx.Client(timeout=30, trust_env=False) as client:
        model = client.get(f"{market.url('production')}/v2/models/alpha").json()
    assert "simulated" in str(model).lower()


def test_summary_says_that_the_market_is_simulated_and_made_once(
    market: Journey, made: Chapter
) -> None:
    finished = market.qlops("demo")
    assert finished.status == 0, finished.err
    assert "Simulated market: these figures say nothing about a real one." in finished.out
    assert "simulated market: already made, skipped" in finished.err.splitlines()
    assert made.document["model_version"] in finished.out
    assert run_states(market) == made.runs
