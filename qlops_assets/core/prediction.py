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
        window: int = 1,
    ) -> FeatureRows:
        """Return the rows of a day, in the order asked for (all instruments where None).

        Args:
            day: The day.
            features: Their names.
            instruments: Only these.
            expressions: What features must have been computed by, of those where it can change.
            window: Days that a row takes, ending with this one. Its values are the features of the
                oldest day first, one day behind the other; a day that an instrument has no row of
                has those of the day before, or of the first that there is.

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
        window: Days that a row takes; its values are ``column_names``.
    """

    features: list[str]
    expressions: Mapping[str, str]
    window: int

    def predict(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row of ``values`` (rows × columns; NaN is missing)."""
        ...


def column_names(features: Sequence[str], window: int) -> list[str]:
    """Return the columns of rows that take so many days: ``KMID[-1]`` is of the day before."""
    if window == 1:
        return list(features)
    return [f"{name}[{1 + day - window}]" for day in range(window) for name in features]


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
