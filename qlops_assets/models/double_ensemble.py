"""Double Ensemble as Qlib trains it: LightGBM models that re-weight samples and choose features.

Source: Zhang et al. 2020, *DoubleEnsemble*, as ``qlib.contrib.model.double_ensemble`` has it.
"""

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
from qlops_assets.models.lightgbm import PARAMETERS as TREES
from qlops_assets.models.lightgbm import reporting, reproducible
from qlops_assets.models.lightgbm_predictor import LightGBMPredictor
from qlops_assets.models.parameters import Parameter, Search
from qlops_assets.models.random_state import drawing
from qlops_assets.models.trainer import TREE_PROCESSORS, Curves, FittedModel, Trainer, feature_names

# The defaults are Qlib's benchmark configuration for Alpha158 on CSI 300:
# examples/benchmarks/DoubleEnsemble/workflow_config_doubleensemble_Alpha158.yaml
PARAMETERS: Final[Mapping[str, Parameter]] = {
    **{name: one for name, one in TREES.items() if name != "loss"},
    "num_models": Parameter(int, 3, least=1, most=20, search=Search(2, 6)),
    "enable_sr": Parameter(bool, default=True),
    "enable_fs": Parameter(bool, default=True),
    "alpha1": Parameter(float, 1.0, least=0),
    "alpha2": Parameter(float, 1.0, least=0),
    "bins_sr": Parameter(int, 10, least=2),
    "bins_fs": Parameter(int, 5, least=5, most=5),
    "decay": Parameter(float, 0.5, above=0, most=1, search=Search(0.3, 1.0)),
}
_SAMPLE_RATIOS: Final = (0.8, 0.7, 0.6, 0.5, 0.4)


