"""The overview page, its JSON twin, model documents and reports."""

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.atomic import write_json
from qlops_assets.core.clock import SystemClock
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.history import DeploymentEvent, DeploymentHistory
from qlops_assets.lake.bars import build_bars, stale_months
from qlops_assets.lake.scan import scan
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets.web.app import build_console
from qlops_assets.web.overview.training import training_overview
from qlops_assets.web.pages import PAGES
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.consoles import (
    METRICS,
    VERSION,
    add_evaluated_model,
    deploy,
    report_fit,
)
from qlops_assets_tests.support.pages import Elements


def overview(client: TestClient) -> dict:
    response = client.get("/api/overview")
    assert response.status_code == 200
    return json.loads(response.text, parse_constant=pytest.fail)


def write_source(folder: Path) -> None:
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 29), "1d", eager=True)
    price = pl.DataFrame({"instrument": ["AAA", "BBB", "CCC"]}).join(
        pl.DataFrame({"date": days}), how="cross"
    )
    fields = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    bars = price.with_columns(**{k: pl.lit(v) for k, v in fields.items()}, volume=pl.lit(100.0))
    folder.mkdir(parents=True)
    bars.write_parquet(folder / "2024.parquet")
    (folder / "broken.parquet").write_bytes((folder / "2024.parquet").read_bytes()[:-100])


def test_overview_of_an_empty_home_says_what_to_run(client: TestClient) -> None:
    page = Elements(client.get("/").text)
    assert "This home is empty" in page.text
    assert "qlops demo" in page.text
    assert "Simulated market" not in page.text
    found = overview(client)
    assert (found["model"], found["training"], found["steps"], found["events"]) == (
        None,
        None,
        [],
        [],
    )
    assert (found["data"]["version"], found["data"]["bars"]) == (None, None)


