"""LightGBM as Qlib trains it, with live progress."""

import contextlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Progress
from qlops_assets.models.parameters import Parameter, Search, ratios, share
from qlops_assets.models.trainer import (
    TREE_PROCESSORS,
    Curves,
    FittedModel,
    Report,
    Trainer,
    feature_names,
    kept_between_fits,
)

if TYPE_CHECKING:
    from qlib.contrib.model.gbdt import LGBModel

BOOSTING: Final[Mapping[str, Parameter]] = {
    "bagging_freq": Parameter(int, least=0),
    "feature_fraction": share(),
    "bagging_fraction": share(),
    "max_bin": Parameter(int, least=2),
    "min_child_samples": Parameter(int, least=0),
    "min_data_in_leaf": Parameter(int, least=0, search=ratios(20, 2000)),
    "min_gain_to_split": Parameter(float, least=0),
    "min_sum_hessian_in_leaf": Parameter(float, least=0),
    "extra_trees": Parameter(bool),
    "path_smooth": Parameter(float, least=0),
}
# The defaults are Qlib's benchmark configuration for Alpha158 on CSI 300:
# examples/benchmarks/LightGBM/workflow_config_lightgbm_Alpha158.yaml
PARAMETERS: Final[Mapping[str, Parameter]] = {
    "loss": Parameter(str, "mse", choices=("mse", "binary")),
    "colsample_bytree": share(0.8879, least_tried=0.3),
    "learning_rate": Parameter(float, 0.2, above=0, search=ratios(0.01, 0.3)),
    "subsample": share(0.8789),
    "lambda_l1": Parameter(float, 205.6999, least=0, search=ratios(0.01, 1000)),
    "lambda_l2": Parameter(float, 580.9768, least=0, search=ratios(0.01, 1000)),
    "max_depth": Parameter(int, 8, search=Search(3, 12)),
    "num_leaves": Parameter(int, 210, least=2, search=ratios(8, 512)),
    "boosting": Parameter(str, choices=("gbdt", "dart", "rf")),
    **BOOSTING,
}

# What decides how LightGBM bins a feature, and what makes it the same on every run.
_BINNING: Final = ("max_bin", "seed", "deterministic", "num_threads", "verbosity")
_LEAST: Final = "min_data_in_leaf"
_LEAST_NAMES: Final = (_LEAST, "min_child_samples")  # one parameter under two names
_LEAST_DEFAULT: Final = 20  # LightGBM's


