"""The routes against the published Open Inference Protocol (v2, REST); expectations by hand."""

import httpx
import numpy as np
import pytest

from qlops_assets_tests.serving.conftest import Home
from qlops_assets_tests.support.served_models import FEATURES, expected_scores, random_rows

VERSIONED = "/v2/models/alpha/versions/alpha-1"


def tensor(values: np.ndarray, **changes: object) -> dict[str, object]:
    data = [None if np.isnan(v) else float(v) for v in values.ravel()]
    fields = {"name": "features", "shape": list(values.shape), "datatype": "FP32", "data": data}
    return {**fields, **changes}


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata_names_server_version_and_extensions(
    client: httpx.Client, path: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert isinstance(body["name"], str)
    assert isinstance(body["version"], str)
    assert all(isinstance(extension, str) for extension in body["extensions"])
    assert (body["environment"], body["model_version"]) == ("staging", "alpha-1")


def test_health_live_is_200_and_says_live(client: httpx.Client) -> None:
    answer = client.get("/v2/health/live")
    assert (answer.status_code, answer.json()["live"]) == (200, True)


def test_health_ready_is_200_when_a_version_is_loaded(client: httpx.Client) -> None:
    answer = client.get("/v2/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "live": True, "model_version": "alpha-1"}


@pytest.mark.parametrize("path", ["/v2/models/alpha", VERSIONED])
def test_model_metadata_describes_tensors(client: httpx.Client, path: str) -> None:
    body = client.get(path).json()
    assert body["name"] == "alpha"
    assert body["versions"] == ["alpha-1"]
    assert isinstance(body["platform"], str)
    assert body["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 5]}]
    assert body["outputs"] == [{"name": "score", "datatype": "FP64", "shape": [-1]}]
    assert body["parameters"] == {"features": FEATURES, "simulated": False}


@pytest.mark.parametrize("path", ["/v2/models/alpha/ready", f"{VERSIONED}/ready"])
def test_model_ready_names_the_model(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["ready"]) == ("alpha", True)


@pytest.mark.parametrize("path", ["/v2/models/alpha/infer", f"{VERSIONED}/infer"])
def test_infer_answers_an_inference_response(
    client: httpx.Client, shared_home: Home, path: str
) -> None:
    values = random_rows(3, 4)
    asked = {"id": "42", "inputs": [tensor(values)], "outputs": [{"name": "score"}]}
    answer = client.post(path, json=asked)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    expected = expected_scores(shared_home.texts["alpha-1"], values).tolist()
    assert answer.json() == {
        "model_name": "alpha",
        "model_version": "alpha-1",
        "id": "42",
        "outputs": [{"name": "score", "shape": [4], "datatype": "FP64", "data": expected}],
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/models/beta"),
        ("GET", "/v2/models/beta/ready"),
        ("POST", "/v2/models/beta/infer"),
        ("GET", "/v2/models/alpha/versions/alpha-9"),
        ("GET", "/v2/models/alpha/versions/alpha-2/ready"),
        ("POST", "/v2/models/alpha/versions/alpha-2/infer"),
        ("POST", "/v2/repository/models/beta/load"),
        ("GET", "/v3"),
    ],
)
def test_what_is_not_served_here_is_404_with_error(
    client: httpx.Client, method: str, path: str
) -> None:
    answer = client.request(method, path, json={"inputs": [tensor(random_rows(1, 1))]})
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]


def test_wrong_method_is_405_with_error(client: httpx.Client) -> None:
    answer = client.get("/v2/models/alpha/infer")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/models/beta", "/v3", "/metrics"])
def test_every_answer_carries_its_identity(client: httpx.Client, path: str) -> None:
    headers = client.get(path, headers={"x-request-id": "day-17:a"}).headers
    assert headers["x-request-id"] == "day-17:a"
    assert headers["x-qlops-arm"] == "live"
    assert headers["x-qlops-model-version"] == "alpha-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é"])
def test_request_id_that_is_not_sane_is_replaced(client: httpx.Client, given: str) -> None:
    headers = [(b"x-request-id", given.encode())]
    made = [client.get("/v2", headers=headers).headers["x-request-id"] for _ in range(2)]
    assert given not in made
    assert len(set(made)) == 2
    assert all(len(one) == 32 for one in made)


def test_parameters_that_are_honoured_are_taken(client: httpx.Client) -> None:
    values = random_rows(4, 1)
    asked = {
        "parameters": {"unit_id": "account-7", "content_type": "np", "binary_data_output": False},
        "inputs": [tensor(values, parameters={"content_type": "np"})],
        "outputs": [{"name": "score", "parameters": {"binary_data": False}}],
    }
    answer = client.post("/v2/models/alpha/infer", json=asked)
    assert answer.status_code == 200
    assert answer.json()["parameters"] == {"unit_id": "account-7"}
    assert "id" not in answer.json()
