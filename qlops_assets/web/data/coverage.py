"""Rows per month as a drawing: holes, thin months and what waits to be built are seen at once."""

from collections.abc import Collection, Mapping
from typing import Final

from markupsafe import Markup

from qlops_assets.core.months import months_between
from qlops_assets.web.wording import count

_WIDTH: Final = 1000
_HEIGHT: Final = 96


def coverage(rows: Mapping[str, int], stale: Collection[str]) -> Markup:
    """Return an SVG with a bar per month; months to be built are drawn in another tone.

    Args:
        rows: Month -> rows of its bars.
        stale: Months whose bars are not those of the present files.
    """
    known = sorted({*rows, *stale})
    if not known:
        return Markup("")
    months = months_between(known[0], known[-1])
    most = max([1, *rows.values()])
    step = _WIDTH / len(months)
    parts = [
        _bar(m, rows.get(m, 0), place=place, step=step, most=most, is_stale=m in stale)
        for place, m in enumerate(months)
    ]
    return Markup(
        '<svg class="coverage" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>{}'
    ).format(_WIDTH, _HEIGHT, _words(rows, months, stale), Markup("").join(parts), _years(months))


def _bar(month: str, rows: int, *, place: float, step: float, most: int, is_stale: bool) -> Markup:
    left, share = place * step, rows / most
    height = max(share * _HEIGHT, 2.0 if rows or is_stale else 0.0)
    said = f"{month}: {count(rows) if rows else 'no'} rows{', to be built' if is_stale else ''}"
    return Markup(
        '<g class="{}"><title>{}</title><rect class="reach" x="{:.2f}" width="{:.2f}" height="{}"/>'
        '<rect class="bar" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/></g>'
    ).format(
        "stale" if is_stale else "built",
        said,
        left,
        step,
        _HEIGHT,
        left + step * 0.1,
        _HEIGHT - height,
        step * 0.8,
        height,
    )


def _years(months: list[str]) -> Markup:
    """Return the years below the bars, as many as have room."""
    starts = [(place, m[:4]) for place, m in enumerate(months) if m.endswith("-01") or place == 0]
    every = max(1, len(starts) // 12)
    labels = Markup("").join(
        Markup('<text x="{:.2f}%" y="13">{}</text>').format(100 * place / len(months), year)
        for place, year in starts[::every]
    )
    return Markup('<svg class="years" height="18" aria-hidden="true">{}</svg>').format(labels)


def _words(rows: Mapping[str, int], months: list[str], stale: Collection[str]) -> str:
    holes = len(months) - len(rows)
    return (
        f"{count(sum(rows.values()))} rows in {len(rows)} months from {months[0]} to {months[-1]}; "
        f"{holes} months without rows, {len(stale)} to be built"
    )
