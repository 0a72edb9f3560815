"""The small interface that every model we train stands behind."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from qlops_assets.core.progress import Progress
from qlops_assets.models.parameters import Parameter, checked, require_limits

_KEPT: Final = "qlops_kept_between_fits"

Report = Callable[[int, Mapping[str, float]], None]
Processors = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What a fit leaves behind.

    Attributes:
        content: The artifact, in ``format_name``; it cannot execute code.
        features: Names of the columns that it takes, in order.
        curves: Metric by name (``train.l2``, ``valid.l2``) -> one value per iteration: a tree, an
            epoch, or an evaluation of a network that is trained by steps. The first of ``train``
            and the first of ``valid`` are the loss.
        importance: What each feature adds, where the model says so: gain, or |coefficient|.
        best_iteration: The iteration that is used for predicting, counted from 1.
        iterations: How many were run before stopping.
        qlib_model: The fitted Qlib model, for predicting on a Qlib dataset.
    """

    content: bytes
    format_name: str
    features: list[str]
    curves: Mapping[str, list[float]]
    importance: Mapping[str, float]
    best_iteration: int
    iterations: int
    qlib_model: Any = field(repr=False)


class Trainer(ABC):
    """Trains one kind of Qlib model on a Qlib dataset.

    Attributes:
        title: What messages call the model.
        table: The parameters that a user can give, by name.
        processors: Qlib's processors of a model that is not told others: ``infer`` for its
            features, and ``learn`` beside them in training.
        window: How many days of an instrument one row of it takes.
        parameters: Those of the user, with defaults.
    """

    title: ClassVar[str]
    table: ClassVar[Mapping[str, Parameter]]
    processors: ClassVar[Processors]
    window = 1

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
        require_limits(rounds, early_stopping_rounds)
        self.parameters = checked(self.title, self.table, parameters)
        self.seed, self.threads = seed, threads
        self.rounds, self.patience = rounds, early_stopping_rounds

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """Return Qlib's configuration of the model, defaults included."""

    def effective(self) -> dict[str, Any]:
        """Return the parameters, with what the library takes for some that are not given."""
        return dict(self.parameters)

    def fitting(self) -> dict[str, Any]:
        """Return what beside the configuration decides the outcome of a fit."""
        return {}

    @abstractmethod
    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit on the segments ``train`` and ``valid`` of a ``qlib.data.dataset.DatasetH``.

        Raises:
            TrainingError: Qlib or its library cannot train on the dataset.
        """

    def predict(self, fitted: FittedModel, dataset: Any, segment: str) -> Any:
        """Return the scores of a segment: a pandas series by (datetime, instrument)."""
        return fitted.qlib_model.predict(dataset, segment)


class Curves:
    """Collects what an iteration measures, and reports it."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, total
        self.values: dict[str, list[float]] = {}

    @property
    def iterations(self) -> int:
        """How many iterations there were."""
        return len(next(iter(self.values.values()), []))

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a step, counted from 1, as those of one more iteration."""
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)
        self.say(step, metrics)

    def say(self, step: int, metrics: Mapping[str, float]) -> None:
        """Report a step that is no iteration of its own."""
        self._progress.report("fit", step, self._total, metrics)


def keep_between_fits(dataset: Any) -> None:
    """Have trainers keep with a dataset what they make of its segments, for the fits to come."""
    setattr(dataset, _KEPT, {})


def kept_between_fits(dataset: Any) -> MutableMapping[Any, Any] | None:
    """Return what trainers keep with a dataset; None where it is fitted once."""
    found: MutableMapping[Any, Any] | None = getattr(dataset, _KEPT, None)
    return found


def feature_names(dataset: Any) -> list[str]:
    """Return the features of a dataset, in the order of its columns."""
    return [str(name) for name in dataset.handler.get_cols(col_set="feature")]


# Qlib's own for Alpha158 and trees: missing values reach them.
TREE_PROCESSORS: Processors = {
    "infer": [],
    "learn": [
        {"class": "DropnaLabel"},
        {"class": "CSZScoreNorm", "kwargs": {"fields_group": "label"}},
    ],
}

# Qlib's own for Alpha158 and models that take no missing value:
# examples/benchmarks/MLP/workflow_config_mlp_Alpha158.yaml
DENSE_PROCESSORS: Processors = {
    "infer": [
        {"class": "RobustZScoreNorm", "kwargs": {"fields_group": "feature", "clip_outlier": True}},
        {"class": "Fillna", "kwargs": {"fields_group": "feature"}},
    ],
    "learn": [
        {"class": "DropnaLabel"},
        {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}},
    ],
}
