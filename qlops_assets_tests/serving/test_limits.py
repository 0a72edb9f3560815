"""What a server takes at once, and what it counts."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from qlops_assets.serving.server import Limits
from qlops_assets_tests.serving.conftest import Home, wait_until
from qlops_assets_tests.support.served_models import InMemoryFeatures

Start = Callable[..., httpx.Client]
INFER = "/v2/models/alpha/infer"
ROW = {"name": "features", "shape": [1, 5], "datatype": "FP32", "data": [0] * 5}


def test_body_that_says_it_is_too_large_is_413_before_it_is_read(client: httpx.Client) -> None:
    at = urlsplit(str(client.base_url))
    request = f"POST {INFER} HTTP/1.1\r\nhost: {at.netloc}\r\ncontent-length: {33 << 20}\r\n\r\n"
    with socket.create_connection((at.hostname, at.port), timeout=5) as connection:
        connection.sendall(request.encode())  # and not one byte of the body
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413")
    assert "connection: close" in answer
    assert '"error"' in answer


def test_streamed_body_that_grows_too_large_is_413(home: Home, start: Start) -> None:
    client = start(home.models, limits=Limits(body_bytes=10_000))

    def parts() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 1_000

    answer = client.post(INFER, content=parts())
    assert answer.status_code == 413
    assert answer.json()["error"] == "body: longer than 10000 bytes; send fewer rows"
    assert client.post(INFER, json={"inputs": [ROW]}).status_code == 200


def test_caller_that_hangs_up_in_its_body_leaves_no_place_taken(client: httpx.Client) -> None:
    at = urlsplit(str(client.base_url))
    request = f"POST {INFER} HTTP/1.1\r\nhost: {at.netloc}\r\ncontent-length: 100\r\n\r\n{{"
    with socket.create_connection((at.hostname, at.port), timeout=5) as connection:
        connection.sendall(request.encode())
        wait_until(lambda: "qlops_infer_in_flight 1.0" in client.get("/metrics").text)
    wait_until(lambda: "qlops_infer_in_flight 0.0" in client.get("/metrics").text)


def test_overload_is_429_with_retry_after_and_passes(home: Home, start: Start) -> None:
    features = InMemoryFeatures()
    client = start(home.models, features=features, limits=Limits(in_flight=2))
    features.open_gate.clear()
    answers: list[int] = []

    def ask() -> None:
        answer = httpx.post(f"{client.base_url}/v1/score", trust_env=False, timeout=10)
        answers.append(answer.status_code)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    wait_until(lambda: "qlops_infer_in_flight 2.0" in client.get("/metrics").text)
    refused = client.post(INFER, json={"inputs": [ROW]})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "overloaded" in refused.json()["error"]
    assert client.get("/v2/health/ready").status_code == 200  # probes are not refused
    features.open_gate.set()
    for asker in askers:
        asker.join(10)
    assert answers == [200, 200]
    assert client.post(INFER, json={"inputs": [ROW]}).status_code == 200


def sample(text: str, name: str, **labels: str) -> float | None:
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match and match[1] == name:
            found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if found == labels:
                return float(match[3])
    return None


def test_metrics_count_requests_by_answer(home: Home, start: Start) -> None:
    client = start(home.models)
    for _ in range(3):
        client.post(INFER, json={"inputs": [ROW]})
    client.post(INFER, content=b"{")
    client.post("/v2/models/beta/infer", content=b"{")
    client.post("/v1/score")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    served = {"model": "alpha", "version": "alpha-1", "arm": "live"}
    count = "qlops_infer_requests_total"
    assert sample(answer.text, count, **served, code="200") == 4
    assert sample(answer.text, count, **served, code="400") == 1
    assert sample(answer.text, count, **served, code="404") == 1
    assert sample(answer.text, "qlops_infer_duration_seconds_count", **served) == 4
    assert sample(answer.text, "qlops_infer_duration_seconds_bucket", **served, le="0.001") >= 0
    assert sample(answer.text, "qlops_infer_batch_size_sum", model="alpha") == 3 + 12
    assert sample(answer.text, "qlops_infer_in_flight") == 0
    info = {"environment": "staging", "model": "alpha", "simulated": "false"}
    assert (
        sample(
            answer.text,
            "qlops_model_info",
            **info,
            version="alpha-1",
            data_version="data-of-alpha-1",
        )
        == 1
    )


def test_metrics_name_only_the_version_that_answers(home: Home, start: Start) -> None:
    client = start(home.models)
    client.post("/v2/repository/models/alpha/load", json={"parameters": {"version": "alpha-2"}})
    info = re.findall(r'qlops_model_info\{.*version="(alpha-\d)"', client.get("/metrics").text)
    assert info == ["alpha-2"]


def test_servers_in_one_process_count_for_themselves(home: Home, start: Start) -> None:
    one, other = start(home.models), start(home.models)
    one.post(INFER, json={"inputs": [ROW]})
    assert "qlops_infer_requests_total{" in one.get("/metrics").text
    assert "qlops_infer_requests_total{" not in other.get("/metrics").text


@pytest.mark.parametrize("size", [1, 200])
def test_failure_inside_the_model_is_500_without_a_traceback(
    home: Home, start: Start, size: int
) -> None:
    class Failing:
        def __init__(self, inner: object) -> None:
            self._inner, self.calls = inner, 0
            self.features, self.expressions = inner.features, inner.expressions
            self.window = inner.window

        def predict(self, values):
            self.calls += 1
            if self.calls > 1:
                raise ZeroDivisionError("secret detail")
            return self._inner.predict(values)

    class Models:
        live_version = home.models.live_version
        describe = home.models.describe

        def load(self, version: str) -> Failing:
            return Failing(home.models.load(version))

    client = start(Models())
    row = {**ROW, "shape": [size, 5], "data": [0] * 5 * size}
    answer = client.post(INFER, json={"inputs": [row]}, headers={"x-request-id": "r-1"})
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error; the server's log has it"}
    assert answer.headers["x-request-id"] == "r-1"
    counted = {"model": "alpha", "version": "alpha-1", "arm": "live", "code": "500"}
    assert sample(client.get("/metrics").text, "qlops_infer_requests_total", **counted) == 1
