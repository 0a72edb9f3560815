"""The slot that answers, and how another version takes its place.

A slot is a loaded, warmed model that never changes. A request takes the slot once and is answered
by it whole; replacing it is one assignment, so requests under way end on the old slot and later
ones start on the new. A version that cannot be loaded never reaches the slot.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.clock import Clock
from qlops_assets.core.errors import ArtifactError, LoadUnderWayError, QlopsError
from qlops_assets.core.prediction import (
    FeatureLookup,
    FloatMatrix,
    ModelSource,
    Predictor,
    column_names,
)

_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A version that is loaded and warmed."""

    version: str
    predictor: Predictor
    card: Mapping[str, Any]
    loaded_at: datetime

    def scores(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row."""
        # LightGBM copies, with a warning, a single row that is a column-major view.
        return self.predictor.predict(np.ascontiguousarray(values))

    @property
    def columns(self) -> list[str]:
        """Names of the columns of its rows."""
        return column_names(self.predictor.features, self.predictor.window)

    @property
    def is_simulated(self) -> bool:
        """Whether the model was trained on the simulated market."""
        return self.card.get("simulated") is True

    @property
    def platform(self) -> str:
        """What the protocol calls the platform: the artifact's format."""
        return str(self.card.get("format", "qlops"))


class Slots:
    """The current slot of a server; safe to share between threads."""

    def __init__(
        self,
        models: ModelSource,
        features: FeatureLookup,
        clock: Clock,
        *,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self._models, self._features, self._clock = models, features, clock
        self._wait_seconds = wait_seconds  # a load waits so long for one that is under way
        self._loading = threading.Lock()
        self._current: Slot | None = None
        self.reason = "no version is live here; load one"

    @property
    def current(self) -> Slot | None:
        """The slot that answers now, or None before the first load."""
        return self._current

    def load_first(self, environment: str, version: str | None = None) -> Slot | None:
        """Load the version given, else the environment's live one, else stay empty.

        A version that somebody loaded meanwhile stays: it is the newer decision.

        Raises:
            QlopsError: it cannot be loaded; ``reason`` then says why the server is not ready.
        """
        with self._one_load(version or "the first version"):
            if self._current is not None:
                return self._current
            try:
                first = version or self._models.live_version(environment)
                self._current = self._prepare(first) if first else None
            except QlopsError as error:
                self.reason = str(error)
                raise
            return self._current

    def load(self, version: str) -> Slot:
        """Load a version beside the current one, warm it, then let it answer.

        The artifact is verified again on every load, also of a version that served before.

        Raises:
            UnknownModelError: no such version.
            ArtifactError: the artifact is missing, altered, or does not predict.
            LoadUnderWayError: another load did not end in time.
        """
        with self._one_load(version):
            slot = self._prepare(version)
            self._current = slot
            return slot

    @contextmanager
    def _one_load(self, version: str) -> Iterator[None]:
        if not self._loading.acquire(timeout=self._wait_seconds):
            raise LoadUnderWayError(version)
        try:
            yield
        finally:
            self._loading.release()

    def _prepare(self, version: str) -> Slot:
        try:
            predictor = self._models.load(version)
            card = self._models.describe(version)
        except (OSError, ValueError, TypeError, KeyError) as error:
            # A damaged record beside the artifact shows as any of these.
            raise ArtifactError(f"model {version} cannot be loaded: {error!r}") from error
        slot = Slot(version, predictor, card, self._clock.now())
        scores = slot.scores(self._warm_row(predictor))
        if scores.shape != (1,) or not np.isfinite(scores).all():
            raise ArtifactError(
                f"model {version} answered {scores.tolist()} for one row; must be one number"
            )
        return slot

    def _warm_row(self, predictor: Predictor) -> FloatMatrix:
        try:
            newest = self._features.last_date()
            if newest is not None:
                rows = self._features.rows(
                    newest,
                    predictor.features,
                    expressions=predictor.expressions,
                    window=predictor.window,
                )
                if len(rows.instruments):
                    return rows.values[:1]
        except QlopsError:
            pass  # the model can answer without the store; /v1/score says what is wrong with it
        width = len(predictor.features) * predictor.window
        return np.full((1, width), np.nan, dtype=np.float32)
