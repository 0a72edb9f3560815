"""Which version answers: loading, refusing, replacing under load."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from qlops_assets.core.errors import LoadUnderWayError, SettingsError
from qlops_assets.serving.app import build_app
from qlops_assets.serving.slots import Slots
from qlops_assets_tests.serving.conftest import Home, make_home, wait_until
from qlops_assets_tests.support.served_models import (
    FrozenClock,
    InMemoryFeatures,
    expected_scores,
    random_rows,
    set_live,
)

Start = Callable[..., httpx.Client]
LOAD = "/v2/repository/models/alpha/load"
VALUES = random_rows(9, 400)  # large enough to be answered in a thread
BODY = {
    "inputs": [
        {
            "name": "features",
            "shape": [400, 5],
            "datatype": "FP32",
            "data": [None if np.isnan(v) else float(v) for v in VALUES.ravel()],
        }
    ]
}


def load(client: httpx.Client, version: Any) -> httpx.Response:
    return client.post(LOAD, json={"parameters": {"version": version}})


def answered(client: httpx.Client) -> tuple[str, list[float]]:
    answer = client.post("/v2/models/alpha/infer", json=BODY)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["model_version"] == answer.headers["x-qlops-model-version"]
    return body["model_version"], body["outputs"][0]["data"]


def test_load_of_another_version_makes_it_answer(home: Home, start: Start) -> None:
    client = start(home.models)
    answer = load(client, "alpha-2")
    assert answer.status_code == 200
    assert answer.json() == {
        "name": "alpha",
        "model_version": "alpha-2",
        "previous_version": "alpha-1",
    }
    assert answer.headers["x-qlops-model-version"] == "alpha-2"
    expected = expected_scores(home.texts["alpha-2"], VALUES).tolist()
    assert answered(client) == ("alpha-2", expected)
    assert client.get("/v2/models/alpha").json()["versions"] == ["alpha-2"]
    assert client.post("/v2/models/alpha/versions/alpha-1/infer", json=BODY).status_code == 404


def test_altered_artifact_is_refused_and_the_version_before_serves(
    home: Home, start: Start
) -> None:
    client = start(home.models)
    artifact = home.settings.models / "alpha-2" / "model.txt"
    artifact.write_text(artifact.read_text().replace("leaf_value=", "leaf_value=1", 1))
    answer = load(client, "alpha-2")
    assert answer.status_code == 422
    assert "SHA-256" in answer.json()["error"]
    assert answered(client)[0] == "alpha-1"
    assert client.get("/v2/health/ready").status_code == 200


@pytest.mark.parametrize("record", ["", "{}", "[]", '{"format": "x", "file": "model.txt"}'])
def test_damaged_artifact_record_is_refused(home: Home, start: Start, record: str) -> None:
    client = start(home.models)
    (home.settings.models / "alpha-2" / "artifact.json").write_text(record)
    assert load(client, "alpha-2").status_code == 422
    assert answered(client)[0] == "alpha-1"


def test_unknown_version_is_404_naming_the_nearest(home: Home, start: Start) -> None:
    client = start(home.models)
    answer = load(client, "alpha-3")
    assert answer.status_code == 404
    assert "did you mean" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body: was empty"),
        (b"{}", "parameters: is missing"),
        (b'{"parameters": 1}', "parameters: was 1"),
        (b'{"parameters": {}}', "parameters.version: is missing"),
        (b'{"parameters": {"version": 2}}', "parameters.version: was 2"),
    ],
)
def test_load_request_that_does_not_fit_is_400(
    client: httpx.Client, body: bytes, field: str
) -> None:
    answer = client.post(LOAD, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(field)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        (b"", 401),
        (b"Bearer", 401),
        (b"Basic dG9rZW4=", 401),
        (b"Bearer wrong", 403),
        ("Bearer tök".encode(), 403),
    ],
)
def test_load_without_the_admin_token_is_refused(
    client: httpx.Client, authorization: bytes | None, status: int
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    with httpx.Client(base_url=client.base_url, trust_env=False) as stranger:
        answer = stranger.post(LOAD, headers=headers, content=b"not even JSON")
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert answered(client)[0] == "alpha-1"


def test_admin_token_that_protects_nothing_is_refused(home: Home) -> None:
    with pytest.raises(SettingsError, match="had 0 characters"):
        build_app(
            environment="staging", models=home.models, features=InMemoryFeatures(), admin_token=""
        )


def test_server_with_nothing_live_is_not_ready_until_a_load(
    tmp_path: Path, texts: dict[str, str], start: Start
) -> None:
    client = start(make_home(tmp_path, texts, live=None).models, is_ready=False)
    assert client.get("/v2/health/live").status_code == 200
    for method, path in [
        ("GET", "/v2/health/ready"),
        ("GET", "/v2/models/alpha"),
        ("GET", "/v2/models/alpha/ready"),
        ("POST", "/v2/models/alpha/infer"),
        ("POST", "/v1/score"),
    ]:
        answer = client.request(method, path)
        assert answer.status_code == 503
        assert "no version is live" in answer.json()["error"]
        assert answer.headers["x-qlops-model-version"] == "none"
    assert client.get("/v2").json()["model_version"] is None
    assert load(client, "alpha-1").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200
    assert answered(client)[0] == "alpha-1"


def test_live_version_that_cannot_be_loaded_leaves_the_server_not_ready_with_the_reason(
    home: Home, start: Start
) -> None:
    (home.settings.models / "alpha-1" / "model.txt").write_text("tree")
    client = start(home.models, is_ready=False)
    wait_until(lambda: "SHA-256" in client.get("/v2/health/ready").json()["error"])
    assert client.get("/v2/health/ready").status_code == 503
    assert load(client, "alpha-2").status_code == 200


def test_version_given_on_start_is_loaded_instead_of_the_live_one(home: Home, start: Start) -> None:
    assert answered(start(home.models, version="alpha-2"))[0] == "alpha-2"


def test_replacing_versions_under_load_fails_no_request_and_mixes_no_answer(
    home: Home, start: Start
) -> None:
    client = start(home.models)
    expected = {v: expected_scores(text, VALUES).tolist() for v, text in home.texts.items()}
    done, seen, failures = threading.Event(), set[str](), list[BaseException]()

    def ask() -> None:
        with httpx.Client(base_url=client.base_url, trust_env=False, timeout=10) as own:
            try:
                while not done.is_set():
                    version, scores = answered(own)
                    assert scores == expected[version]
                    seen.add(version)
            except BaseException as error:
                failures.append(error)
                raise

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for turn in range(30):
        assert load(client, f"alpha-{2 - turn % 2}").status_code == 200
    done.set()
    for asker in askers:
        asker.join(20)
    assert not failures
    assert seen == {"alpha-1", "alpha-2"}


def test_request_under_way_ends_on_the_version_it_began_with(home: Home, start: Start) -> None:
    features = InMemoryFeatures()
    client = start(home.models, features=features)
    features.open_gate.clear()
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        answer = httpx.post(f"{client.base_url}/v1/score", trust_env=False, timeout=10)
        answers.append({**answer.json(), "header": answer.headers["x-qlops-model-version"]})

    asker = threading.Thread(target=ask)
    asker.start()
    wait_until(lambda: "qlops_infer_in_flight 1.0" in client.get("/metrics").text)
    home_slots = threading.Thread(target=load, args=(client, "alpha-2"))
    home_slots.start()  # its warming also waits for the gate
    features.open_gate.set()
    home_slots.join(10)
    asker.join(10)
    assert (answers[0]["model_version"], answers[0]["header"]) == ("alpha-1", "alpha-1")
    assert answered(client)[0] == "alpha-2"


def test_second_load_at_the_same_time_waits_then_gives_up(home: Home) -> None:
    features = InMemoryFeatures()
    slots = Slots(home.models, features, FrozenClock(), wait_seconds=0.05)
    features.open_gate.clear()
    first = threading.Thread(target=slots.load, args=("alpha-1",))
    first.start()
    wait_until(slots._loading.locked)
    with pytest.raises(LoadUnderWayError, match="alpha-2"):
        slots.load("alpha-2")
    features.open_gate.set()
    first.join(10)
    assert slots.current is not None
    assert slots.current.version == "alpha-1"
    assert slots.current.loaded_at == FrozenClock().now()


def test_first_load_does_not_undo_a_newer_decision(home: Home) -> None:
    slots = Slots(home.models, InMemoryFeatures(), FrozenClock())
    slots.load("alpha-2")
    set_live(home.journal, "staging", "alpha-1")
    slots.load_first("staging")
    assert slots.current is not None
    assert slots.current.version == "alpha-2"
