"""Open Inference Protocol v2 as JSON documents: requests read, answers and metadata written.

A model takes one FP32 tensor ``features`` of shape ``[n, number of features]``, or one tensor per
feature named after it, of shape ``[n]`` or ``[n, 1]``, in any order. It answers one FP64 tensor
``score`` of shape ``[n]``.

The protocol says that servers document the parameters they honour. Ours: ``unit_id`` (returned in
the answer's parameters), ``content_type`` ``np`` or ``pd`` (what tensors are taken as anyway) and
``binary_data``, ``binary_data_output`` where false. Any other is refused rather than ignored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import BadRequestError, nearest
from qlops_assets.core.prediction import FloatMatrix
from qlops_assets.serving.tensors import read_tensor, required, shown

FEATURES = "features"
SCORE = "score"

_REQUEST_FIELDS = ("id", "parameters", "inputs", "outputs")
_INPUT_FIELDS = ("name", "shape", "datatype", "parameters", "data")
_OUTPUT_FIELDS = ("name", "parameters")
_HONOURED: Mapping[str, tuple[Any, ...]] = {
    "content_type": ("np", "pd"),
    "binary_data": (False,),
    "binary_data_output": (False,),
}
_LONGEST_ID = 256


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """An inference request that was understood; one row of ``values`` per row to score."""

    values: FloatMatrix
    id: str | None
    unit_id: str | None


def read_json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request's body.

    Raises:
        BadRequestError: the body is empty, not JSON, or not an object.
    """
    if not body.strip():
        raise BadRequestError("body", "was empty", "must be a JSON object")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("body", f"was not JSON ({error})", "must be a JSON object") from error
    if not isinstance(value, dict):
        raise BadRequestError("body", f"was {shown(value)}", "must be a JSON object")
    return value


def read_inference(body: bytes, features: Sequence[str]) -> InferenceRequest:
    """Return the request of an ``infer`` route.

    Args:
        body: The HTTP body.
        features: The features of the model that shall answer, in its order.

    Raises:
        BadRequestError: the request is not one that this model can answer; its field is named.
    """
    request = read_json_object(body)
    check_fields(request, _REQUEST_FIELDS)
    inputs = required(request, "inputs")
    if not isinstance(inputs, list) or not inputs:
        raise BadRequestError("inputs", f"was {shown(inputs)}", "must be a list of tensors")
    names = [_input_name(tensor, f"inputs[{i}]") for i, tensor in enumerate(inputs)]
    _check_outputs(request.get("outputs"))
    parameters = _parameters(request, "")
    if names == [FEATURES]:
        values = _matrix(inputs[0], len(features))
    else:
        values = _columns(inputs, names, features)
    return InferenceRequest(
        values, text_field(request, "id"), text_field(parameters, "unit_id", "parameters.")
    )


def check_fields(value: Mapping[str, Any], known: Sequence[str], where: str = "") -> None:
    """Refuse an object with fields that nobody would read.

    Raises:
        BadRequestError: a field is unknown; the nearest known one is named.
    """
    for field in value:
        if field not in known:
            raise BadRequestError(
                f"{where}{shown(field)}",
                f"is unknown{nearest(field, known)}",
                f"known: {', '.join(known)}",
            )


def text_field(value: Mapping[str, Any], key: str, where: str = "") -> str | None:
    """Return an optional identifier.

    Raises:
        BadRequestError: it is not text of 1 to 256 characters.
    """
    text = value.get(key)
    if text is None:
        return None
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_ID:
        raise BadRequestError(
            f"{where}{key}", f"was {shown(text)}", f"must be text of 1 to {_LONGEST_ID} characters"
        )
    return text


def _input_name(tensor: Any, where: str) -> str:
    if not isinstance(tensor, dict):
        raise BadRequestError(where, f"was {shown(tensor)}", "must be a tensor object")
    check_fields(tensor, _INPUT_FIELDS, f"{where}.")
    _parameters(tensor, f"{where}.")
    name = required(tensor, "name", where)
    if not isinstance(name, str):
        raise BadRequestError(f"{where}.name", f"was {shown(name)}", "must be text")
    return name


