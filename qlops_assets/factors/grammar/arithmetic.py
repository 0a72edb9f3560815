"""Arithmetic between the numbers of an expression, done once, while it is read.

The numbers and their types are the ones that Python gives, since Qlib leaves them to Python.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from qlops_assets.factors.grammar.expression import Number

# A float64 holds every whole number up to here; beyond, engines could not agree.
MAX_WHOLE: Final = 2**53

_PYTHON: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
    "Power": operator.pow,
}


class NotANumberError(ValueError):
    """The result is not a number that an expression can hold; the message says why."""


def fold(name: str, left: Number, right: Number) -> Number:
    """Return what Python computes for an arithmetic operator between two numbers.

    Raises:
        NotANumberError: the operator is not arithmetic, or has no finite, real result of at most
            ±2**53 where it is whole.
    """
    if name not in _PYTHON:
        raise NotANumberError("has no field on either side")
    try:
        if name == "Power":
            _require_small_power(left, right)
        result = _PYTHON[name](left, right)
    except ZeroDivisionError:
        raise NotANumberError("divides by zero") from None
    except OverflowError:
        raise NotANumberError("is too large") from None
    if isinstance(result, complex):
        raise NotANumberError("is not a real number")
    number: Number = result
    require_bounded(number)
    return number


def require_bounded(number: Number) -> None:
    """Refuse a number that float64 does not hold.

    Raises:
        NotANumberError: it is infinite, or whole and beyond ±2**53.
    """
    if isinstance(number, int) and abs(number) > MAX_WHOLE:
        raise NotANumberError("is a whole number beyond 2**53; write it as a float, such as 1e30")
    if not math.isfinite(number):
        raise NotANumberError("is too large")


def _require_small_power(base: Number, exponent: Number) -> None:
    """Refuse a whole power before Python computes its thousands of digits."""
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1 and exponent > 53:
        raise NotANumberError("is a whole number beyond 2**53; write it as a float, such as 2.0")
