"""Numbers and times as the console writes them: the same everywhere, aligned in tables."""

import json
import math
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup, escape

MISSING: Final = "–"
_MINUS: Final = "\N{MINUS SIGN}"


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def count(value: Any) -> str:
    """Return a whole number with thousands apart: ``2,503,114``."""
    number = _number(value)
    return MISSING if number is None else f"{number:,.0f}"


def decimal(value: Any, digits: int = 4) -> str:
    """Return a number with fixed decimals and a true minus sign: ``0.0482``."""
    number = _number(value)
    return MISSING if number is None else f"{number:.{digits}f}".replace("-", _MINUS)


def compact(value: Any) -> str:
    """Return a parameter's value with three digits that count: ``0.0392``, ``250``, ``relu``."""
    if value is None:
        return MISSING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value if isinstance(value, str) else json.dumps(value)
    size = abs(value)
    if size < 999.5 and not isinstance(value, int):
        text = f"{value:.3g}" if size >= 1e-4 or not size else f"{value:.2e}"
        mantissa, _, power = text.partition("e")
        return (f"{mantissa}e{int(power)}" if power else text).replace("-", _MINUS)
    return f"{value:.0f}".replace("-", _MINUS)


def percent(value: Any, digits: int = 2) -> str:
    """Return a share as percent with its sign: ``+11.42 %``."""
    number = _number(value)
    if number is None:
        return MISSING
    return f"{100 * number:+.{digits}f}\N{NO-BREAK SPACE}%".replace("-", _MINUS)


def duration(value: Any) -> str:
    """Return seconds in the unit that fits: ``850 ms``, ``12.3 s``, ``2 min 05 s``."""
    seconds = _number(value)
    if seconds is None:
        return MISSING
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes(value: Any) -> str:
    """Return an amount of memory given in MB: ``812 MB``, ``1.9 GB``."""
    number = _number(value)
    if number is None:
        return MISSING
    return f"{number:.0f} MB" if number < 999.5 else f"{number / 1000:.1f} GB"


def short(value: Any) -> str:
    """Return the beginning of a digest."""
    return MISSING if value is None else str(value)[:12]


def when(value: Any) -> Markup:
    """Return a time as a ``<time>`` element in UTC; the page adds how long ago that is."""
    if value is None:
        return Markup(MISSING)
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        escape(at.isoformat(timespec="milliseconds")), f"{at:%Y-%m-%d %H:%M:%S}"
    )


FILTERS: Final = {
    "compact": compact,
    "count": count,
    "decimal": decimal,
    "percent": percent,
    "duration": duration,
    "megabytes": megabytes,
    "short": short,
    "when": when,
}
