"""What the model server needs from other rooms, as protocols and plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatMatrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Feature rows of one day: one row of ``values`` per instrument, one column per feature."""

    date: date
    instruments: list[str]
    values: FloatMatrix


class FeatureLookup(Protocol):
    """Finds the feature rows that a model scores."""

    def rows(
        self,
        day: date,
        features: Sequence[str],
        instruments: Sequence[str] | None = None,
        *,
        expressions: Mapping[str, str] | None = None,
    ) -> FeatureRows:
        """Return the rows of a day, in the order asked for (all instruments where None).

        Args:
            day: The day.
            features: Their names.
            instruments: Only these.
            expressions: What features must have been computed by, of those where it can change.

        Raises:
            DatasetMissingError: there are no rows for that day.
            FeatureDefinitionError: a feature of that day was computed by another expression.
        """
        ...

    def last_date(self) -> date | None:
        """Return the newest day that has rows, or None where there is none."""
        ...


class Predictor(Protocol):
    """A loaded model: features in, one score per row out.

    Attributes:
        features: Names of its columns, in order.
        expressions: What those among them that a user defined were computed by when it was trained.
    """

    features: list[str]
    expressions: Mapping[str, str]

    def predict(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row of ``values`` (rows × features; NaN is missing)."""
        ...


class ModelSource(Protocol):
    """Finds registered models and loads their artifacts safely."""

    def live_version(self, environment: str) -> str | None:
        """Return the version that the environment serves, or None."""
        ...

    def load(self, version: str) -> Predictor:
        """Load a version's artifact after verifying its SHA-256.

        Raises:
            UnknownModelError: no such version.
            ArtifactError: the artifact is missing, altered, or of an unsafe format.
        """
        ...

    def describe(self, version: str) -> dict[str, Any]:
        """Return the version's card: state, metrics, data version, library versions."""
        ...