def _parameters(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    parameters = value.get("parameters")
    place = f"{where}parameters"
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise BadRequestError(place, f"was {shown(parameters)}", "must be an object")
    known = (*_HONOURED, *(() if where else ("unit_id",)))
    check_fields(parameters, known, f"{place}.")
    for name, taken in _HONOURED.items():
        if name in parameters and not _is_one_of(parameters[name], taken):
            accepted = " or ".join(shown(v) for v in taken)
            raise BadRequestError(
                f"{place}.{name}", f"was {shown(parameters[name])}", f"must be {accepted}"
            )
    return parameters


def _is_one_of(value: Any, taken: Sequence[Any]) -> bool:
    return any(type(value) is type(one) and value == one for one in taken)  # 0 is not false


def _check_outputs(outputs: Any) -> None:
    if outputs is None:
        return
    if not isinstance(outputs, list):
        raise BadRequestError("outputs", f"was {shown(outputs)}", "must be a list")
    for index, output in enumerate(outputs):
        where = f"outputs[{index}]"
        if not isinstance(output, dict):
            raise BadRequestError(where, f"was {shown(output)}", "must be an object with a name")
        check_fields(output, _OUTPUT_FIELDS, f"{where}.")
        _parameters(output, f"{where}.")
        if required(output, "name", where) != SCORE or index:
            raise BadRequestError(
                f"{where}.name", f"was {shown(output['name'])}", f"the one output is {SCORE!r}"
            )


def _matrix(tensor: Mapping[str, Any], width: int) -> FloatMatrix:
    values = read_tensor(tensor, "inputs[0]")
    if values.ndim != 2 or values.shape[1] != width:
        raise BadRequestError(
            "inputs[0].shape", f"was {list(values.shape)}", f"must be [n, {width}]"
        )
    return values


def _columns(
    inputs: Sequence[Mapping[str, Any]], names: Sequence[str], features: Sequence[str]
) -> FloatMatrix:
    place = {feature: column for column, feature in enumerate(features)}
    seen: dict[str, FloatMatrix] = {}
    rows = 0
    for index, (name, tensor) in enumerate(zip(names, inputs, strict=True)):
        where = f"inputs[{index}]"
        if name not in place or name in seen:
            found = "was given twice" if name in seen else f"is unknown{nearest(name, features)}"
            accepted = f"one tensor {FEATURES!r}, or one per feature: {_some(features)}"
            raise BadRequestError(f"{where}.name", f"{shown(name)} {found}", accepted)
        column = read_tensor(tensor, where)
        rows = rows or len(column)
        if column.shape not in ((rows,), (rows, 1)):
            accepted = f"must be [{rows}] or [{rows}, 1], as inputs[0]"
            raise BadRequestError(f"{where}.shape", f"was {list(column.shape)}", accepted)
        seen[name] = column.reshape(rows)
    missing = [feature for feature in features if feature not in seen]
    if missing:
        raise BadRequestError(
            "inputs", f"lacked {len(missing)} features: {_some(missing)}", "every feature is needed"
        )
    values: FloatMatrix = np.column_stack([seen[feature] for feature in features])
    return values


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def json_scores(scores: NDArray[np.float64]) -> list[float | None]:
    """Return scores as JSON values; null where a model answered no number."""
    values: list[float | None] = scores.tolist()
    if np.isfinite(scores).all():
        return values
    return [value if ok else None for value, ok in zip(values, np.isfinite(scores), strict=True)]


def inference_answer(
    request: InferenceRequest,
    scores: NDArray[np.float64],
    *,
    model: str,
    version: str,
    is_simulated: bool,
) -> dict[str, Any]:
    """Return the ``$inference_response`` document."""
    parameters: dict[str, Any] = {}
    if is_simulated:
        parameters["simulated"] = True
    if request.unit_id is not None:
        parameters["unit_id"] = request.unit_id
    output = {"name": SCORE, "shape": [len(scores)], "datatype": "FP64"}
    return {
        "model_name": model,
        "model_version": version,
        **({"id": request.id} if request.id is not None else {}),
        **({"parameters": parameters} if parameters else {}),
        "outputs": [{**output, "data": json_scores(scores)}],
    }


def server_metadata(version: str) -> dict[str, Any]:
    """Return the ``$metadata_server_response`` document."""
    return {"name": "qlops", "version": version, "extensions": ["model_repository", "qlops_score"]}


def model_metadata(
    *, model: str, version: str, features: Sequence[str], platform: str, is_simulated: bool
) -> dict[str, Any]:
    """Return the ``$metadata_model_response`` document; ``parameters`` names the columns."""
    inputs = [{"name": FEATURES, "datatype": "FP32", "shape": [-1, len(features)]}]
    return {
        "name": model,
        "versions": [version],
        "platform": platform,
        "inputs": inputs,
        "outputs": [{"name": SCORE, "datatype": "FP64", "shape": [-1]}],
        "parameters": {"features": list(features), "simulated": is_simulated},
        "model_version": version,
    }
