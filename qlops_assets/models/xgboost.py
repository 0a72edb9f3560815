"""XGBoost as Qlib trains it, with live progress."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import ArtifactError, TrainingError
from qlops_assets.core.prediction import FloatMatrix
from qlops_assets.core.progress import Progress
from qlops_assets.models.parameters import (
    DEVICE,
    Parameter,
    Search,
    ratios,
    require_device,
    share,
)
from qlops_assets.models.trainer import TREE_PROCESSORS, Curves, FittedModel, Trainer, feature_names

# The defaults are Qlib's benchmark configuration for Alpha158 on CSI 300:
# examples/benchmarks/XGBoost/workflow_config_xgboost_Alpha158.yaml
PARAMETERS: Final[Mapping[str, Parameter]] = {
    "objective": Parameter(
        str, "reg:squarederror", choices=("reg:squarederror", "reg:absoluteerror")
    ),
    "eval_metric": Parameter(str, "rmse", choices=("rmse", "mae")),
    "colsample_bytree": share(0.8879, least_tried=0.3),
    "eta": Parameter(float, 0.0421, above=0, most=1, search=ratios(0.01, 0.3)),
    "max_depth": Parameter(int, 8, least=0, search=Search(3, 10)),
    "subsample": share(0.8789, least_tried=0.4),
    "colsample_bylevel": share(),
    "colsample_bynode": share(),
    "min_child_weight": Parameter(float, least=0, search=ratios(1, 1000)),
    "gamma": Parameter(float, least=0),
    "reg_alpha": Parameter(float, least=0, search=ratios(0.001, 100)),
    "reg_lambda": Parameter(float, least=0, search=ratios(0.01, 1000)),
    "max_bin": Parameter(int, least=2),
    "max_leaves": Parameter(int, least=0),
    "grow_policy": Parameter(str, choices=("depthwise", "lossguide")),
    "device": DEVICE,
}


class XGBoostTrainer(Trainer):
    """Fits ``qlib.contrib.model.xgboost.XGBModel`` and reports every iteration."""

    title = "XGBoost"
    table, processors = PARAMETERS, TREE_PROCESSORS

    def configuration(self) -> dict[str, Any]:
        """Return Qlib's task configuration of this model."""
        return {
            "class": "XGBModel",
            "module_path": "qlib.contrib.model.xgboost",
            # Histograms on one seed and thread count give the same trees, bit for bit.
            "kwargs": {
                **self.parameters,
                "tree_method": "hist",
                "seed": self.seed,
                "nthread": self.threads,
            },
        }

    def fitting(self) -> dict[str, Any]:
        """Return what beside the configuration decides the outcome: arguments of Qlib's ``fit``."""
        return {"num_boost_round": self.rounds, "early_stopping_rounds": self.patience}

    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit on ``train``, stop early on ``valid``.

        Raises:
            TrainingError: Qlib or XGBoost cannot train on the dataset, or the GPU is absent.
        """
        require_device(self.parameters["device"])
        curves = Curves(progress, self.rounds)
        model = self._fitted(dataset, curves)
        best = int(model.model.best_iteration) + 1
        # Qlib 0.9.7 predicts with every tree, also those after the best iteration. Remove when a
        # released Qlib passes ``iteration_range``.
        model.model = model.model[:best]
        features = feature_names(dataset)
        gain = model.model.get_score(importance_type="total_gain")
        return FittedModel(
            content=bytes(model.model.save_raw("ubj")),
            format_name="xgboost-ubj",
            features=features,
            curves=curves.values,
            importance={name: float(gain.get(f"f{i}", 0.0)) for i, name in enumerate(features)},
            best_iteration=best,
            iterations=curves.iterations,
            qlib_model=model,
        )

    def _fitted(self, dataset: Any, curves: Curves) -> Any:
        import xgboost

        with contextlib.redirect_stdout(io.StringIO()):
            from qlib.contrib.model.xgboost import XGBModel

        class Live(xgboost.callback.TrainingCallback):  # type: ignore[misc]
            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                curves.add(
                    epoch + 1,
                    {
                        f"{segment}.{metric}": float(values[-1])
                        for segment, found in evals_log.items()
                        for metric, values in found.items()
                    },
                )
                return False

        model = XGBModel(**self.configuration()["kwargs"])
        found: dict[str, list[float]] = {}
        try:
            model.fit(
                dataset,
                num_boost_round=self.rounds,
                early_stopping_rounds=self.patience,
                verbose_eval=False,
                evals_result=found,  # Qlib's own default is one dict for all fits
                callbacks=[Live()],
            )
        except (ValueError, xgboost.core.XGBoostError) as error:
            reason = str(error).strip().splitlines()[0]
            raise TrainingError(f"XGBoost cannot train on this dataset: {reason}") from error
        self._add_last(curves, found)
        return model

    def _add_last(self, curves: Curves, found: Mapping[str, list[float]]) -> None:
        """Add the iteration that stopped.

        XGBoost asks its callbacks until one says so, in the order of a set: perhaps not ours.
        """
        named = {f"{segment}.{self.parameters['eval_metric']}": v for segment, v in found.items()}
        for number in range(curves.iterations, len(found["valid"])):
            curves.add(number + 1, {name: float(v[number]) for name, v in named.items()})


class XGBoostPredictor:
    """A booster that scores rows of features on one thread, as LightGBM's does."""

    window = 1

    def __init__(
        self, content: bytes, features: Sequence[str], expressions: Mapping[str, str] | None = None
    ) -> None:
        import xgboost

        self.features = list(features)
        self.expressions: Mapping[str, str] = dict(expressions or {})
        self._booster = xgboost.Booster()
        try:
            self._booster.load_model(bytearray(content))
        except xgboost.core.XGBoostError as error:
            raise ArtifactError(f"not an XGBoost model: {str(error).splitlines()[0]}") from error
        self._booster.set_param({"nthread": 1, "device": "cpu"})
        if self._booster.num_features() != len(self.features):
            raise ArtifactError(
                f"the model takes {self._booster.num_features()} features, its record names "
                f"{len(self.features)}"
            )

    def predict(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row; NaN is missing."""
        rows = np.ascontiguousarray(values)
        return np.asarray(self._booster.inplace_predict(rows), dtype=np.float64)


def load_ubj(
    content: bytes, features: Sequence[str], expressions: Mapping[str, str] | None = None
) -> XGBoostPredictor:
    """Return a predictor for a model in XGBoost's UBJSON, which holds numbers only.

    Raises:
        ArtifactError: the content is not such a model, or takes another number of features.
    """
    return XGBoostPredictor(content, features, expressions)