def test_overview_of_an_evaluated_model_shows_its_metrics_with_sample_size(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    folder = add_evaluated_model(settings, journal)
    model = overview(client)["model"]
    assert (model["model_version"], model["state"]) == (VERSION, "validated")
    assert model["metrics"] == METRICS
    # Daily standard deviation 0.03 / 0.4 = 0.075; of the mean of 4 days 0.0375; times 1.96.
    assert model["intervals"]["ic"] == pytest.approx(0.0735)
    assert model["backtest"] == {
        "days": 4,
        "strategy": "topk-dropout",
        "topk": 50,
        "n_drop": 5,
        "benchmark": "SIMINDEX",
        "turnover": 0.2,
        "first_date": "2025-01-02",
        "last_date": "2025-01-05",
    }
    page = Elements(client.get("/").text)
    for text in ("0.0400", "+8.71 %", "−6.14 %", "1.31", "n = 4 days", "topk-dropout 50/5"):
        assert text in page.text
    assert f"/reports/{VERSION}" in page.addresses()
    (folder / "report.html").unlink()
    assert f"/reports/{VERSION}" not in Elements(client.get("/").text).addresses()


def test_overview_of_scanned_data_shows_version_rows_and_quarantined_files(
    settings: Settings, journal: Journal, tmp_path: Path
) -> None:
    write_source(tmp_path / "my bars")
    settings = settings.with_source(tmp_path / "my bars")
    later = SystemClock().now() + timedelta(minutes=1)

    class Later:
        def now(self):
            return later

    manifest = scan(settings, clock=Later())
    build_bars(settings, stale_months(settings))
    with TestClient(
        build_console(settings, journal=journal), base_url="http://localhost"
    ) as client:
        found, page = overview(client)["data"], Elements(client.get("/").text)
    assert (found["version"], found["rows"], found["files"]) == (manifest.digest, 180, 1)
    assert found["observed_at"] == later.isoformat()
    assert [file["path"] for file in found["quarantined"]] == ["broken.parquet"]
    assert found["bars"] == {
        "rows": 180,
        "instruments": 3,
        "days": 60,
        "months": 2,
        "first_date": "2024-01-01",
        "last_date": "2024-02-29",
    }
    assert found["simulated"] is False
    assert "Simulated market" not in page.text
    assert "1 quarantined" in page.text
    assert found["quarantined"][0]["reason"] in page.text


def test_overview_of_a_damaged_manifest_says_so_and_shows_the_rest(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    add_evaluated_model(settings, journal)
    manifest = settings.lake / "raw_bars" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")
    found = overview(client)
    assert "manifest.json" in found["data"]["error"]
    assert found["model"]["model_version"] == VERSION
    page = Elements(client.get("/").text).text
    assert "unreadable" in page
    assert "Simulated market" in page


def test_console_started_before_the_demo_goes_over_to_the_source_chosen_then(
    client: TestClient, settings: Settings, tmp_path: Path
) -> None:
    assert overview(client)["data"]["simulated"] is True
    write_json(settings.source_file, {"path": str(tmp_path / "bars")})
    assert overview(client)["data"]["path"] == str(tmp_path / "bars")
    assert overview(client)["data"]["simulated"] is False


def test_console_whose_source_is_configured_keeps_it(
    settings: Settings, journal: Journal, tmp_path: Path
) -> None:
    configured = settings.with_source(tmp_path / "configured")
    client = TestClient(build_console(configured, journal=journal), base_url="http://localhost")
    write_json(settings.source_file, {"path": str(tmp_path / "other")})
    assert overview(client)["data"]["path"] == str(tmp_path / "configured")


def test_environments_show_live_version_and_last_deployment(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    add_evaluated_model(settings, journal)
    deploy(journal, "staging")
    history = DeploymentHistory(journal)
    history.record("production", VERSION, DeploymentEvent.STARTED, by="test")
    history.record("production", VERSION, DeploymentEvent.FAILED, by="test", why="no answer <b>")
    staging, production = overview(client)["environments"]
    assert (staging["model_version"], staging["deployment"]["status"]) == (VERSION, "completed")
    assert (production["model_version"], production["deployment"]["status"]) == (None, "failed")
    page = client.get("/").text
    assert "no answer &lt;b&gt;" in page
    assert "Nothing answers here now" in page


@pytest.mark.parametrize(
    ("event", "age", "state"),
    [
        (None, timedelta(0), "running"),
        (None, timedelta(seconds=30), "dead"),
        (ModelEvent.TRAINED, timedelta(days=1), "finished"),
        (ModelEvent.FAILED, timedelta(days=1), "failed"),
        (ModelEvent.CANCELLED, timedelta(days=1), "cancelled"),
    ],
)
def test_training_is_told_by_its_state_and_its_last_report(
    settings: Settings, journal: Journal, event: ModelEvent | None, age: timedelta, state: str
) -> None:
    registry = Registry(journal)
    registry.advance(VERSION, ModelEvent.STARTED, by="test", why="")
    report_fit(journal, VERSION, range(1, 71))
    if event:
        registry.advance(
            VERSION, event, by="test", why="", facts={"failure": {"message": "out of memory"}}
        )
    now = journal.read(after=journal.last_seq() - 1)[0].at + age
    found = training_overview(settings, journal, registry.cards(), now)
    assert found is not None
    assert (found["state"], found["stage"]) == (state, "fit")
    assert found["fit"]["step"] == 70
    assert (found["fit"]["metric"], found["fit"]["best_step"]) == ("l2", 60)


def test_training_started_again_forgets_the_best_of_the_attempt_before(
    settings: Settings, journal: Journal
) -> None:
    registry = Registry(journal)
    registry.advance(VERSION, ModelEvent.STARTED, by="test", why="")
    report_fit(journal, VERSION, range(1, 71))
    report_fit(journal, VERSION, range(1, 11), attempt=2)
    found = training_overview(settings, journal, registry.cards(), SystemClock().now())
    assert found is not None
    assert (found["fit"]["step"], found["fit"]["best_step"]) == (10, 10)


def test_steps_show_their_last_run_in_the_order_of_their_start(
    client: TestClient, journal: Journal
) -> None:
    for asset in ("raw_bars", "bars", "raw_bars"):
        journal.append("pipeline", "step_started", {"step": asset, "asset": asset})
        facts = {"rows": 5, "wall_s": 1.5, "peak_mb": 1250.0}
        journal.append("pipeline", "step_finished", {"step": asset, "asset": asset, **facts})
    for environment in ("staging", "production"):
        facts = {"asset": "deployment", "environment": environment}
        journal.append("pipeline", "step_started", facts)
    journal.append("pipeline", "progress", {"stage": "check", "step": 3, "total": 4})
    steps = overview(client)["steps"]
    assert [(step["step"], step["state"]) for step in steps] == [
        ("bars", "finished"),
        ("raw_bars", "finished"),
        ("deployment staging", "running"),
        ("deployment production", "running"),
    ]
    assert steps[3]["progress"] == {"stage": "check", "step": 3, "total": 4}
    page = client.get("/").text
    assert "1.2 GB" in page
    assert "check 3 of 4" in page


def test_events_are_found_behind_a_thousand_progress_reports(
    client: TestClient, journal: Journal
) -> None:
    journal.append("alerts", "raised", {"text": "latency is high"})
    for step in range(1, 1201):
        journal.append("training/x", "progress", {"stage": "fit", "step": step})
    assert [event["text"] for event in overview(client)["events"]] == ["latency is high"]


def test_hostile_text_is_shown_as_text(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    evil = "<script>alert(1)</script>"
    journal.append(f"alerts/{evil}", evil, {"text": evil, evil: "x"})
    journal.append("pipeline", "step_started", {"asset": evil})
    journal.append(
        "model/odd",
        "started",
        {"from": None, "to": "training", "by": evil, "why": evil, "facts": {"error": evil}},
    )
    page = client.get("/").text
    assert evil not in page
    assert page.count("&lt;script&gt;") >= 6


def test_page_holds_no_inline_code_and_names_no_other_host(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    add_evaluated_model(settings, journal)
    for path in ("/", "/nowhere"):
        page = Elements(client.get(path).text)
        for tag, attributes in page.elements:
            assert tag != "style"
            assert tag != "script" or attributes["src"]
            assert not any(name == "style" or name.startswith("on") for name in attributes)
        assert all(a.startswith(("/", "#")) for a in page.addresses())


def test_every_link_of_the_overview_and_every_page_answers(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    add_evaluated_model(settings, journal)
    deploy(journal, "staging")
    addresses = Elements(client.get("/").text).addresses() | {page.path for page in PAGES}
    answers = {a: client.get(a).status_code for a in addresses if not a.startswith("#")}
    assert len(answers) > 5
    assert set(answers.values()) == {200}


def test_page_answers_at_every_moment_of_a_first_run(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    registry, history = Registry(journal), DeploymentHistory(journal)
    moments = [
        lambda: registry.advance(VERSION, ModelEvent.STARTED, by="test", why=""),
        lambda: journal.append(f"training/{VERSION}", "progress", {"stage": "load", "step": 0}),
        lambda: report_fit(journal, VERSION, range(1, 2)),
        lambda: registry.advance(VERSION, ModelEvent.TRAINED, by="test", why=""),
        lambda: registry.advance(VERSION, ModelEvent.VALIDATED, by="test", why=""),
        *(
            lambda event=event: history.record("production", VERSION, event, by="test")
            for event in DeploymentEvent
        ),
    ]
    for number, happens in enumerate(moments):
        happens()
        page = client.get("/")
        assert page.status_code == 200, f"moment {number}: {page.text}"
        assert VERSION in page.text


def test_models_are_listed_newest_first_and_shown_with_their_history(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    add_evaluated_model(settings, journal)
    add_evaluated_model(settings, journal, "second")
    listed = client.get("/api/models").json()["models"]
    assert [model["model_version"] for model in listed] == ["second", VERSION]
    shown = client.get(f"/api/models/{VERSION}").json()
    assert [(h["from"], h["to"]) for h in shown["history"]] == [
        (None, "training"),
        ("training", "trained"),
        ("trained", "validated"),
    ]


def test_metrics_that_are_not_numbers_are_null_in_json_and_missing_on_the_page(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    odd = {**METRICS, "ic": float("nan"), "long_short": float("inf"), "max_drawdown": None}
    add_evaluated_model(settings, journal, metrics=odd)
    found = overview(client)["model"]["metrics"]
    assert (found["ic"], found["long_short"], found["max_drawdown"]) == (None, None, None)
    assert "nan" not in Elements(client.get("/").text).text.lower()


def test_equity_is_cumulated_as_qlib_does(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    add_evaluated_model(settings, journal)
    curve = client.get(f"/api/models/{VERSION}/equity").json()
    assert curve["date"] == ["2025-01-02", "2025-01-03", "2025-01-04", "2025-01-05"]
    assert curve["strategy"] == pytest.approx([0.01, 0.03, 0.0, 0.01])
    assert curve["benchmark"] == pytest.approx([0.005, 0.015, 0.005, 0.005])
    assert curve["excess"] == pytest.approx([0.005, 0.015, -0.005, 0.005])
    assert curve["drawdown"] == [0.0, 0.0, -0.02, -0.01]


@pytest.mark.parametrize("path", ["/api/models/nope", "/api/models/nope/equity"])
def test_unknown_model_is_not_found_and_said_as_json(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "nope" in response.json()["error"]


@pytest.mark.parametrize(
    "version", ["%2e%2e", "%2e%2e%2fsecret", "..%5csecret", "secret", "a%00b", "link"]
)
def test_report_outside_the_folder_of_models_is_not_found(
    client: TestClient, settings: Settings, version: str
) -> None:
    for folder in (settings.home, settings.home / "secret"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.html").write_text("secret")
    settings.models.mkdir()
    (settings.models / "link").symlink_to(settings.home / "secret")
    (settings.models / "report.html").write_text("secret")
    response = client.get(f"/reports/{version}")
    assert response.status_code == 404
    assert "Not found" in response.text


def test_healthz_says_where_the_journal_stands(client: TestClient, journal: Journal) -> None:
    journal.append("a", "b", {})
    assert client.get("/healthz").json() == {"status": "ok", "seq": 1}
