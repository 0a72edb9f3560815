"""Tensors of the Open Inference Protocol as JSON: read strictly, into FP32.

A tensor is ``{"name", "shape", "datatype", "data"}`` with its data row by row, flat or nested. In
floating tensors ``null`` and ``NaN`` mean missing. Everything else that is not a number of the
declared datatype is refused with the place where it stands, never converted.
"""

import math
import reprlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from qlops_assets.core.errors import BadRequestError
from qlops_assets.core.prediction import FloatMatrix

FLOATING = ("FP32", "FP64")
INTEGER_BITS = {
    **{f"INT{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}
DATATYPES = (*FLOATING, *INTEGER_BITS)

_LARGEST_SIZE = (1 << 63) - 1


def read_tensor(tensor: Mapping[str, Any], where: str) -> FloatMatrix:
    """Return a tensor's values as FP32, in its shape.

    FP64 and integers are rounded to the nearest FP32, which is what models are trained on.

    Args:
        tensor: The JSON object.
        where: Its place in the request, for error messages: ``inputs[0]``.

    Raises:
        BadRequestError: a field is missing, of the wrong type, or does not fit the others.
    """
    shape = _shape(tensor, where)
    datatype = required(tensor, "datatype", where)
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise BadRequestError(
            f"{where}.datatype", f"was {shown(datatype)}", f"must be one of {', '.join(DATATYPES)}"
        )
    flat = _flat(required(tensor, "data", where), shape, f"{where}.data")
    _check_kinds(flat, datatype, f"{where}.data")
    return _to_fp32(flat, f"{where}.data").reshape(shape)


def required(value: Mapping[str, Any], key: str, where: str = "") -> Any:
    """Return a field.

    Raises:
        BadRequestError: the object lacks it.
    """
    if key not in value:
        place = f"{where}.{key}" if where else key
        raise BadRequestError(place, "is missing", "it is required")
    return value[key]


def shown(value: Any) -> str:
    """Return a value as it appears in an error message: short, whatever it is."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return reprlib.repr(value)


def _shape(tensor: Mapping[str, Any], where: str) -> list[int]:
    shape = required(tensor, "shape", where)
    place = f"{where}.shape"
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise BadRequestError(place, f"was {shown(shape)}", "must be a list of integers")
    if len(shape) not in (1, 2):
        raise BadRequestError(place, f"had {len(shape)} dimensions", "must have 1 or 2")
    if not all(0 < size <= _LARGEST_SIZE for size in shape):
        raise BadRequestError(place, f"was {shown(shape)}", "every size must be at least 1")
    return shape


def _flat(data: Any, shape: Sequence[int], where: str) -> list[Any]:
    if not isinstance(data, list):
        raise BadRequestError(where, f"was {shown(data)}", "must be a list")
    if len(shape) > 1 and data and isinstance(data[0], list):
        return _unnested(data, shape, where)
    expected = math.prod(shape)
    if len(data) != expected:
        raise BadRequestError(
            where, f"had {len(data)} values", f"shape {list(shape)} takes {expected}"
        )
    return data


def _unnested(rows: list[Any], shape: Sequence[int], where: str) -> list[Any]:
    count, size = shape
    if len(rows) != count:
        raise BadRequestError(where, f"had {len(rows)} rows", f"shape {list(shape)} takes {count}")
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != size:
            found = f"had {len(row)} values" if isinstance(row, list) else f"was {shown(row)}"
            raise BadRequestError(f"{where}[{index}]", found, f"must be a list of {size} values")
    return list(chain.from_iterable(rows))


def _check_kinds(flat: list[Any], datatype: str, where: str) -> None:
    # The types as a set first: one pass in C tells for nearly every request that all is well.
    taken = {float, int, type(None)} if datatype in FLOATING else {int}
    if not set(map(type, flat)) <= taken:
        index = next(i for i, value in enumerate(flat) if type(value) not in taken)
        accepted = "must be a number, or null for missing"
        if datatype not in FLOATING:
            accepted = f"must be an integer, as the datatype is {datatype}"
        raise BadRequestError(f"{where}[{index}]", f"was {shown(flat[index])}", accepted)
    if datatype in FLOATING:
        return
    low, high = INTEGER_BITS[datatype]
    if min(flat) < low or max(flat) > high:
        index = next(i for i, value in enumerate(flat) if not low <= value <= high)
        raise BadRequestError(
            f"{where}[{index}]", f"was {shown(flat[index])}", f"{datatype} takes {low} to {high}"
        )


def _to_fp32(flat: list[Any], where: str) -> FloatMatrix:
    try:
        with np.errstate(over="ignore"):
            values = np.array(flat, dtype=np.float64).astype(np.float32)  # None becomes NaN
        infinite = np.isinf(values)
    except OverflowError:  # an integer beyond FP64
        infinite = np.array([value is not None and abs(value) > 3.5e38 for value in flat])
    if infinite.any():
        index = int(infinite.argmax())
        raise BadRequestError(
            f"{where}[{index}]",
            f"was {shown(flat[index])}",
            "must be a number that FP32 can hold, or null for missing",
        )
    return values
