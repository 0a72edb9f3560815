"""``infer``: answers equal LightGBM's own to the last bit; what is not understood is refused."""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlops_assets_tests.serving.conftest import Home
from qlops_assets_tests.support.served_models import FEATURES, expected_scores, random_rows

INFER = "/v2/models/alpha/infer"


def as_json(values: np.ndarray) -> list[Any]:
    return [None if np.isnan(v) else float(v) for v in values.ravel()]


def matrix(values: np.ndarray, **changes: Any) -> dict[str, Any]:
    data = as_json(values)
    fields = {"name": "features", "shape": list(values.shape), "datatype": "FP32", "data": data}
    return {**fields, **changes}


def columns(values: np.ndarray, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    tensors = [
        {"name": name, "shape": shape, "datatype": "FP64", "data": as_json(values[:, i])}
        for i, name in enumerate(FEATURES)
    ]
    return tensors[::-1]


def scores(client: httpx.Client, *inputs: dict[str, Any]) -> list[float]:
    answer = client.post(INFER, json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"][0]["data"]


@pytest.mark.parametrize("rows", [1, 2, 50, 3_000])  # the last is parsed in a thread
def test_scores_equal_boosters_own_to_the_bit(
    client: httpx.Client, shared_home: Home, rows: int
) -> None:
    values = random_rows(rows, rows)
    assert np.isnan(values).any() or rows < 3
    expected = expected_scores(shared_home.texts["alpha-1"], values)
    assert scores(client, matrix(values)) == expected.tolist()


def test_rows_of_missing_values_score_as_the_booster_does(
    client: httpx.Client, shared_home: Home
) -> None:
    values = np.full((2, 5), np.nan, dtype=np.float32)
    expected = expected_scores(shared_home.texts["alpha-1"], values).tolist()
    assert scores(client, matrix(values)) == expected
    body = json.dumps({"inputs": [matrix(values, data=[float("nan")] * 10)]})  # NaN, not null
    assert client.post(INFER, content=body).json()["outputs"][0]["data"] == expected


def test_tensor_per_column_equals_one_tensor(client: httpx.Client) -> None:
    values = random_rows(5, 7)
    whole = scores(client, matrix(values))
    assert scores(client, *columns(values, (7,))) == whole
    assert scores(client, *columns(values, (7, 1))) == whole


def test_nested_data_equals_flat(client: httpx.Client) -> None:
    values = random_rows(6, 4)
    nested = [as_json(row) for row in values]
    assert scores(client, matrix(values, data=nested)) == scores(client, matrix(values))
    nested_columns = columns(values, (4, 1))
    for tensor in nested_columns:
        tensor["data"] = [[value] for value in tensor["data"]]
    assert scores(client, *nested_columns) == scores(client, matrix(values))


@pytest.mark.parametrize("datatype", ["FP64", "INT8", "INT64", "UINT8", "UINT64"])
def test_other_datatypes_are_taken_as_fp32(
    client: httpx.Client, shared_home: Home, datatype: str
) -> None:
    data = [1, 2, 3, 4, 5]
    expected = expected_scores(shared_home.texts["alpha-1"], np.float32([data]))
    sent = matrix(np.zeros((1, 5)), datatype=datatype, data=data)
    assert scores(client, sent) == expected.tolist()


def refused(client: httpx.Client, body: Any) -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(INFER, content=content)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


ROW = np.zeros((1, 5), dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "inputs"}, "inputs[0].name: 'inputs' is unknown"),
        ({"name": "KMIDD"}, "did you mean 'KMID'"),
        ({"name": 7}, "inputs[0].name: was 7"),
        ({"datatype": "FP16"}, "inputs[0].datatype: was 'FP16'"),
        ({"datatype": "BYTES"}, "inputs[0].datatype: was 'BYTES'"),
        ({"datatype": ["FP32"]}, "inputs[0].datatype: was ['FP32']"),
        ({"shape": [1, 4]}, "inputs[0].data: had 5 values; shape [1, 4] takes 4"),
        ({"shape": [5, 1]}, "inputs[0].shape: was [5, 1]; must be [n, 5]"),
        ({"shape": [5]}, "inputs[0].shape: was [5]; must be [n, 5]"),
        ({"shape": [1, 1, 5]}, "inputs[0].shape: had 3 dimensions"),
        ({"shape": [0, 5], "data": []}, "inputs[0].shape: was [0, 5]"),
        ({"shape": [-1, 5]}, "inputs[0].shape: was [-1, 5]"),
        ({"shape": [True, 5]}, "inputs[0].shape: was [True, 5]"),
        ({"shape": [10**30, 5]}, "inputs[0].shape"),
        ({"shape": "1,5"}, "inputs[0].shape: was '1,5'; must be a list of integers"),
        ({"data": "AAAA"}, "inputs[0].data: was 'AAAA'; must be a list"),
        ({"data": [0, 0, "1.5", 0, 0]}, "inputs[0].data[2]: was '1.5'"),
        ({"data": [0, 0, 0, True, 0]}, "inputs[0].data[3]: was true"),
        ({"data": [0, 0, 0, 0, {}]}, "inputs[0].data[4]: was {}"),
        ({"data": [1e300, 0, 0, 0, 0]}, "inputs[0].data[0]: was 1e+300"),
        ({"data": [0, 10**400, 0, 0, 0]}, "inputs[0].data[1]: was 1000"),
        ({"data": [[0, 0, 0, 0]]}, "inputs[0].data[0]: had 4 values"),
        ({"data": [[0] * 5] * 2}, "inputs[0].data: had 2 rows; shape [1, 5] takes 1"),
        ({"data": [[0] * 5], "shape": [1, 5], "datatype": "INT8"}, ""),
        ({"datatype": "INT8", "data": [0, 0, 128, 0, 0]}, "inputs[0].data[2]: was 128; INT8"),
        ({"datatype": "UINT8", "data": [0, -1, 0, 0, 0]}, "inputs[0].data[1]: was -1; UINT8"),
        ({"datatype": "INT32", "data": [0, None, 0, 0, 0]}, "inputs[0].data[1]: was null"),
        ({"datatype": "INT32", "data": [0, 1.0, 0, 0, 0]}, "inputs[0].data[1]: was 1.0"),
        ({"parameters": {"binary_data_size": 20}}, "inputs[0].parameters.'binary_data_size'"),
        ({"parameters": {"content_type": "str"}}, "inputs[0].parameters.content_type: was 'str'"),
        ({"dtype": "FP32"}, "inputs[0].'dtype': is unknown; did you mean 'datatype'?"),
    ],
)
def test_tensor_that_does_not_fit_is_400_naming_the_field(
    client: httpx.Client, changes: dict[str, Any], field: str
) -> None:
    body = {"inputs": [matrix(ROW, **changes)]}
    if field:
        assert field in refused(client, body)
    else:
        assert client.post(INFER, json=body).status_code == 200


