"""The pages of studies without a browser: what they say, and the request to stop one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import StudyHistory
from qlops_assets.core.studies.status import sign_path
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets.web import book
from qlops_assets.web.book import Book
from qlops_assets.web.tuning.layout import fold_lines, importance_bars
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.pages import Elements
from qlops_assets_tests.support.studies import ABOUT, STUDY, StudyWriter, finished_study

EVIL = "<script>alert(1)</script>"
OTHER = "mlp-simulated-7-300x8-20251231-0aced1"


@pytest.fixture
def writer(settings: Settings, journal: Journal) -> StudyWriter:
    return StudyWriter(settings, journal)


def document(client: TestClient, study: str = STUDY) -> dict[str, Any]:
    answer = client.get(f"/api/studies/{study}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def text_of(client: TestClient, study: str = STUDY) -> str:
    page = client.get(f"/tuning/{study}")
    assert page.status_code == 200, page.text
    return Elements(page.text).text


def kill(writer: StudyWriter) -> None:
    """Let the sign of life name a process that is no more."""
    sign = sign_path(writer.settings.studies, writer.study)
    started = sign.read_text()[sign.read_text().index('"started"') :]
    sign.write_text(sign.read_text().replace(started, '"started": 1.0}'))


def test_pages_of_an_empty_home_say_what_to_do(client: TestClient) -> None:
    page = client.get("/tuning")
    assert page.status_code == 200
    assert "qlops tune --model lightgbm --trials 20" in Elements(page.text).text
    assert client.get("/api/studies").json()["studies"] == []
    for path in ("/tuning/nothing", "/api/studies/nothing"):
        assert client.get(path).status_code == 404
    assert "unknown study 'nothing'" in client.get("/api/studies/nothing").json()["error"]
    assert client.post("/api/studies/nothing/cancel", json={}).status_code == 409


def test_list_tells_state_trials_best_and_gain_of_every_study(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    finished_study(settings, journal, OTHER)
    writer = StudyWriter(settings, journal).begin(20)
    writer.complete(0, 0.04)
    running, done = client.get("/api/studies").json()["studies"]
    assert (running["study"], running["status"], running["is_working"]) == (STUDY, "running", True)
    assert (running["ended"], running["target"], running["gain"]) == (1, 20, 0.0)
    assert (done["study"], done["status"], done["model"]) == (OTHER, "finished", "lightgbm")
    assert [done[state] for state in ("complete", "pruned", "failed")] == [6, 1, 1]
    assert done["best"] == {"trial": 4, "value": 0.048}
    assert done["baseline"] == {"trial": 0, "value": 0.04}
    assert done["gain"] == pytest.approx(0.008)
    text = Elements(client.get("/tuning").text).text
    for told in ("2 studies", "1 at work now", "1 of 20", "8 of 8", "0.0480", "+0.0080"):
        assert told in text


def test_study_of_all_kinds_of_trials_is_shown_with_what_mattered(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    finished_study(settings, journal)
    found = document(client)
    states = [trial["state"] for trial in found["trials"]]
    assert states == ["complete"] * 6 + ["pruned", "failed"]
    best = found["trials"][4]
    assert (best["is_best"], best["value"], best["seconds"]) == (True, 0.048, 7.5)
    assert best["rank_ics"] == pytest.approx([0.048, 0.038, 0.058])
    assert found["trials"][6]["rank_ics"] == [0.012, None, None]
    assert [trial["is_best"] for trial in found["trials"]].count(True) == 1
    assert found["importance"]["learning_rate"] == 0.6
    assert list(found["space"]) == ["learning_rate", "lambda_l1", "max_depth", "loss"]
    assert found["seq"] == journal.last_seq()
    page = client.get(f"/tuning/{STUDY}").text
    rows = [a["data-trial"] for tag, a in Elements(page).elements if tag == "tbody" and a]
    assert [row for row in rows if row] == [str(n) for n in range(7, -1, -1)]
    told = (
        *("0.0480", "+0.0080", "+20.0", "60 %", "functional ANOVA", "its scores rank nothing"),
        *("2019-12-30 to 2021-12-24", "0.01 to 1000", "logarithmic", "mse, huber, mae"),
        *("seed 7", "2 × 1 thread", "203c4cb06fc7", "nothing yet", "mean Rank IC"),
    )
    text = Elements(page).text
    assert [one for one in told if one not in text] == []
    assert "data-cancel" not in page


def test_study_that_runs_shows_where_its_trials_are_and_the_time_left(
    client: TestClient, writer: StudyWriter
) -> None:
    writer.begin(8).complete(0, 0.04)
    writer.start(1)
    writer.iterate(1, 0, 120)
    trial = document(client)["trials"][1]
    under_way = {"fold": 0, "stage": "fit", "step": 120, "total": 200}
    assert (trial["state"], trial["under_way"]) == ("running", under_way)
    text = text_of(client)
    for told in ("fold 1 of 3, iteration 120 of 200", "about 30.0 s left", "20.0 s to 45.0 s"):
        assert told in text
    assert "after four complete trials" in text
    writer.fold(1, 0, 0.03)
    under_way = {"fold": 1, "stage": None, "step": None, "total": None}
    assert document(client)["trials"][1]["under_way"] == under_way
    assert "data-cancel" in client.get(f"/tuning/{STUDY}").text


def test_page_answers_at_every_moment_of_a_study(client: TestClient, writer: StudyWriter) -> None:
    moments = [
        lambda: writer.say(words.STARTED, **ABOUT, trials=3),
        lambda: writer.say(words.PROGRESS, stage="factors", step=3, total=24, metrics={}),
        lambda: writer.start(0),
        lambda: writer.iterate(0, 0, 1),
        lambda: writer.fold(0, 0, 0.04),
        lambda: writer.say(words.TRIAL_LOST, trial=0, error="its process ended with status -9"),
        lambda: writer.start(0),
        lambda: writer.end(0, words.COMPLETE, 0.04),
        lambda: writer.fail(1, "no"),
        lambda: writer.find(learning_rate=1.0),
        lambda: writer.say(words.FINISHED, complete=1, pruned=0, failed=1),
    ]
    for number, happens in enumerate(moments):
        happens()
        for path in (f"/tuning/{STUDY}", f"/api/studies/{STUDY}", "/tuning"):
            answer = client.get(path)
            assert answer.status_code == 200, f"moment {number}: {answer.text}"
    assert "2 starts" in text_of(client)


def test_data_that_is_being_made_is_told_before_the_first_trial(
    client: TestClient, writer: StudyWriter
) -> None:
    writer.begin(8)
    writer.say(words.PROGRESS, stage="factors", step=3, total=24, metrics={})
    text = text_of(client)
    assert "preparing data: factors" in text
    assert "No trial has started yet" in text


def test_process_that_is_gone_is_dead_and_nothing_of_it_runs(
    client: TestClient, writer: StudyWriter
) -> None:
    writer.begin(8).complete(0, 0.04)
    writer.start(1)
    kill(writer)
    found = document(client)
    assert (found["status"], found["trials"][1]["state"]) == ("dead", "waiting")
    assert found["trials"][1]["under_way"] is None
    text = text_of(client)
    assert "The process that ran this is gone" in text
    assert "nothing that has ended is lost" in text
    answer = client.post(f"/api/studies/{STUDY}/cancel", json={})
    assert answer.status_code == 409
    assert "dead" in answer.json()["error"]


def test_cancel_is_an_intent_in_the_journal_and_is_shown(
    client: TestClient, journal: Journal, writer: StudyWriter
) -> None:
    writer.begin(8).complete(0, 0.04)
    answer = client.post(f"/api/studies/{STUDY}/cancel", json={"why": f" {EVIL} "})
    assert answer.status_code == 202
    (asked,) = [e for e in journal.read_all(f"study/{STUDY}") if e.kind == "cancel_requested"]
    assert asked.seq == answer.json()["seq"]
    assert asked.data["why"] == EVIL
    assert asked.data["by"].endswith("console")
    assert document(client)["status"] == "cancelling"
    page = client.get(f"/tuning/{STUDY}").text
    assert EVIL not in page
    assert "asked" in Elements(page).text
    writer.stop(words.CANCELLED, by="ann", why=EVIL)
    assert document(client)["request"] is None
    text = text_of(client)
    assert "Cancelled by ann" in text
    assert "1 of 8 trials had ended" in text
    assert "qlops tune" in text


@pytest.mark.parametrize(
    ("body", "status"),
    [({"why": "x" * 501}, 400), ({"attempt": 1}, 400), ([], 400), ({"why": 1}, 400)],
)
def test_cancel_that_makes_no_sense_is_refused(
    client: TestClient, journal: Journal, writer: StudyWriter, body: Any, status: int
) -> None:
    writer.begin(8)
    assert client.post(f"/api/studies/{STUDY}/cancel", json=body).status_code == status
    assert [e for e in journal.read_all() if e.kind == "cancel_requested"] == []


def test_cancel_from_another_site_is_refused(
    client: TestClient, journal: Journal, writer: StudyWriter
) -> None:
    writer.begin(8)
    address = f"/api/studies/{STUDY}/cancel"
    foreign = {"origin": "http://evil.example"}
    assert client.post(address, json={}, headers=foreign).status_code == 403
    assert client.get(address).status_code == 405
    assert [e for e in journal.read_all() if e.kind == "cancel_requested"] == []


def test_failure_of_the_study_and_of_a_trial_are_shown_as_text(
    client: TestClient, writer: StudyWriter
) -> None:
    writer.begin(8).fail(0, EVIL)
    writer.stop(words.FAILED, error=f"all failed {EVIL}")
    found = document(client)
    assert (found["status"], found["error"]) == ("failed", f"all failed {EVIL}")
    assert (found["best"], found["gain"]) == (None, None)
    page = client.get(f"/tuning/{STUDY}").text
    assert EVIL not in page
    assert page.count("&lt;script&gt;") == 2


def test_value_that_is_not_a_number_is_missing_and_breaks_nothing(
    client: TestClient, writer: StudyWriter
) -> None:
    writer.begin(3).complete(0, 0.04)
    writer.start(1)
    writer.fold(1, 0, float("nan"))
    writer.end(1, words.COMPLETE, float("nan"))
    trial = document(client)["trials"][1]
    assert (trial["value"], trial["rank_ics"]) == (None, [None, None, None])
    assert client.get(f"/tuning/{STUDY}").status_code == 200


def test_recipe_outside_of_the_space_is_told_by_its_own_parameters(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    task = {"class": "LGBModel", "kwargs": {"learning_rate": 0.9, "seed": 7}}
    about = {**ABOUT, "training": {**ABOUT["training"], "task": task}}
    writer = StudyWriter(settings, journal, about=about).begin(3)
    started = {"trial": 0, "parameters": {}, "searched": {}, "is_baseline": True}
    writer.say(words.TRIAL_STARTED, **started)
    writer.end(0, words.COMPLETE, 0.04)
    assert document(client)["recipe"] == {"learning_rate": 0.9}
    page = Elements(client.get(f"/tuning/{STUDY}").text).text
    assert "learning_rate 0.01 to 0.3 logarithmic 0.9" in page


def test_models_that_were_trained_with_the_result_are_linked(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    finished_study(settings, journal)
    registry, facts = Registry(journal), {"study": STUDY, "metrics": {"rank_ic": 0.0377}}
    registry.advance("tuned-1", ModelEvent.STARTED, by="d", why="", facts=facts)
    registry.advance("other-1", ModelEvent.STARTED, by="d", why="")
    assert [model["model_version"] for model in document(client)["models"]] == ["tuned-1"]
    page = Elements(client.get(f"/tuning/{STUDY}").text)
    assert "/training/tuned-1" in page.addresses()
    assert "Rank IC 0.0377 on test" in page.text


def test_pages_hold_no_inline_code_and_every_address_answers(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    finished_study(settings, journal)
    addresses: set[str] = set()
    for path in ("/tuning", f"/tuning/{STUDY}"):
        page = Elements(client.get(path).text)
        addresses |= page.addresses()
        for tag, attributes in page.elements:
            assert tag != "style"
            assert tag != "script" or (attributes["src"] or "").startswith("/static/")
            assert not any(name == "style" or name.startswith("on") for name in attributes)
    answers = {a: client.get(a).status_code for a in addresses if not a.startswith("#")}
    assert len(answers) > 6
    assert set(answers.values()) == {200}


def test_overview_leaves_trials_to_their_page_and_tells_who_stops_a_study(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    writer = finished_study(settings, journal)
    writer.say(words.CANCEL_REQUESTED, by="ann", why="wrong label")
    events = client.get("/api/overview").json()["events"]
    assert [(event["kind"], event["text"]) for event in events] == [
        ("cancel_requested", "wrong label · by ann")
    ]


@dataclass
class Hands:
    """A clock that is moved by hand."""

    at: datetime = field(default_factory=lambda: datetime(2026, 1, 5, 9, 0, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def test_duration_is_the_time_of_work_over_all_starts(
    client: TestClient, settings: Settings
) -> None:
    clock = Hands()
    writer = StudyWriter(settings, Journal(settings.journal_url, clock))
    writer.say(words.STARTED, **ABOUT, trials=8)
    clock.move(40)
    writer.start(0)  # and is killed
    clock.move(3600)
    writer.say(words.STARTED, **ABOUT, trials=8)
    clock.move(15)
    writer.say(words.CANCELLED, by="ann", why="")
    clock.move(7200)
    writer.say(words.STARTED, **ABOUT, trials=8)
    clock.move(5)
    writer.say(words.FINISHED, complete=0, pruned=0, failed=0)
    found = document(client)
    assert (found["duration_s"], found["starts"]) == (60.0, 3)
    assert found["started_at"] == (clock.at - timedelta(seconds=5)).isoformat()
    assert "3 times in all" in text_of(client)


def test_book_leaves_out_old_iterations_and_knows_the_last_ones(
    monkeypatch: pytest.MonkeyPatch, journal: Journal, writer: StudyWriter
) -> None:
    monkeypatch.setattr(book, "_RECENT", 3)
    writer.begin(3)
    writer.start(0)
    for step in range(1, 21):
        writer.iterate(0, 0, step)
    writer.start(1)
    writer.iterate(1, 0, 1)
    taken: list[int] = []

    class Heard(StudyHistory):
        def take(self, event: Any) -> None:
            taken.append(event.seq)
            super().take(event)

    studies = Book(journal, words.PREFIX, Heard, passing=words.TRIAL_PROGRESS)
    with studies.opened() as (seq, found):
        assert seq == journal.last_seq()
        assert found[STUDY].trials[1].state == "running"
        assert len(taken) < 10
    writer.iterate(1, 0, 2)
    writer.iterate(0, 0, 21)
    with studies.opened() as (_, found):
        assert [found[STUDY].trials[n].last["step"] for n in (0, 1)] == [21, 2]
    assert taken == sorted(set(taken))


def test_folds_lie_along_time_by_their_days() -> None:
    folds: list[Mapping[str, list[str]]] = [
        {"train": ["2025-01-01", "2025-01-04"], "valid": ["2025-01-06", "2025-01-07"]},
        {
            "train": ["2025-01-01", "2025-01-05"],
            "stop": ["2025-01-07", "2025-01-07"],
            "valid": ["2025-01-09", "2025-01-10"],
        },
    ]
    first, second = fold_lines(folds)
    assert first["train"] == {"from": "2025-01-01", "to": "2025-01-04", "start": 0, "length": 0.4}
    assert (first["valid"]["start"], first["valid"]["length"]) == (0.5, 0.2)
    assert (second["valid"]["start"], second["valid"]["length"]) == (0.8, 0.2)
    assert (second["stop"]["start"], second["stop"]["length"]) == (0.6, 0.1)
    assert "stop" not in first
    assert fold_lines([]) == []


def test_bars_of_importance_are_ordered_and_the_first_is_full() -> None:
    bars = importance_bars({"a": 0.1, "b": 0.6, "c": 0.3, "d": 0.0})
    assert [(bar["name"], bar["length"]) for bar in bars] == [
        ("b", 1.0),
        ("c", 0.5),
        ("a", 0.1667),
        ("d", 0.0),
    ]
    assert importance_bars({}) == []
