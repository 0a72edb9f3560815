"""Which requests are refused, and what every answer forbids the browser."""

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.consoles import VERSION, add_evaluated_model


def policy(header: str) -> dict[str, list[str]]:
    rules = (rule.split() for rule in header.split(";"))
    return {name: values for name, *values in rules}


@pytest.mark.parametrize("path", ["/", "/api/overview", "/static/console.css", "/nowhere"])
def test_every_answer_carries_a_strict_policy(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    rules = policy(headers["content-security-policy"])
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == ["'self'"]
    assert rules["frame-ancestors"] == ["'none'"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_report_is_shut_in_a_sandbox_without_scripts(
    client: TestClient, settings: Settings, journal: Journal
) -> None:
    add_evaluated_model(settings, journal)
    response = client.get(f"/reports/{VERSION}")
    assert response.status_code == 200
    rules = policy(response.headers["content-security-policy"])
    assert rules["sandbox"] == []
    assert rules["default-src"] == ["'none'"]
    assert "script-src" not in rules
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080"])
def test_this_machine_by_its_own_names_is_served(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1", "127.0.0.1:80:80", ""]
)
def test_another_host_name_is_refused(client: TestClient, host: str) -> None:
    response = client.get("/", headers={"host": host})
    assert response.status_code == 421
    assert "127.0.0.1" in response.text


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("null", 403), ("http://127.0.0.1:8080", 405)],
)
def test_writing_from_another_origin_is_refused(
    client: TestClient, origin: str, status: int
) -> None:
    assert client.post("/", headers={"origin": origin}).status_code == status
