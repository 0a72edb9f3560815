"""LightGBM as Qlib trains it, with live progress."""

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.errors import TrainingError, nearest
from qlops_assets.core.progress import Progress
from qlops_assets.models.lightgbm_predictor import LightGBMPredictor
from qlops_assets.models.trainer import FittedModel

if TYPE_CHECKING:
    from qlib.contrib.model.gbdt import LGBModel

# Qlib's benchmark configuration for Alpha158 on CSI 300:
# examples/benchmarks/LightGBM/workflow_config_lightgbm_Alpha158.yaml
DEFAULTS: Final[Mapping[str, Any]] = {
    "loss": "mse",
    "colsample_bytree": 0.8879,
    "learning_rate": 0.2,
    "subsample": 0.8789,
    "lambda_l1": 205.6999,
    "lambda_l2": 580.9768,
    "max_depth": 8,
    "num_leaves": 210,
}

_MORE: Final = (
    "bagging_freq",
    "feature_fraction",
    "bagging_fraction",
    "max_bin",
    "min_child_samples",
    "min_data_in_leaf",
    "min_gain_to_split",
    "min_sum_hessian_in_leaf",
    "extra_trees",
    "path_smooth",
    "boosting",
)

_LOSSES: Final = ("mse", "binary")

Report = Callable[[int, Mapping[str, float]], None]


class LightGBMTrainer:
    """Fits ``qlib.contrib.model.gbdt.LGBModel`` and reports every iteration."""

    def __init__(
        self,
        parameters: Mapping[str, Any],
        *,
        seed: int,
        threads: int,
        rounds: int,
        early_stopping_rounds: int,
    ) -> None:
        known = [*DEFAULTS, *_MORE]
        for name in parameters:
            if name not in known:
                raise TrainingError(
                    f"unknown LightGBM parameter {name!r}{nearest(name, known)} "
                    f"Known: {', '.join(sorted(known))}"
                )
        for name, value in (("rounds", rounds), ("early_stopping_rounds", early_stopping_rounds)):
            if value < 1:
                raise TrainingError(f"[training] {name}: was {value}, must be at least 1")
        if parameters.get("loss", "mse") not in _LOSSES:
            raise TrainingError(
                f"[training.parameters] loss: was {parameters['loss']!r}, must be one of "
                f"{', '.join(_LOSSES)}, those that Qlib's LGBModel takes"
            )
        self._parameters = {
            **DEFAULTS,
            **parameters,
            "seed": seed,
            "num_threads": threads,
            # The same data, versions and thread count give the same trees, bit for bit.
            "deterministic": True,
            "force_row_wise": True,
        }
        self._rounds, self._early = rounds, early_stopping_rounds

    def configuration(self) -> dict[str, Any]:
        """Return Qlib's task configuration of this model."""
        return {
            "class": "LGBModel",
            "module_path": "qlib.contrib.model.gbdt",
            "kwargs": {
                **self._parameters,
                "num_boost_round": self._rounds,
                "early_stopping_rounds": self._early,
            },
        }

    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit on ``train``, stop early on ``valid``.

        Raises:
            TrainingError: Qlib or LightGBM cannot train on the dataset.
        """
        curves: dict[str, list[float]] = {}

        def report(iteration: int, metrics: Mapping[str, float]) -> None:
            for name, value in metrics.items():
                curves.setdefault(name, []).append(value)
            progress.report("fit", iteration, self._rounds, metrics)

        model = self._fitted(dataset, report)
        booster = model.model
        features = _feature_names(dataset)
        best = int(booster.best_iteration) or booster.current_iteration()
        text = booster.model_to_string(num_iteration=best)
        gain = booster.feature_importance("gain", iteration=best)
        return FittedModel(
            text=text,
            format_name="lightgbm-text",
            features=features,
            curves=curves,
            importance=dict(zip(features, map(float, gain), strict=True)),
            best_iteration=best,
            iterations=len(next(iter(curves.values()), [])),
            qlib_model=model,
            predictor=LightGBMPredictor(text, features),
        )

    def _fitted(self, dataset: Any, report: Report) -> "LGBModel":
        from lightgbm.basic import LightGBMError

        try:
            model: LGBModel = _live_model_class()(
                **self._parameters, num_boost_round=self._rounds, early_stopping_rounds=self._early
            )
            model.fit(dataset, report=report)
        except LightGBMError as error:
            raise TrainingError(f"[training] LightGBM refuses: {str(error).strip()}") from error
        return model


def _feature_names(dataset: Any) -> list[str]:
    return [str(name) for name in dataset.handler.get_cols(col_set="feature")]


def _live_model_class() -> "type[LGBModel]":
    import lightgbm as lgb

    # The package prints which of its models lack their library; we want this one.
    with contextlib.redirect_stdout(io.StringIO()):
        from qlib.contrib.model.gbdt import LGBModel

    class LiveLGBModel(LGBModel):  # type: ignore[misc]
        """Qlib's model with a ``fit`` that reports while it runs.

        Qlib 0.9.7 passes its own ``callbacks`` beside ``**kwargs`` (handing in ours is a
        TypeError), logs metrics only after the fit, and to a recorder that starts an MLflow run by
        itself. Remove when a released Qlib forwards callbacks.
        """

        def fit(self, dataset: Any, report: Report) -> None:
            try:
                prepared = self._prepare_data(dataset)
            except ValueError as error:  # a segment without rows, or more than one label
                raise TrainingError(f"Qlib cannot train on this dataset: {error}") from error
            sets, names = zip(*prepared, strict=True)

            def live(env: Any) -> None:
                metrics = {f"{s}.{m}": float(v) for s, m, v, *_ in env.evaluation_result_list}
                report(env.iteration + 1, metrics)

            live.order = 5  # type: ignore[attr-defined] # before early stopping, which raises
            stop = lgb.early_stopping(
                self.early_stopping_rounds, first_metric_only=True, verbose=False
            )
            self.model = lgb.train(
                self.params,
                sets[0],
                num_boost_round=self.num_boost_round,
                valid_sets=list(sets),
                valid_names=list(names),
                callbacks=[live, stop],
            )

    return LiveLGBModel
