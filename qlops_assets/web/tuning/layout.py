"""What the page of a study shows and its JSON does not: bars, lines along time, ranges in words."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from qlops_assets.web.wording import compact


def importance_bars(importance: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return parameters with their share of the variance, the largest first.

    Returns:
        For each ``name``, ``share``, and ``length``: the share as one of the largest.
    """
    ranked = sorted(importance.items(), key=lambda item: item[1], reverse=True)
    most = max((share for _, share in ranked), default=0.0) or 1.0
    return [{"name": n, "share": s, "length": round(max(0.0, s) / most, 4)} for n, s in ranked]


def fold_lines(folds: Sequence[Mapping[str, Sequence[str]]]) -> list[dict[str, Any]]:
    """Return folds with where their parts lie between the first day and the last.

    Returns:
        For each fold the days of each part, and as shares of the whole ``start`` and ``length``. A
        study of a release that stopped by what it judged by has no ``stop``.
    """
    ends = [[date.fromisoformat(d) for d in fold[part]] for fold in folds for part in fold]
    if not ends:
        return []
    first, last = min(start for start, _ in ends), max(end for _, end in ends)
    days = (last - first).days + 1
    return [{part: _span(found, first, days) for part, found in fold.items()} for fold in folds]


def _span(ends: Sequence[str], first: date, days: int) -> dict[str, Any]:
    start, end = (date.fromisoformat(day) for day in ends)
    return {
        "from": ends[0],
        "to": ends[1],
        "start": round((start - first).days / days, 5),
        "length": round(((end - start).days + 1) / days, 5),
    }


def space_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters searched for: where, and what the recipe and the best trial have."""
    baseline = {**document["recipe"], **_searched(document, "is_baseline")}
    is_recipe = any(trial["is_best"] and trial["is_baseline"] for trial in document["trials"])
    best = baseline if is_recipe else _searched(document, "is_best")
    return [
        {
            "name": name,
            "range": _range(dimension),
            "scale": _scale(dimension),
            "baseline": baseline.get(name),
            "best": best.get(name),
        }
        for name, dimension in document["space"].items()
    ]


def _searched(document: Mapping[str, Any], mark: str) -> Mapping[str, Any]:
    found: list[Mapping[str, Any]] = [t["searched"] for t in document["trials"] if t[mark]]
    return found[0] if found else {}


def _range(dimension: Mapping[str, Any]) -> str:
    if choices := dimension.get("choices"):
        return ", ".join(compact(choice) for choice in choices)
    return f"{compact(dimension['low'])} to {compact(dimension['high'])}"


def _scale(dimension: Mapping[str, Any]) -> str:
    if "choices" in dimension:
        return "choice"
    scale = "logarithmic" if dimension.get("log") else "linear"
    return f"{scale}, whole" if dimension.get("int") else scale
