"""Progress that a test can look at afterwards."""

from collections.abc import Mapping


class Recorder:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int, int | None, dict[str, float]]] = []

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        self.reports.append((stage, step, total, dict(metrics or {})))
