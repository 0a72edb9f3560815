"""A factor's decay as a small drawing in its row: a bar per horizon, up or down from 0."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup, escape

from qlops_assets.web.wording import decimal

_STEP: Final = 4
_HEIGHT: Final = 22
_MARGIN: Final = 1


def sparkline(values: Sequence[float | None], horizons: Sequence[int]) -> Markup:
    """Return an SVG of one path; every row has its own scale, and 0 is always on it."""
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    low, high = min(0.0, *known), max(0.0, *known)
    scale = (_HEIGHT - 2 * _MARGIN) / (high - low or 1.0)
    zero = _MARGIN + high * scale
    bars = "".join(
        f"M{_STEP * place + _STEP / 2:g} {zero:.1f}V{_MARGIN + (high - value) * scale:.1f}"
        for place, value in enumerate(values)
        if value is not None
    )
    width = _STEP * len(values)
    first, last = next(v for v in values if v is not None), known[-1]
    words = f"Rank IC {decimal(first)} at {horizons[0]} day, {decimal(last)} at {horizons[-1]} days"
    tone = "neg" if abs(low) > high else "pos"
    return Markup(
        '<svg class="spark {}" viewBox="0 0 {} {}" width="{}" height="{}" role="img" '
        'aria-label="{}"><path class="axis" d="M0 {:.1f}H{}"/><path d="{}"/></svg>'
    ).format(tone, width, _HEIGHT, width, _HEIGHT, escape(words), zero, width, bars)
