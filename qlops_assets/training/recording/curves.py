"""The curves of an attempt as metrics by step."""

from collections.abc import Mapping
from typing import Any, Final

from qlops_assets.core.trainings.history import Attempt, Curve

# A plot shows no more, and each point costs a tenth of a millisecond; the whole is in a file.
_MOST_STEPS: Final = 1000


def curve_metrics(attempt: Attempt) -> list[tuple[str, float, int]]:
    """Return the metrics of the fit as (name, value, step).

    Names are Qlib's, ``l2.valid`` for our ``valid.l2``. Steps count from 1. Of a long fit every
    n-th step is among them, and the last and the best.
    """
    if attempt.curve is None:
        return []
    curve = attempt.curve[1]
    chosen = _chosen(curve)
    return [
        (qlib_name(name), value, curve.steps[place])
        for name, values in curve.values.items()
        for place in chosen
        if (value := values[place]) is not None
    ]


def whole_curves(attempt: Attempt) -> Mapping[str, Any] | None:
    """Return every step of the curves as a document, None where there are none."""
    if attempt.curve is None:
        return None
    stage, curve = attempt.curve
    values = {qlib_name(name): values for name, values in curve.values.items()}
    return {"stage": stage, "steps": curve.steps, "metrics": values}


def qlib_name(name: str) -> str:
    """Return a metric's name as Qlib's models log it: the metric, then the segment."""
    segment, _, metric = name.partition(".")
    return f"{metric}.{segment}".replace("@", "_") if metric else name


def _chosen(curve: Curve) -> list[int]:
    """Return the places of the steps that are logged."""
    places = range(len(curve.steps))
    if len(places) <= _MOST_STEPS:
        return list(places)
    if curve.loss is None:
        looked_at = list(places)
    else:  # where validation was looked at: train without valid would tell nothing
        looked_at = [p for p in places if curve.values[curve.loss][p] is not None]
    stride = -(-len(looked_at) // _MOST_STEPS)
    chosen = {*looked_at[::stride], places[-1]}
    if (best := curve.best()) is not None:
        chosen.add(curve.steps.index(best[0]))
    return sorted(chosen)
