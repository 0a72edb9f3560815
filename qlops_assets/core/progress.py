"""How long work tells how far it is."""

import time
from collections.abc import Mapping
from typing import Protocol

from qlops_assets.core.journal import Journal


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
    """Progress as events of kind ``progress`` on one topic of the journal."""

    def __init__(self, journal: Journal, topic: str) -> None:
        self._journal, self._topic = journal, topic
        self._started: dict[str, float] = {}

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Append the report; ``elapsed_s`` counts from the first report of its stage."""
        started = self._started.setdefault(stage, time.monotonic())
        self._journal.append(
            self._topic,
            "progress",
            {
                "stage": stage,
                "step": step,
                "total": total,
                "metrics": dict(metrics or {}),
                "elapsed_s": round(time.monotonic() - started, 3),
            },
        )
