"""What a server counts, in Prometheus's words.

Labels are bounded: the model and version served, the arm, the status code; never a request, a
person or an instrument. Each server has its own registry, so two in one process do not mix.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from qlops_assets.serving.slots import Slot, Slots

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE = CONTENT_TYPE_LATEST
UNKNOWN = "unknown"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_ROWS = (1, 5, 10, 50, 100, 300, 1_000, 5_000, 20_000, 100_000)


class ServerMetrics:
    """The counters of one model server."""

    def __init__(
        self, *, environment: str, model: str, slots: Slots, in_flight: Callable[[], int]
    ) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "qlops_infer_requests_total",
            "Requests to infer and score, by answer",
            ["model", "version", "arm", "code"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "qlops_infer_duration_seconds",
            "Time from the first byte read to the answer, for requests that were answered",
            ["model", "version", "arm"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch = Histogram(
            "qlops_infer_batch_size",
            "Rows scored per request",
            ["model"],
            buckets=_ROWS,
            registry=self._registry,
        )
        gauge = Gauge(
            "qlops_infer_in_flight", "Requests being answered now", registry=self._registry
        )
        gauge.set_function(in_flight)
        self._registry.register(_ModelInfo(environment, model, slots))

    def record(
        self, *, model: str, version: str, arm: str, code: int, seconds: float, rows: int
    ) -> None:
        """Count one request; its duration and size only where it was answered."""
        self._requests.labels(model, version, arm, str(code)).inc()
        if rows:
            self._duration.labels(model, version, arm).observe(seconds)
            self._batch.labels(model).observe(rows)

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self._registry)


class _ModelInfo(Collector):
    """``qlops_model_info``: 1 for the version that answers, read when it is scraped."""

    def __init__(self, environment: str, model: str, slots: Slots) -> None:
        self._environment, self._model, self._slots = environment, model, slots

    def collect(self) -> "Iterator[Metric]":
        family = GaugeMetricFamily(
            "qlops_model_info",
            "The model version that answers",
            labels=["environment", "model", "version", "data_version", "simulated"],
        )
        slot = self._slots.current
        if slot is not None:
            family.add_metric(self._labels(slot), 1.0)
        yield family

    def _labels(self, slot: Slot) -> list[str]:
        data_version = str(slot.card.get("data_version", UNKNOWN))
        simulated = str(slot.is_simulated).lower()
        return [self._environment, self._model, slot.version, data_version, simulated]
