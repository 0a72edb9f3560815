"""A multi-layer perceptron as Qlib trains it (``DNNModelPytorch``), with live progress."""

import contextlib
import io
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Progress
from qlops_assets.models.networks.threads import seeded
from qlops_assets.models.networks.weights import FORMAT, to_bytes
from qlops_assets.models.parameters import (
    DEVICE,
    Parameter,
    one_of,
    ratios,
    require_device,
)
from qlops_assets.models.trainer import (
    DENSE_PROCESSORS,
    Curves,
    FittedModel,
    Trainer,
    feature_names,
)

# The defaults are Qlib's benchmark configuration for Alpha158 on CSI 300:
# examples/benchmarks/MLP/workflow_config_mlp_Alpha158.yaml
PARAMETERS: Final[Mapping[str, Parameter]] = {
    "lr": Parameter(float, 0.002, above=0, search=ratios(0.0001, 0.02)),
    "batch_size": Parameter(int, 8192, least=2, search=one_of(2048, 4096, 8192)),
    "eval_steps": Parameter(int, 20, least=1),
    "optimizer": Parameter(str, "adam", choices=("adam", "gd")),
    "weight_decay": Parameter(float, 0.0002, least=0, search=ratios(1e-6, 0.01)),
    "layers": Parameter(list, [256], search=one_of([64], [256], [256, 64], [512, 128])),
    "act": Parameter(
        str, "LeakyReLU", choices=("LeakyReLU", "SiLU"), search=one_of("LeakyReLU", "SiLU")
    ),
    "device": DEVICE,
}


class MLPTrainer(Trainer):
    """Fits ``qlib.contrib.model.pytorch_nn.DNNModelPytorch`` and reports every step.

    A round is a step on one batch. After every ``eval_steps`` of them the validation is looked at:
    that is an iteration, by which early stopping counts.
    """

    title = "MLP"
    table, processors = PARAMETERS, DENSE_PROCESSORS

    def configuration(self) -> dict[str, Any]:
        """Return Qlib's task configuration of this model, but for the width of its input."""
        given = dict(self.parameters)
        shape = {"layers": list(given.pop("layers")), "act": given.pop("act")}
        device = given.pop("device")
        return {
            "class": "DNNModelPytorch",
            "module_path": "qlib.contrib.model.pytorch_nn",
            "kwargs": {
                **given,
                "loss": "mse",
                "seed": self.seed,
                "max_steps": self.rounds,
                "early_stop_rounds": self.patience,
                "GPU": device,
                "scheduler": None,
                "pt_model_uri": "qlib.contrib.model.pytorch_nn.Net",
                "pt_model_kwargs": shape,
            },
        }

    def fitting(self) -> dict[str, Any]:
        """Return what beside the configuration decides the outcome of a fit."""
        return {"threads": self.threads}

    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit on ``train``, stop early on ``valid``.

        Raises:
            TrainingError: Qlib cannot train on the dataset, or the GPU is absent.
        """
        require_device(self.parameters["device"])
        curves, features = Curves(progress, self.rounds), feature_names(dataset)
        arguments = dict(self.configuration()["kwargs"])
        shape = {**arguments["pt_model_kwargs"], "input_dim": len(features)}
        arguments["pt_model_kwargs"] = shape
        with seeded(self.seed, self.threads), tempfile.TemporaryDirectory() as folder:
            model = _live_class()(**arguments)
            with _recorded(curves, self.parameters["eval_steps"], self.rounds):
                try:
                    model.fit(dataset, {}, verbose=False, save_path=str(Path(folder) / "best"))
                except ValueError as error:
                    raise TrainingError(f"Qlib cannot train on this dataset: {error}") from error
        valid = curves.values["valid.loss"]
        if not np.isfinite(valid).any():
            raise TrainingError("MLP: the loss of the validation was never a number")
        return FittedModel(
            content=to_bytes("mlp", shape, 1, model.dnn_model.state_dict()),
            format_name=FORMAT,
            features=features,
            curves=curves.values,
            importance={},
            best_iteration=int(np.nanargmin(valid)) + 1,
            iterations=len(valid),
            qlib_model=model,
        )


class _Recorder:
    """Takes what ``fit`` logs, in place of Qlib's global recorder."""

    def __init__(self, curves: Curves, every: int, most: int) -> None:
        self._curves, self._every, self._most = curves, every, most
        self._loss: list[float] = []
        self._valid: dict[str, float] = {}

    def log_metrics(self, step: int, **metrics: float) -> None:
        if "train_loss" in metrics:
            self._loss.append(float(metrics["train_loss"]))
            if step % self._every and step != self._most:
                self._curves.say(step, {"train.loss": self._loss[-1]})
        if "val_loss" in metrics:
            self._valid["valid.loss"] = float(metrics["val_loss"])
        if "val_metric" in metrics:
            self._valid["valid.ic"] = float(metrics["val_metric"])
            mean = float(np.mean(self._loss))
            self._curves.add(step, {"train.loss": mean, **self._valid})
            self._loss, self._valid = [], {}


@contextlib.contextmanager
def _recorded(curves: Curves, every: int, most: int) -> Iterator[None]:
    """Have ``fit`` log to curves: Qlib 0.9.7 logs to a module global alone.

    Its real recorder starts an MLflow run by itself, and leaves it running. Remove when a released
    Qlib takes a recorder or callbacks.
    """
    from qlib.contrib.model import pytorch_nn

    before = pytorch_nn.R
    pytorch_nn.R = _Recorder(curves, every, most)
    try:
        yield
    finally:
        pytorch_nn.R = before


def _live_class() -> type[Any]:
    with contextlib.redirect_stdout(io.StringIO()):
        from qlib.contrib.model.pytorch_nn import DNNModelPytorch

    class LiveDNNModel(DNNModelPytorch):  # type: ignore[misc]
        """Qlib's model, which also learns where a day has few instruments.

        Qlib 0.9.7 measures the validation by ``ICLoss``, which leaves out days of fewer than 50
        instruments and, where none is left, calls the debugger ``ipdb``: an ImportError, or a
        process that waits for somebody at a keyboard. Remove when a released Qlib does neither.
        """

        def get_metric(self, pred: Any, target: Any, index: Any) -> Any:
            import torch

            days = index.get_level_values("datetime").to_numpy()
            return torch.tensor(mean_ic(pred.cpu().numpy(), target.cpu().numpy(), days))

    return LiveDNNModel


def mean_ic(scores: Any, labels: Any, days: Any) -> float:
    """Return the mean over days of the correlation of scores and labels; NaN where there is none.

    Args:
        scores: One per row.
        labels: One per row.
        days: One per row; rows of a day are together.
    """
    begins = np.flatnonzero(np.concatenate([[True], days[1:] != days[:-1]]))
    counts = np.diff(np.append(begins, len(days)))

    def centred(values: Any) -> Any:
        whole = np.asarray(values, np.float64)
        return whole - np.repeat(np.add.reduceat(whole, begins) / counts, counts)

    x, y = centred(scores), centred(labels)
    along = np.add.reduceat(x * y, begins)
    with np.errstate(invalid="ignore", divide="ignore"):
        daily = along / np.sqrt(np.add.reduceat(x * x, begins) * np.add.reduceat(y * y, begins))
    known = daily[np.isfinite(daily)]
    return float(known.mean()) if known.size else float("nan")
