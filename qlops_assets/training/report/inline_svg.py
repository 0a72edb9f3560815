"""A figure as a part of a page: no colours of its own, no clashing names, a text beside it."""

import re
from html import escape
from typing import TYPE_CHECKING

from qlops_assets.training.pictures import as_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOUR = re.compile(r"#([0-9a-f]{6})(?=[;\"])")
_NOT_NEEDED = re.compile(r"\s*<metadata>.*?</metadata>|\s*<style.*?</style>", re.DOTALL)
_FONT = re.compile(r"font-family: [^;\"]*;")
_OPENING = re.compile(r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>")


def inline_svg(figure: "Figure", *, name: str, alternative: str) -> str:
    """Return a figure as an SVG element of a page.

    1. Colours become variables of the page, ``--c-0072b2`` for ``#0072b2``, so that one drawing
       serves light, dark and print; the ground is left to the page.
    2. Ids that nothing refers to go; the others are the name and a number, since those of two
       drawings are alike, and some of Matplotlib's are others each time.
    3. Size and font are the page's; metadata and styles that would hold for the whole page go.

    Args:
        figure: Drawn by Matplotlib.
        name: Of the chart, unique on the page.
        alternative: What a reader who does not see it is told.
    """
    for axes in figure.axes:
        axes.patch.set_visible(False)
    figure.patch.set_visible(False)
    text = _FONT.sub("", _NOT_NEEDED.sub("", as_svg(figure)))
    text = _COLOUR.sub(r"var(--c-\1)", text)
    used = dict.fromkeys(re.findall(r"(?:href=\"|url\()#([^\")]+)", text))
    own = {identity: f"{name}-{number}" for number, identity in enumerate(used)}
    text = re.sub(r" id=\"([^\"]+)\"", lambda m: f' id="{own[m[1]]}"' if m[1] in own else "", text)
    text = re.sub(r"((?:href=\"|url\()#)([^\")]+)", lambda m: m[1] + own[m[2]], text)
    label = escape(alternative, quote=True)
    opening = f'role="img" aria-label="{label}">'
    return _OPENING.sub(lambda found: f"<svg {found[1]} {opening}", text, count=1)
