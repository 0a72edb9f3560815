"""What the console says of the model servers and of Dagster beside it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import ConsoleSettings, Settings
from qlops_assets.deployment.server_record import own_record, write_record
from qlops_assets.web.app import build_console
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.consoles import VERSION, deploy, free_port


@contextmanager
def answering(status: int, body: Any, delay_s: float = 0.0) -> Iterator[int]:
    """Serve one answer to everything; yield the port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(delay_s)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def staging(settings: Settings, journal: Journal, port: int | None) -> tuple[dict, str]:
    """Return what the console says of staging, and its page, with a server on a port."""
    settings.servers.mkdir(parents=True, exist_ok=True)
    if port is not None:
        record = own_record("staging", port=port, token="t", url=f"http://127.0.0.1:{port}")
        write_record(settings.servers / "staging.json", record)
    client = TestClient(build_console(settings, journal=journal), base_url="http://localhost")
    return client.get("/api/overview").json()["environments"][0], client.get("/").text


def test_server_that_is_ready_is_healthy(settings: Settings, journal: Journal) -> None:
    deploy(journal, "staging")
    with answering(200, {"ready": True, "model_version": VERSION}) as port:
        found, page = staging(settings, journal, port)
    assert (found["health"]["state"], found["health"]["serves"]) == ("healthy", VERSION)
    assert f"http://127.0.0.1:{port}/v2" in page
    assert "still answers as" not in page


def test_server_that_serves_another_version_than_deployed_is_named(
    settings: Settings, journal: Journal
) -> None:
    deploy(journal, "staging")
    with answering(200, {"ready": True, "model_version": "older"}) as port:
        assert "still answers as older" in staging(settings, journal, port)[1]


def test_server_without_a_model_is_not_ready_for_its_reason(
    settings: Settings, journal: Journal
) -> None:
    with answering(503, {"error": "no version is live in staging"}) as port:
        health = staging(settings, journal, port)[0]["health"]
    assert (health["state"], health["detail"]) == ("not ready", "no version is live in staging")


def test_server_that_answers_nonsense_is_not_ready(settings: Settings, journal: Journal) -> None:
    with answering(200, b"<html>") as port:
        assert staging(settings, journal, port)[0]["health"]["state"] == "not ready"


def test_server_that_hangs_delays_the_page_by_a_second_at_most(
    settings: Settings, journal: Journal
) -> None:
    client = TestClient(build_console(settings, journal=journal), base_url="http://localhost")
    client.get("/healthz")
    with answering(200, {}, delay_s=3) as port:
        record = own_record("staging", port=port, token="t", url=f"http://127.0.0.1:{port}")
        write_record(settings.servers / "staging.json", record)
        started = time.monotonic()
        health = client.get("/api/overview").json()["environments"][0]["health"]
        assert time.monotonic() - started < 2.5
    assert (health["state"], health["detail"]) == ("not ready", "no answer in 0.8 s")


def test_server_whose_port_is_closed_is_not_ready_while_its_process_lives(
    settings: Settings, journal: Journal
) -> None:
    health = staging(settings, journal, free_port())[0]["health"]
    assert (health["state"], health["detail"]) == ("not ready", "it does not answer")


def test_server_without_record_or_process_is_not_running(
    settings: Settings, journal: Journal
) -> None:
    assert staging(settings, journal, None)[0]["health"]["state"] == "not running"
    record = own_record("staging", port=1, token="t", url="http://127.0.0.1:1")
    gone = replace(record, started_at="2020-01-01T00:00:00+00:00")
    write_record(settings.servers / "staging.json", gone)
    health = staging(settings, journal, None)[0]["health"]
    assert (health["state"], health["detail"]) == ("not running", "its process is gone")
    (settings.servers / "staging.json").write_text("{")
    assert staging(settings, journal, None)[0]["health"]["state"] == "not running"


def test_dagster_is_linked_only_where_it_answers(settings: Settings, journal: Journal) -> None:
    assert "Asset graph" not in staging(settings, journal, None)[1]
    with answering(200, {"dagster_version": "1.13.27"}) as port:
        beside = replace(settings, console=ConsoleSettings(dagster_port=port))
        assert f"http://127.0.0.1:{port}" in staging(beside, journal, None)[1]
    with answering(200, {"database": "ok"}) as port:  # something else listens there
        beside = replace(settings, console=ConsoleSettings(dagster_port=port))
        assert "Asset graph" not in staging(beside, journal, None)[1]
