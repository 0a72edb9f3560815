"""The stages of an attempt along time."""

from datetime import datetime
from typing import Any, Final

from qlops_assets.core.trainings.history import Attempt, Stage

_LEAST_SHARE: Final = 0.004  # of the width, so that a short stage is seen


def timeline(attempt: Attempt, end: datetime) -> list[dict[str, Any]]:
    """Return the stages in their order, with where each lies between start and end.

    Args:
        attempt: The attempt.
        end: The present, or when it was last heard of.

    Returns:
        For each stage its asset, ``seconds``, and as shares of the whole ``start`` and ``length``.
    """
    whole = max((end - attempt.at).total_seconds(), 1e-3)
    return [_line(stage, attempt.at, end, whole) for stage in attempt.stages]


def _line(stage: Stage, first: datetime, end: datetime, whole: float) -> dict[str, Any]:
    seconds = max(0.0, ((stage.ended_at or end) - stage.at).total_seconds())
    start = min(1.0 - _LEAST_SHARE, max(0.0, (stage.at - first).total_seconds() / whole))
    return {
        "stage": stage.name,
        "asset": stage.step_name,
        "started_at": stage.at.isoformat(),
        "seconds": seconds,
        "is_open": stage.ended_at is None,
        "step": stage.step,
        "total": stage.total,
        "start": round(start, 5),
        "length": round(max(_LEAST_SHARE, min(seconds / whole, 1.0 - start)), 5),
    }