class DoubleEnsembleTrainer(Trainer):
    """Fits ``qlib.contrib.model.double_ensemble.DEnsembleModel`` and reports every tree."""

    title = "Double Ensemble"
    table, processors = PARAMETERS, TREE_PROCESSORS

    def configuration(self) -> dict[str, Any]:
        """Return Qlib's task configuration of this model."""
        return {
            "class": "DEnsembleModel",
            "module_path": "qlib.contrib.model.double_ensemble",
            "kwargs": {
                **self.parameters,
                **reproducible(self.seed, self.threads),
                "base_model": "gbm",
                "loss": "mse",
                "sample_ratios": list(_SAMPLE_RATIOS),
                "verbosity": -1,
                "epochs": self.rounds,
                "early_stopping_rounds": self.patience,
            },
        }

    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit one model after the other on ``train``; each stops early on ``valid``.

        The curves are those of the models one behind the other, and the best iteration is the last
        one's.

        Raises:
            TrainingError: Qlib or LightGBM cannot train on the dataset.
        """
        from lightgbm.basic import LightGBMError

        curves = Curves(progress, self.rounds * self.parameters["num_models"])
        model = _live_class()(curves, **self.configuration()["kwargs"])
        try:
            with drawing(self.seed), contextlib.redirect_stdout(io.StringIO()):
                model.fit(dataset)
        except (LightGBMError, ValueError) as error:
            raise TrainingError(
                f"Double Ensemble cannot train on this dataset: {str(error).strip()}"
            ) from error
        features = feature_names(dataset)
        return FittedModel(
            content=json.dumps(_document(model, features)).encode(),
            format_name="double-ensemble-json",
            features=features,
            curves=curves.values,
            importance=_importance(model, features),
            best_iteration=model.begins[-1] + _best(model.ensemble[-1]),
            iterations=curves.iterations,
            qlib_model=model,
        )


def _best(booster: Any) -> int:
    return int(booster.best_iteration) or int(booster.current_iteration())


def _places(model: Any, features: Sequence[str]) -> list[list[int]]:
    place = {name: number for number, name in enumerate(features)}
    return [[place[str(name)] for name in names] for names in model.sub_features]


def _document(model: Any, features: Sequence[str]) -> dict[str, Any]:
    return {
        "models": [
            {
                "text": booster.model_to_string(num_iteration=_best(booster)),
                "features": places,
                "weight": float(weight),
            }
            for booster, places, weight in zip(
                model.ensemble, _places(model, features), model.sub_weights, strict=True
            )
        ]
    }


def _importance(model: Any, features: Sequence[str]) -> dict[str, float]:
    total = np.zeros(len(features))
    for booster, places, weight in zip(
        model.ensemble, _places(model, features), model.sub_weights, strict=True
    ):
        total[places] += weight * booster.feature_importance("gain", iteration=_best(booster))
    return dict(zip(features, total.tolist(), strict=True))


def _live_class() -> type[Any]:
    import lightgbm as lgb
    import pandas as pd

    with contextlib.redirect_stdout(io.StringIO()):
        from qlib.contrib.model.double_ensemble import DEnsembleModel

    class LiveDEnsembleModel(DEnsembleModel):  # type: ignore[misc]
        """Qlib's model that reports, and gives the same again for the same seed.

        Qlib 0.9.7 keeps chosen features in a set, whose order is another in every process. Remove
        what is overridden when a released Qlib takes callbacks and sorts them.
        """

        def __init__(self, curves: Curves, **parameters: Any) -> None:
            super().__init__(**parameters)
            self._curves, self.begins = curves, list[int]()

        def fit(self, dataset: Any) -> None:
            state = np.random.get_state()  # the generator that Qlib takes
            np.random.seed(self.params["seed"])
            try:
                super().fit(dataset)
            finally:
                np.random.set_state(state)

        def train_submodel(self, df_train: Any, df_valid: Any, weights: Any, features: Any) -> Any:
            train, valid = self._prepare_data_gbm(df_train, df_valid, weights, features)
            before = self._curves.iterations
            self.begins.append(before)
            stop = lgb.early_stopping(self.early_stopping_rounds, verbose=False)
            return lgb.train(
                self.params,
                train,
                self.epochs,
                valid_sets=[train, valid],
                valid_names=["train", "valid"],
                callbacks=[reporting(self._curves.add, before), stop],
            )

        def feature_selection(self, df_train: Any, loss_values: Any) -> Any:
            chosen = set(super().feature_selection(df_train, loss_values))
            return pd.Index([name for name in df_train["feature"].columns if name in chosen])

    return LiveDEnsembleModel


class DoubleEnsemblePredictor:
    """The weighted mean of LightGBM models, each with features of its own."""

    window = 1

    def __init__(
        self,
        parts: Sequence[tuple[LightGBMPredictor, Sequence[int], float]],
        features: Sequence[str],
        expressions: Mapping[str, str] | None = None,
    ) -> None:
        self._parts = list(parts)
        self.features = list(features)
        self.expressions: Mapping[str, str] = dict(expressions or {})

    def predict(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row."""
        total = np.zeros(len(values))
        for predictor, places, weight in self._parts:
            total += predictor.predict(values[:, places]) * weight
        mean: NDArray[np.float64] = total / sum(weight for *_, weight in self._parts)
        return mean


def load_json(
    content: bytes, features: Sequence[str], expressions: Mapping[str, str] | None = None
) -> DoubleEnsemblePredictor:
    """Return a predictor for stored models.

    Raises:
        ArtifactError: the content is no such document, or names features that there are not.
    """
    try:
        models = json.loads(content)["models"]
        parts = [
            (
                LightGBMPredictor(one["text"], [features[place] for place in one["features"]]),
                [int(place) for place in one["features"]],
                float(one["weight"]),
            )
            for one in models
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ArtifactError(f"not a Double Ensemble model: {error!r}") from error
    if not parts:
        raise ArtifactError("not a Double Ensemble model: it holds no model")
    return DoubleEnsemblePredictor(parts, features, expressions)
