"""A training as Qlib's own task, for ``qrun`` and for Qlib's users."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.columns import LABEL
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.custom import custom_factors
from qlops_assets.training.processors import fitted_on
from qlops_assets.training.spec import TrainingSpec

_WITH_INPUT: Final = {"DNNModelPytorch": "pt_model_kwargs"}


def qlib_task(settings: Settings, spec: TrainingSpec, provider: Path) -> dict[str, Any]:
    """Return a training as the document that ``qrun`` takes.

    Args:
        settings: Of the training.
        spec: Of the version.
        provider: Qlib's store of the bars that it saw.

    Raises:
        TrainingError: a feature is no expression of Qlib's.
    """
    return {
        "qlib_init": {"provider_uri": str(provider), "region": settings.training.region},
        "task": {
            "model": _model(spec),
            "dataset": _dataset(settings, spec),
            "record": [
                {
                    "class": "SignalRecord",
                    "module_path": "qlib.workflow.record_temp",
                    "kwargs": {"model": "<MODEL>", "dataset": "<DATASET>"},
                },
                {
                    "class": "SigAnaRecord",
                    "module_path": "qlib.workflow.record_temp",
                    "kwargs": {"ana_long_short": True, "ann_scaler": 252},
                },
            ],
        },
    }


def task_yaml(settings: Settings, spec: TrainingSpec, provider: Path) -> str:
    """Return that document as YAML.

    Raises:
        TrainingError: a feature is no expression of Qlib's.
    """
    from io import StringIO

    from ruamel.yaml import YAML

    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style, writer.sort_base_mapping_type_on_output = False, False
    out = StringIO()
    writer.dump(qlib_task(settings, spec, provider), out)
    return f"# {spec.version}, digest {spec.digest}\n{out.getvalue()}"


def _model(spec: TrainingSpec) -> dict[str, Any]:
    kwargs = dict(spec.task["kwargs"])
    if spec.task["class"] in _WITH_INPUT:
        key = _WITH_INPUT[spec.task["class"]]
        kwargs[key] = {**kwargs[key], "input_dim": len(spec.feature_names)}
    elif "step_len" in spec.fitting:
        kwargs["d_feat"] = len(spec.feature_names)
    return {**{k: spec.task[k] for k in ("class", "module_path")}, "kwargs": kwargs}


def _dataset(settings: Settings, spec: TrainingSpec) -> dict[str, Any]:
    expressions = _expressions(settings, spec)
    loader = {
        "class": "QlibDataLoader",
        "module_path": "qlib.data.dataset.loader",
        "kwargs": {
            "config": {
                "feature": [list(expressions.values()), list(expressions)],
                "label": [[spec.label], [LABEL]],
            }
        },
    }
    train = spec.segments.train
    handler = {
        "class": "DataHandlerLP",
        "module_path": "qlib.data.dataset.handler",
        "kwargs": {
            "instruments": spec.universe,
            "start_time": str(train[0]),
            "end_time": str(spec.segments.test[1]),
            "data_loader": loader,
            "infer_processors": [fitted_on(train, one) for one in spec.processors["infer"]],
            "learn_processors": [fitted_on(train, one) for one in spec.processors["learn"]],
        },
    }
    step_len = spec.fitting.get("step_len")
    return {
        "class": "TSDatasetH" if step_len else "DatasetH",
        "module_path": "qlib.data.dataset",
        "kwargs": {
            "handler": handler,
            "segments": spec.segments.to_json(),
            **({"step_len": step_len} if step_len else {}),
        },
    }


def _expressions(settings: Settings, spec: TrainingSpec) -> Mapping[str, str]:
    known = {**alpha158_expressions(), **custom_factors(settings)}
    for name in spec.feature_names:
        if name not in known:
            raise TrainingError(
                f"feature {name!r} is no expression of Qlib's: a task can have factors only, no "
                "indicators"
            )
    return {name: known[name] for name in spec.feature_names}
