"""The pages of trainings without a browser: what they say, and the request to stop one."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.failure import failure_record
from qlops_assets.core.trainings.progress import TrainingProgress
from qlops_assets.core.trainings.status import sign_path
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.consoles import VERSION, add_evaluated_model
from qlops_assets_tests.support.pages import Elements

RUNNING = "lightgbm-simulated-7-300x8-20251231-b20f4d"
TASK = {"class": "LGBModel", "kwargs": {"num_boost_round": 100}}
EVIL = "<script>alert(1)</script>"

Begin = Callable[..., TrainingProgress]


@pytest.fixture
def begin(settings: Settings, journal: Journal) -> Iterator[Begin]:
    """Return a function that begins a step of a training in this process."""
    begun: list[TrainingProgress] = []

    def start(version: str = RUNNING, step: str = "trained_model") -> TrainingProgress:
        sign = sign_path(settings.models, version)
        begun.append(
            TrainingProgress(
                journal, version, step, sign=sign, run_id="r1", rows={"fit": 5000}, patience=5
            )
        )
        if step == "trained_model":
            Registry(journal).advance(
                version, ModelEvent.STARTED, by="d", why="", facts={"task": TASK, "failure": None}
            )
        return begun[-1]

    yield start
    for progress in begun:
        with suppress(TimeoutError):
            progress._pulse.close()


def fit(progress: TrainingProgress, steps: int) -> None:
    """Report a fit whose validation is best at the third iteration."""
    progress.report("load", 0, None)
    for step in range(1, steps + 1):
        metrics = {"train.l2": 1 - step / 100, "valid.l2": 0.9 + (step - 3) ** 2 / 100}
        progress.report("fit", step, 100, metrics)


def fail(journal: Journal, progress: TrainingProgress, message: str = "out of memory") -> None:
    try:
        raise MemoryError(message)
    except MemoryError as error:
        failure = failure_record(
            error,
            step="trained_model",
            attempt=progress.attempt,
            last=progress.last,
            task=TASK,
            data_version="ab" * 16,
        )
    facts = {"failure": failure}
    Registry(journal).advance(RUNNING, ModelEvent.FAILED, by="d", why=message, facts=facts)
    progress.end("failed", facts)


def document(client: TestClient, version: str = RUNNING, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/api/trainings/{version}{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def flushed(client: TestClient, steps: int) -> dict[str, Any]:
    """Return the document once the last report is in the journal."""
    while document(client)["step"] != steps:
        continue
    return document(client)


def test_pages_of_an_empty_home_say_what_to_do(client: TestClient) -> None:
    page = client.get("/training")
    assert page.status_code == 200
    assert "qlops demo" in page.text
    assert client.get("/api/trainings").json()["trainings"] == []
    assert client.get("/training/nothing").status_code == 404
    assert client.get("/api/trainings/nothing").status_code == 404


def test_list_tells_state_stage_progress_and_best_of_every_version(
    client: TestClient, settings: Settings, journal: Journal, begin: Begin
) -> None:
    add_evaluated_model(settings, journal)
    progress = begin()
    fit(progress, 8)
    flushed(client, 8)
    running, done = client.get("/api/trainings").json()["trainings"]
    assert (running["model_version"], running["shown"]) == (RUNNING, "running")
    assert (running["stage"], running["step"], running["total"]) == ("fit", 8, 100)
    assert running["best"] == {"step": 3, "metric": "l2", "value": 0.9}
    assert (done["model_version"], done["shown"]) == (VERSION, "validated")
    assert done["report_url"] == f"/reports/{VERSION}"
    text = Elements(client.get("/training").text).text
    assert "1 in training now" in text
    assert "8 of 100" in text
    assert "0.90000 l2 at 3" in text


def test_training_that_runs_is_shown_with_curves_stages_and_time_left(
    client: TestClient, begin: Begin
) -> None:
    begin(step="training_set").end("finished", {})
    fit(begin(), 8)
    found = flushed(client, 8)
    assert (found["shown"], found["attempt"], found["is_working"]) == ("running", 1, True)
    assert found["fit"]["steps"] == list(range(1, 9))
    assert found["fit"]["values"]["valid.l2"][2] == found["best"]["value"] == 0.9
    assert found["fit"]["best_step"] == 3
    assert [s["stage"] for s in found["timeline"]] == ["load", "fit"]
    assert all(0 <= s["start"] <= s["start"] + s["length"] <= 1.001 for s in found["timeline"])
    assert found["last"]["eta_s"] >= 0
    assert found["last"]["memory_mb"] > 20
    page = client.get(f"/training/{RUNNING}").text
    assert 'data-cancel="1"' in page
    assert "if valid improves no more" in page


def test_iteration_that_is_used_is_found_where_validation_is_looked_at_now_and_then(
    client: TestClient, journal: Journal, begin: Begin
) -> None:
    progress = begin()
    for step in range(1, 13):
        looked = {} if step % 4 else {"valid.loss": abs(step - 8.0)}
        progress.report("fit", step, 12, {"train.loss": 1.0, **looked})
    facts = {"best_iteration": 2, "iterations": 3}
    Registry(journal).advance(RUNNING, ModelEvent.TRAINED, by="d", why="", facts=facts)
    progress.end("finished", {})
    found = document(client)
    assert (found["fit"]["used_step"], found["fit"]["best_step"]) == (8, 8)
    assert found["fit"]["values"]["valid.loss"][:5] == [None, None, None, 4.0, None]
    overview = client.get("/api/overview").json()["training"]["fit"]
    assert (overview["step"], overview["valid"], overview["best_valid"]) == (12, 4.0, 0.0)


def test_failure_is_shown_whole_and_the_attempt_before_can_be_looked_at(
    client: TestClient, journal: Journal, begin: Begin
) -> None:
    progress = begin()
    fit(progress, 4)
    fail(journal, progress, EVIL)
    found = document(client)
    assert (found["shown"], found["is_working"]) == ("failed", False)
    assert found["failure"]["exception"] == "MemoryError"
    assert found["last"]["eta_s"] is None
    page = client.get(f"/training/{RUNNING}").text
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    for told in ("Traceback", "LGBModel", "fit 4 of 100", "abababababab", "lightgbm"):
        assert told in Elements(page).text
    fit(begin(), 2)
    flushed(client, 2)
    newest, old = document(client), document(client, query="?attempt=1")
    assert (newest["attempt"], newest["failure"], newest["is_newest"]) == (2, None, True)
    assert (old["attempt"], old["shown"], old["is_newest"]) == (1, "failed", False)
    assert len(old["fit"]["steps"]) == 4
    assert [a["status"] for a in newest["attempts"]] == ["running", "failed"]
    assert client.get(f"/training/{RUNNING}?attempt=3").status_code == 404
    assert client.get(f"/training/{RUNNING}?attempt=x").status_code == 400


def test_process_that_is_gone_is_dead_on_every_page(
    client: TestClient, settings: Settings, begin: Begin
) -> None:
    fit(begin(), 8)
    flushed(client, 8)
    sign = sign_path(settings.models, RUNNING)
    text = sign.read_text()
    started = text[text.index('"started"') :]
    sign.write_text(text.replace(started, '"started": 1.0}'))  # its number was used again
    assert document(client)["shown"] == "dead"
    assert "The process that ran this is gone" in client.get(f"/training/{RUNNING}").text
    assert client.get("/api/trainings").json()["trainings"][0]["shown"] == "dead"
    assert client.get("/api/overview").json()["training"]["state"] == "dead"
    answer = client.post(f"/api/trainings/{RUNNING}/cancel", json={})
    assert answer.status_code == 409
    assert "dead" in answer.json()["error"]


def test_cancel_is_an_intent_in_the_journal_and_is_shown(
    client: TestClient, journal: Journal, begin: Begin
) -> None:
    fit(begin(), 8)
    flushed(client, 8)
    answer = client.post(
        f"/api/trainings/{RUNNING}/cancel", json={"attempt": 1, "why": f" {EVIL} "}
    )
    assert answer.status_code == 202
    (asked,) = [e for e in journal.read_all(f"training/{RUNNING}") if e.kind == "cancel_requested"]
    assert asked.seq == answer.json()["seq"]
    assert (asked.data["attempt"], asked.data["why"]) == (1, EVIL)
    assert asked.data["by"].endswith("console")
    assert document(client)["shown"] == "cancelling"
    page = client.get(f"/training/{RUNNING}").text
    assert EVIL not in page
    assert "asked" in Elements(page).text
    assert "Cancelling" in Elements(page).text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"attempt": 7}, 409),
        ({"attempt": 0}, 400),
        ({"attempt": "x"}, 400),
        ({"why": "x" * 501}, 400),
        ({"what": 1}, 400),
        ([], 400),
    ],
)
def test_cancel_that_makes_no_sense_is_refused(
    client: TestClient, journal: Journal, begin: Begin, body: Any, status: int
) -> None:
    begin()
    assert client.post(f"/api/trainings/{RUNNING}/cancel", json=body).status_code == status
    assert [e for e in journal.read_all() if e.kind == "cancel_requested"] == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_cancel_from_another_site_is_refused(
    client: TestClient, journal: Journal, begin: Begin, origin: str
) -> None:
    begin()
    address = f"/api/trainings/{RUNNING}/cancel"
    assert client.post(address, json={}, headers={"origin": origin}).status_code == 403
    assert client.get(address).status_code == 405
    assert [e for e in journal.read_all() if e.kind == "cancel_requested"] == []


def test_cancelled_training_says_by_whom_and_how_far_it_was(
    client: TestClient, journal: Journal, begin: Begin
) -> None:
    progress = begin()
    fit(progress, 8)
    Registry(journal).advance(RUNNING, ModelEvent.CANCELLED, by="d", why="")
    progress.end("cancelled", {"by": "ann", "why": "wrong label", "reached": "fit 8 of 100"})
    assert document(client)["shown"] == "cancelled"
    text = Elements(client.get(f"/training/{RUNNING}").text).text
    assert "Cancelled by ann" in text
    assert "It had done fit 8 of 100" in text


def test_run_in_mlflow_is_named_beside_dagsters_or_why_there_is_none(
    client: TestClient, journal: Journal, begin: Begin
) -> None:
    fit(begin(), 8)
    flushed(client, 8)
    journal.append(f"training/{RUNNING}", "recording_failed", {"attempt": 1, "error": EVIL})
    found = document(client)
    assert (found["mlflow_run"], found["recording_error"]) == (None, EVIL)
    page = client.get(f"/training/{RUNNING}").text
    assert EVIL not in page
    assert EVIL in Elements(page).text
    facts = {"mlflow_run": "c0ffee" * 5, "mlflow_experiment": "my-bars-1a2b3c"}
    Registry(journal).advance(RUNNING, ModelEvent.RECORDED, by="ann", why="", facts=facts)
    found = document(client)
    assert (found["mlflow_run"], found["recording_error"]) == ("c0ffee" * 5, None)
    text = Elements(client.get(f"/training/{RUNNING}").text).text
    assert "MLflow run c0ffeec0ffee" in text
    assert "of my-bars-1a2b3c" in text
    assert EVIL not in text


def test_version_whose_training_set_alone_is_made_is_prepared(
    client: TestClient, begin: Begin
) -> None:
    begin(step="training_set").end("finished", {})
    assert document(client)["shown"] == "prepared"
    assert client.get(f"/training/{RUNNING}").status_code == 200


def test_version_that_is_registered_without_any_progress_has_a_page(
    client: TestClient, journal: Journal
) -> None:
    Registry(journal).advance(RUNNING, ModelEvent.STARTED, by="d", why="")
    assert document(client)["shown"] == "running"  # heard of a moment ago
    assert client.get(f"/training/{RUNNING}").status_code == 200
    assert client.get("/training").status_code == 200
