"""``/v1/score``: the server looks the features up."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from qlops_assets_tests.serving.conftest import Home, make_home
from qlops_assets_tests.support.served_models import (
    DAYS,
    INSTRUMENTS,
    InMemoryFeatures,
    expected_scores,
    register,
    set_live,
    train_text,
)

Start = Callable[..., httpx.Client]


def expected(home: Home, day: date) -> dict[str, float]:
    values = InMemoryFeatures().table(day)
    scores = expected_scores(home.texts["alpha-1"], values).tolist()
    return dict(zip(INSTRUMENTS, scores, strict=True))


@pytest.mark.parametrize("request_body", [None, {}, {"date": None, "instruments": None}])
def test_score_without_fields_answers_newest_day_best_first(
    client: httpx.Client, shared_home: Home, request_body: Any
) -> None:
    answer = (
        client.post("/v1/score", json=request_body)
        if request_body is not None
        else (client.post("/v1/score"))
    )
    assert answer.status_code == 200
    body = answer.json()
    known = expected(shared_home, date(2024, 1, 5))
    best_first = sorted(known.items(), key=lambda item: (-item[1], item[0]))
    assert [(s["instrument"], s["score"]) for s in body.pop("scores")] == best_first
    assert body == {
        "model_name": "alpha",
        "model_version": "alpha-1",
        "date": "2024-01-05",
        "count": len(INSTRUMENTS),
    }


def test_score_of_instruments_answers_in_the_order_asked(
    client: httpx.Client, shared_home: Home
) -> None:
    asked = [INSTRUMENTS[7], INSTRUMENTS[0], INSTRUMENTS[3]]
    body = {"date": "2024-01-04", "instruments": asked, "unit_id": "account-7"}
    answer = client.post("/v1/score", json=body).json()
    known = expected(shared_home, DAYS[0])
    assert [s["instrument"] for s in answer["scores"]] == asked
    assert [s["score"] for s in answer["scores"]] == [known[name] for name in asked]
    assert answer["unit_id"] == "account-7"


def test_one_instrument_is_scored(client: httpx.Client, shared_home: Home) -> None:
    answer = client.post("/v1/score", json={"instruments": [INSTRUMENTS[5]]}).json()
    known = expected(shared_home, DAYS[1])[INSTRUMENTS[5]]
    assert answer["scores"] == [{"instrument": INSTRUMENTS[5], "score": known}]


@pytest.mark.parametrize("others", [[], [INSTRUMENTS[0]]])
def test_unknown_instruments_are_404_naming_them(client: httpx.Client, others: list[str]) -> None:
    answer = client.post("/v1/score", json={"instruments": ["SZ999999", *others]})
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("instruments: no rows on 2024-01-05 for 'SZ999999';")


def test_rows_of_another_definition_than_the_models_are_409_and_the_server_ready(
    home: Home, start: Start
) -> None:
    text, features = train_text(4), InMemoryFeatures(computed_by={"KMID": "$close-$open"})
    of_old = register(home.settings, home.journal, "of-old", text, expressions={"KMID": "$open"})
    of_now = register(
        home.settings, home.journal, "of-now", text, expressions={"KMID": "$close-$open"}
    )
    client = start(home.models, features=features, version=of_old)
    answer = client.post("/v1/score", json={})
    assert answer.status_code == 409
    assert answer.json()["error"] == (
        "feature 'KMID': its values of 2024-01 were computed by $close-$open, the model was "
        "trained on $open; define it so again and materialize custom_factors, or train and "
        "deploy anew"
    )
    assert client.get("/v2/health/ready").status_code == 200
    now = start(home.models, features=features, version=of_now)
    assert now.post("/v1/score").status_code == 200


def test_day_without_rows_is_404_naming_it(client: httpx.Client) -> None:
    answer = client.post("/v1/score", json={"date": "2023-12-31", "instruments": ["SH600001"]})
    assert answer.status_code == 404
    assert "2023-12-31" in answer.json()["error"]


def test_store_without_rows_is_404_and_the_server_ready(home: Home, start: Start) -> None:
    client = start(home.models, features=InMemoryFeatures(days=[]))
    answer = client.post("/v1/score")
    assert answer.status_code == 404
    assert "feature rows" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"date": "20240105"}, "date: was '20240105'; must be a day as YYYY-MM-DD"),
        ({"date": "2024-02-30"}, "date: was '2024-02-30'"),
        ({"date": "2024-W01-5"}, "date: was '2024-W01-5'"),
        ({"date": 20240105}, "date: was 20240105"),
        ({"date": ["2024-01-05"]}, "date: was ['2024-01-05']"),
        ({"instruments": "SH600001"}, "instruments: was 'SH600001'"),
        ({"instruments": []}, "instruments: was []"),
        ({"instruments": [7]}, "instruments[0]: was 7"),
        ({"instruments": [{}]}, "instruments[0]: was {}"),
        ({"instruments": ["A", "A"]}, "instruments[1]: was 'A' again"),
        ({"instrument": ["A"]}, "'instrument': is unknown; did you mean 'instruments'?"),
        ({"unit_id": 7}, "unit_id: was 7"),
        ([], "body: was []"),
    ],
)
def test_score_request_that_does_not_fit_is_400_naming_the_field(
    client: httpx.Client, body: Any, field: str
) -> None:
    answer = client.post("/v1/score", json=body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]


def test_simulated_market_is_said_wherever_it_answers(tmp_path: Path, start: Start) -> None:
    home = make_home(tmp_path, {}, live=None)
    register(home.settings, home.journal, "sim-1", train_text(3), simulated=True)
    set_live(home.journal, "staging", "sim-1")
    client = start(home.models)
    row = {"name": "features", "shape": [1, 5], "datatype": "FP32", "data": [0] * 5}
    inferred = client.post("/v2/models/alpha/infer", json={"inputs": [row]}).json()
    assert inferred["parameters"] == {"simulated": True}
    assert client.post("/v1/score").json()["simulated"] is True
    assert client.get("/v2/models/alpha").json()["parameters"]["simulated"] is True
    assert 'simulated="true"' in client.get("/metrics").text
