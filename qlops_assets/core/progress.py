"""How long work tells how far it is."""

import math
import time
from collections.abc import Mapping
from typing import Final, Protocol

from qlops_assets.core.journal import Journal

_EVERY_S: Final = 0.2


class Progress(Protocol):
    """Takes reports of long work: a stage, a step of a total, and numbers by name."""

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Say that ``stage`` has done ``step`` of ``total`` steps (None where unknown)."""
        ...


class Unreported:
    """Progress that nobody watches."""

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Do nothing."""


class JournalProgress:
    """Progress as events of kind ``progress`` on one topic of the journal.

    Every report with metrics is an event. Of those that only count, as of months or files, the
    first and the last of a stage are, and what is between them five times a second at most: an
    event takes longer than many a month.
    """

    def __init__(self, journal: Journal, topic: str) -> None:
        self._journal, self._topic = journal, topic
        self._started: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Append the report; ``elapsed_s`` counts from the first report of its stage."""
        now = time.monotonic()
        started = self._started.setdefault(stage, now)
        only_counts = total is not None and step < total and not metrics
        if only_counts and now - self._told.get(stage, -math.inf) < _EVERY_S:
            return
        self._told[stage] = now
        self._journal.append(
            self._topic,
            "progress",
            {
                "stage": stage,
                "step": step,
                "total": total,
                "metrics": dict(metrics or {}),
                "elapsed_s": round(now - started, 3),
            },
        )
