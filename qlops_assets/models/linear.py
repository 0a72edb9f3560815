"""Linear regression as Qlib fits it: OLS, non-negative, ridge or lasso."""

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import ArtifactError, TrainingError
from qlops_assets.core.prediction import FloatMatrix
from qlops_assets.core.progress import Progress
from qlops_assets.models.parameters import Parameter, one_of, ratios
from qlops_assets.models.trainer import (
    DENSE_PROCESSORS,
    Curves,
    FittedModel,
    Trainer,
    feature_names,
)

# Qlib's: examples/benchmarks/Linear/workflow_config_linear_Alpha158.yaml
PARAMETERS: Final[Mapping[str, Parameter]] = {
    "estimator": Parameter(
        str, "ols", choices=("ols", "nnls", "ridge", "lasso"), search=one_of("ridge")
    ),
    "alpha": Parameter(float, least=0, search=ratios(0.1, 100_000)),
    "fit_intercept": Parameter(bool, default=False),
}
_PENALISED: Final = ("ridge", "lasso")


class LinearTrainer(Trainer):
    """Fits ``qlib.contrib.model.linear.LinearModel``; its one step is one iteration."""

    title = "linear"
    table, processors = PARAMETERS, DENSE_PROCESSORS

    def __init__(self, parameters: Mapping[str, Any], **limits: int) -> None:
        super().__init__(parameters, **limits)
        estimator, alpha = self.parameters["estimator"], self.parameters.get("alpha", 0)
        if bool(alpha) != (estimator in _PENALISED):
            raise TrainingError(
                f"[training.parameters] alpha: was {alpha}, must be "
                + ("above 0" if estimator in _PENALISED else "left out")
                + f" with estimator {estimator!r}"
            )

    def configuration(self) -> dict[str, Any]:
        """Return Qlib's task configuration of this model."""
        return {
            "class": "LinearModel",
            "module_path": "qlib.contrib.model.linear",
            "kwargs": dict(self.parameters),
        }

    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit on ``train``; ``valid`` only tells how good that was.

        Raises:
            TrainingError: Qlib cannot train on the dataset.
        """
        with contextlib.redirect_stdout(io.StringIO()):
            from qlib.contrib.model.linear import LinearModel

        model = LinearModel(**self.parameters)
        try:
            model.fit(dataset)
        except ValueError as error:
            raise TrainingError(f"Qlib cannot train on this dataset: {error}") from error
        curves = Curves(progress, 1)
        losses = {f"{name}.mse": _loss(model, dataset, name) for name in ("train", "valid")}
        curves.add(1, losses)
        features = feature_names(dataset)
        coefficients = np.asarray(model.coef_, np.float64)
        document = {
            "coefficients": coefficients.tolist(),
            "intercept": float(model.intercept_),
        }
        return FittedModel(
            content=json.dumps(document).encode(),
            format_name="linear-json",
            features=features,
            curves=curves.values,
            importance=dict(zip(features, np.abs(coefficients).tolist(), strict=True)),
            best_iteration=1,
            iterations=1,
            qlib_model=model,
        )


def _loss(model: Any, dataset: Any, segment: str) -> float:
    from qlib.data.dataset.handler import DataHandlerLP

    rows = dataset.prepare(
        segment, col_set=["feature", "label"], data_key=DataHandlerLP.DK_L
    ).dropna()
    if rows.empty:
        raise TrainingError(f"segment {segment!r}: every row lacks its label or a feature")
    scores = rows["feature"].to_numpy() @ model.coef_ + model.intercept_
    return float(np.mean((scores - rows["label"].to_numpy()[:, 0]) ** 2))


class LinearPredictor:
    """Coefficients and an intercept."""

    window = 1

    def __init__(
        self,
        coefficients: NDArray[np.float64],
        intercept: float,
        features: Sequence[str],
        expressions: Mapping[str, str] | None = None,
    ) -> None:
        self._coefficients, self._intercept = coefficients, intercept
        self.features = list(features)
        self.expressions: Mapping[str, str] = dict(expressions or {})

    def predict(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row."""
        return values.astype(np.float64) @ self._coefficients + self._intercept


def load_json(
    content: bytes, features: Sequence[str], expressions: Mapping[str, str] | None = None
) -> LinearPredictor:
    """Return a predictor for stored coefficients.

    Raises:
        ArtifactError: the content is no such document, or of another number of features.
    """
    try:
        document = json.loads(content)
        coefficients = np.asarray(document["coefficients"], np.float64)
        intercept = float(document["intercept"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"not a linear model: {error}") from error
    if coefficients.shape != (len(features),):
        raise ArtifactError(
            f"the model takes {coefficients.size} features, its record names {len(features)}"
        )
    return LinearPredictor(coefficients, intercept, features, expressions)
