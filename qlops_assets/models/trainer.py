"""The small interface that every model we train stands behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from qlops_assets.core.prediction import Predictor
from qlops_assets.core.progress import Progress


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What a fit leaves behind.

    Attributes:
        text: The artifact, in ``format_name``.
        curves: Metric by name (``train.l2``, ``valid.l2``) -> one value per iteration.
        importance: Gain by feature.
        best_iteration: The iteration that is used for predicting, counted from 1.
        iterations: How many were run before stopping.
        qlib_model: The fitted Qlib model, for predicting on a Qlib dataset.
    """

    text: str
    format_name: str
    features: list[str]
    curves: Mapping[str, list[float]]
    importance: Mapping[str, float]
    best_iteration: int
    iterations: int
    qlib_model: Any = field(repr=False)
    predictor: Predictor = field(repr=False)


class Trainer(Protocol):
    """Trains one kind of Qlib model on a Qlib dataset."""

    def __init__(
        self,
        parameters: Mapping[str, Any],
        *,
        seed: int,
        threads: int,
        rounds: int,
        early_stopping_rounds: int,
    ) -> None:
        """Check the parameters.

        Raises:
            TrainingError: a parameter is unknown or out of range.
        """
        ...

    def configuration(self) -> dict[str, Any]:
        """Return the full configuration, defaults included, as it goes into the model's spec."""
        ...

    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit on the segments ``train`` and ``valid`` of a ``qlib.data.dataset.DatasetH``."""
        ...