class LightGBMTrainer(Trainer):
    """Fits ``qlib.contrib.model.gbdt.LGBModel`` and reports every iteration."""

    title = "LightGBM"
    table, processors = PARAMETERS, TREE_PROCESSORS

    def configuration(self) -> dict[str, Any]:
        """Return Qlib's task configuration of this model."""
        return {
            "class": "LGBModel",
            "module_path": "qlib.contrib.model.gbdt",
            "kwargs": {
                **self.parameters,
                **reproducible(self.seed, self.threads),
                "num_boost_round": self.rounds,
                "early_stopping_rounds": self.patience,
            },
        }

    def effective(self) -> dict[str, Any]:
        """Return the parameters, ``min_data_in_leaf`` among them, which tuning looks for."""
        given = [self.parameters[name] for name in _LEAST_NAMES if name in self.parameters]
        return {**self.parameters, _LEAST: [*given, _LEAST_DEFAULT][0]}

    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit on ``train``, stop early on ``valid``.

        Raises:
            TrainingError: Qlib or LightGBM cannot train on the dataset.
        """
        curves = Curves(progress, self.rounds)
        model = self._fitted(dataset, curves.add)
        booster = model.model
        features = feature_names(dataset)
        best = int(booster.best_iteration) or booster.current_iteration()
        gain = booster.feature_importance("gain", iteration=best)
        return FittedModel(
            content=booster.model_to_string(num_iteration=best).encode(),
            format_name="lightgbm-text",
            features=features,
            curves=curves.values,
            importance=dict(zip(features, map(float, gain), strict=True)),
            best_iteration=best,
            iterations=curves.iterations,
            qlib_model=model,
        )

    def _fitted(self, dataset: Any, report: Report) -> "LGBModel":
        from lightgbm.basic import LightGBMError

        try:
            model: LGBModel = _live_model_class()(**self.configuration()["kwargs"])
            model.fit(dataset, report=report)
        except LightGBMError as error:
            raise TrainingError(f"[training] LightGBM refuses: {str(error).strip()}") from error
        return model


def reproducible(seed: int, threads: int) -> dict[str, Any]:
    """Return what makes LightGBM give the same trees, bit for bit, for data, versions, threads."""
    given = {"seed": seed, "num_threads": threads}
    return {**given, "deterministic": True, "force_col_wise": True}


def reporting(report: Report, before: int = 0) -> Any:
    """Return LightGBM's callback that reports every iteration.

    Args:
        report: Told the iteration and its metrics.
        before: Iterations of earlier boosters of the same training.
    """

    def live(env: Any) -> None:
        metrics = {f"{s}.{m}": float(v) for s, m, v, *_ in env.evaluation_result_list}
        report(before + env.iteration + 1, metrics)

    live.order = 5  # type: ignore[attr-defined] # before early stopping, which raises
    return live


def _segments_of(dataset: Any, params: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """Return LightGBM's data of ``train`` and ``valid``.

    Binning features takes two fifths of a short fit. Where a dataset is fitted many times it is
    done once for all parameters but ``max_bin``. LightGBM leaves out features that it cannot split
    into leaves of ``min_data_in_leaf`` rows; here those that it cannot split by the default or
    less: the trees are the same but where a feature is nearly constant.
    """
    kept = kept_between_fits(dataset)
    if kept is None:
        return [(_data_of(dataset, segment), segment) for segment in ("train", "valid")]
    least = min([_LEAST_DEFAULT, *(params[name] for name in _LEAST_NAMES if name in params)])
    binning = {**{name: params[name] for name in _BINNING if name in params}, _LEAST: least}
    key = ("lightgbm", *binning.items())
    if key not in kept:
        kept.clear()
        train = _data_of(dataset, "train", params=binning).construct()
        valid = _data_of(dataset, "valid", params=binning, reference=train).construct()
        kept[key] = [(train, "train"), (valid, "valid")]
    found: list[tuple[Any, str]] = kept[key]
    return found


def _data_of(dataset: Any, segment: str, **options: Any) -> Any:
    """Return LightGBM's data of a segment, under the names that it gives to a matrix's columns.

    As Qlib's model does, but by column: of a matrix LightGBM would copy the rows first.

    Args:
        dataset: Of Qlib's.
        segment: One of its segments.
        options: Of ``lightgbm.Dataset``.

    Raises:
        ValueError: the segment is empty, or has more than one label.
    """
    import lightgbm as lgb
    import pyarrow as pa

    frame = dataset.prepare(segment, col_set=["feature", "label"], data_key="learn")
    if frame.empty:
        raise ValueError(f"segment {segment!r} has no rows")
    values, kinds = frame.to_numpy(), frame.columns.get_level_values(0)
    labels = values[:, kinds == "label"]
    if labels.shape[1] != 1:
        raise ValueError(f"found {labels.shape[1]} labels, LightGBM takes one")
    columns = [pa.array(values[:, place]) for place in np.flatnonzero(kinds == "feature")]
    table = pa.table(columns, names=[f"Column_{number}" for number in range(len(columns))])
    return lgb.Dataset(table, label=labels[:, 0], **options)


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

        def _prepare_data(self, dataset: Any, reweighter: Any = None) -> list[tuple[Any, str]]:
            return _segments_of(dataset, self.params)

        def fit(self, dataset: Any, report: Report) -> None:
            try:
                prepared = self._prepare_data(dataset)
            except ValueError as error:  # a segment without rows, or more than one label
                raise TrainingError(f"Qlib cannot train on this dataset: {error}") from error
            sets, names = zip(*prepared, strict=True)
            stop = lgb.early_stopping(
                self.early_stopping_rounds, first_metric_only=True, verbose=False
            )
            self.model = lgb.train(
                self.params,
                sets[0],
                num_boost_round=self.num_boost_round,
                valid_sets=list(sets),
                valid_names=list(names),
                callbacks=[reporting(report), stop],
            )

    return LiveLGBModel