@pytest.mark.parametrize("field", ["name", "shape", "datatype", "data"])
def test_tensor_without_a_required_field_is_400_naming_it(client: httpx.Client, field: str) -> None:
    tensor = matrix(ROW)
    del tensor[field]
    assert refused(client, {"inputs": [tensor]}) == f"inputs[0].{field}: is missing; it is required"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body: was empty"),
        (b"  \n", "body: was empty"),
        (b"{", "body: was not JSON"),
        (b"\xff\xfe\xfa", "body: was not JSON"),
        (b"[" * 100_000, "body: was not JSON"),
        (b'{"inputs": [' + b"9" * 5_000 + b"]}", "body: was not JSON"),
        (b"[]", "body: was []; must be a JSON object"),
        (b"null", "body: was null"),
        ({}, "inputs: is missing"),
        ({"inputs": []}, "inputs: was []"),
        ({"inputs": {}}, "inputs: was {}"),
        ({"inputs": ["x"]}, "inputs[0]: was 'x'"),
        ({"inputs": [matrix(ROW)], "id": 7}, "id: was 7"),
        ({"inputs": [matrix(ROW)], "output": []}, "'output': is unknown; did you mean 'outputs'"),
        ({"inputs": [matrix(ROW)], "outputs": {}}, "outputs: was {}"),
        ({"inputs": [matrix(ROW)], "outputs": [{}]}, "outputs[0].name: is missing"),
        ({"inputs": [matrix(ROW)], "outputs": [{"name": "rank"}]}, "outputs[0].name: was 'rank'"),
        (
            {
                "inputs": [matrix(ROW)],
                "outputs": [{"name": "score", "parameters": {"binary_data": True}}],
            },
            "outputs[0].parameters.binary_data: was true; must be false",
        ),
        ({"inputs": [matrix(ROW)], "parameters": []}, "parameters: was []"),
        ({"inputs": [matrix(ROW)], "parameters": {"timeout": 1}}, "parameters.'timeout'"),
        ({"inputs": [matrix(ROW)], "parameters": {"unit_id": ""}}, "parameters.unit_id: was ''"),
        ({"inputs": [matrix(ROW), matrix(ROW)]}, "inputs[0].name: 'features' is unknown"),
        ({"inputs": columns(ROW, (1,))[1:]}, "inputs: lacked 1 features: CORR60"),
        ({"inputs": columns(ROW, (1,)) + columns(ROW, (1,))[:1]}, "inputs[5].name: 'CORR60' was"),
        (
            {"inputs": [*columns(ROW, (1,))[:-1], columns(np.zeros((2, 5)), (2,))[-1]]},
            "inputs[4].shape: was [2]; must be [1] or [1, 1], as inputs[0]",
        ),
    ],
)
def test_request_that_does_not_fit_is_400_naming_the_field(
    client: httpx.Client, body: Any, field: str
) -> None:
    assert field in refused(client, body)


def test_binary_tensors_and_compressed_bodies_are_refused_by_name(client: httpx.Client) -> None:
    for header in ("inference-header-content-length", "content-encoding"):
        answer = client.post(INFER, content=b"{}", headers={header: "12"})
        assert answer.status_code == 400
        assert "send" in answer.json()["error"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
numbers = st.none() | st.integers(-300, 300) | st.floats() | json_values
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["features", *FEATURES]) | json_values,
        "shape": st.lists(st.integers(-1, 5), max_size=3) | json_values,
        "datatype": st.sampled_from(["FP32", "FP64", "INT8", "UINT64", "BOOL"]) | json_values,
        "data": st.lists(numbers, max_size=6) | st.lists(st.lists(numbers, min_size=5, max_size=5)),
        "parameters": json_values,
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3) | json_values},
    optional={"id": json_values, "outputs": json_values, "parameters": json_values},
)


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=requests.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
def test_any_body_is_answered_or_refused_never_a_server_error(
    client: httpx.Client, body: bytes
) -> None:
    answer = client.post(INFER, content=body)
    assert answer.status_code in (200, 400), answer.text
    assert ("error" in answer.json()) == (answer.status_code == 400)
