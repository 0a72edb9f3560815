"""Documents for browsers: JSON that every parser takes."""

import json
import math
from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse


def browser_json(value: Any) -> str:
    """Return JSON text in which a number that is not finite is ``null``.

    Python writes NaN and Infinity, which no browser reads; a missing number is missing.
    """
    try:
        return json.dumps(value, allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class BrowserJSON(JSONResponse):
    """A JSON response written by :func:`browser_json`."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return browser_json(content).encode()
