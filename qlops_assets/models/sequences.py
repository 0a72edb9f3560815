"""Qlib's networks over windows of days: LSTM, GRU, ALSTM, Transformer, with live progress."""

import contextlib
import copy
import io
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Final

import numpy as np

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Progress
from qlops_assets.models.networks.threads import seeded
from qlops_assets.models.networks.weights import FORMAT, to_bytes
from qlops_assets.models.networks.windows import Windows
from qlops_assets.models.parameters import (
    DEVICE,
    Parameter,
    Search,
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

_FITTING: Final[Mapping[str, Parameter]] = {
    "step_len": Parameter(int, 20, least=2, most=250),
    "optimizer": Parameter(str, "adam", choices=("adam", "gd")),
    "device": DEVICE,
}
# The defaults are Qlib's benchmark configurations for Alpha158 on CSI 300:
# examples/benchmarks/{LSTM,GRU,ALSTM,Transformer}/workflow_config_*_Alpha158.yaml
RECURRENT: Final[Mapping[str, Parameter]] = {
    "hidden_size": Parameter(int, 64, least=2, search=one_of(32, 64, 128)),
    "num_layers": Parameter(int, 2, least=1, search=Search(1, 3)),
    "dropout": Parameter(float, 0.0, least=0, most=0.9, search=Search(0.0, 0.5)),
    "lr": Parameter(float, 0.001, above=0, search=ratios(0.0001, 0.01)),
    "batch_size": Parameter(int, 800, least=2, search=one_of(400, 800, 1600)),
    **_FITTING,
}
ATTENTION: Final[Mapping[str, Parameter]] = {
    **RECURRENT,
    "rnn_type": Parameter(str, "GRU", choices=("GRU", "LSTM")),
}
TRANSFORMER: Final[Mapping[str, Parameter]] = {
    "d_model": Parameter(int, 64, least=2, search=one_of(32, 64, 128)),
    "nhead": Parameter(int, 2, least=1, search=one_of(2, 4)),
    "num_layers": Parameter(int, 2, least=1, search=Search(1, 3)),
    "dropout": Parameter(float, 0.0, least=0, most=0.9, search=Search(0.0, 0.5)),
    "lr": Parameter(float, 0.0001, above=0, search=ratios(0.00001, 0.003)),
    "batch_size": Parameter(int, 8192, least=2),
    "reg": Parameter(float, 0.001, least=0, search=ratios(1e-5, 0.1)),
    **_FITTING,
}
_SHAPES: Final = ("hidden_size", "num_layers", "rnn_type", "d_model", "nhead")


class SequenceTrainer(Trainer):
    """Fits one of Qlib's models over ``TSDatasetH`` and reports every epoch."""

    processors = DENSE_PROCESSORS
    kind: ClassVar[str]
    table = RECURRENT
    qlib_class: ClassVar[str]
    # The attribute of Qlib's model that is its network, and whether batches carry weights.
    network: ClassVar[str]
    weighted: ClassVar[bool] = True

    def __init__(self, parameters: Mapping[str, Any], **limits: int) -> None:
        super().__init__(parameters, **limits)
        self.window = int(self.parameters["step_len"])
        heads, width = self.parameters.get("nhead", 1), self.parameters.get("d_model", 1)
        if width % heads or ("d_model" in self.parameters and width % 2):
            raise TrainingError(
                f"[training.parameters] d_model: was {width}, must be even and a multiple of "
                f"nhead {heads}"
            )

    def configuration(self) -> dict[str, Any]:
        """Return Qlib's task configuration of this model, but for the width of its input."""
        given = dict(self.parameters)
        del given["step_len"]  # the dataset's
        device = given.pop("device")
        return {
            "class": self.qlib_class,
            "module_path": f"qlib.contrib.model.pytorch_{self.kind}_ts",
            "kwargs": {
                **given,
                "loss": "mse",
                "metric": "loss",
                "n_epochs": self.rounds,
                "early_stop": self.patience,
                "seed": self.seed,
                "n_jobs": 0,  # Qlib's 10 processes would each hold all of the data
                "GPU": 0 if device == "cuda" else -1,
            },
        }

    def fitting(self) -> dict[str, Any]:
        """Return what beside the configuration decides the outcome of a fit."""
        return {"threads": self.threads, "step_len": self.window}

    def fit(self, dataset: Any, progress: Progress) -> FittedModel:
        """Fit on ``train``, stop early on ``valid``.

        Raises:
            TrainingError: a segment has no row, or the GPU is absent.
        """
        require_device(self.parameters["device"])
        features, curves = feature_names(dataset), Curves(progress, self.rounds)
        with seeded(self.seed, self.threads):
            model = self._made(len(features))
            best = self._fit(model, dataset, curves)
        network = getattr(model, self.network)
        shape = {k: v for k, v in self.parameters.items() if k in _SHAPES}
        shape["d_feat"] = len(features)
        return FittedModel(
            content=to_bytes(self.kind, shape, self.window, network.state_dict()),
            format_name=FORMAT,
            features=features,
            curves=curves.values,
            importance={},
            best_iteration=best,
            iterations=len(curves.values["valid.loss"]),
            qlib_model=model,
        )

    def predict(self, fitted: FittedModel, dataset: Any, segment: str) -> Any:
        """Return the scores of a segment."""
        import pandas as pd
        import torch

        windows = self._windows(dataset, segment, learning=False)
        model = fitted.qlib_model
        network = getattr(model, self.network)
        network.eval()
        parts = []
        with seeded(self.seed, self.threads), torch.inference_mode():
            for batch in self._loader(windows, shuffle=False):
                data = batch[0] if self.weighted else batch
                rows = data[:, :, :-1].to(model.device).float()
                parts.append(network(rows).reshape(-1).cpu().numpy())
        scores = pd.Series(np.concatenate(parts), index=windows.index)
        return scores.sort_index()

    def _made(self, features: int) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            module = import_module(f"qlib.contrib.model.pytorch_{self.kind}_ts")
        model = getattr(module, self.qlib_class)(d_feat=features, **self.configuration()["kwargs"])
        # Qlib's networks squeeze: of a batch of one row a number without an axis is left.
        getattr(model, self.network).register_forward_hook(_flat)
        return model

    def _fit(self, model: Any, dataset: Any, curves: Curves) -> int:
        """Train by epochs as Qlib's ``fit`` does; return the best epoch, counted from 1.

        Qlib 0.9.7 reports nothing while it fits, and leaves out of both segments the rows that do
        not fill a batch: of a validation below one batch nothing is left, and the loss is never a
        number. Remove when a released Qlib takes callbacks and does not drop them.
        """
        train = self._windows(dataset, "train", learning=True)
        valid = self._windows(dataset, "valid", learning=True)
        learning = self._loader(train, shuffle=True)
        looking = self._loader(valid, shuffle=False)
        network, best, best_loss, state = getattr(model, self.network), 0, np.inf, None
        for epoch in range(1, self.rounds + 1):
            model.train_epoch(learning)
            losses = {}
            for name, loader in (("train", learning), ("valid", looking)):
                losses[f"{name}.loss"] = self._loss(model, loader)
            curves.add(epoch, losses)
            if losses["valid.loss"] < best_loss:
                best, best_loss = epoch, losses["valid.loss"]
                state = copy.deepcopy(network.state_dict())
            elif epoch - best >= self.patience:
                break
        if state is None:
            raise TrainingError(f"{self.kind}: the loss of the validation was never a number")
        network.load_state_dict(state)
        model.fitted = True
        return best

    def _loss(self, model: Any, loader: Any) -> float:
        import torch

        with torch.no_grad():  # Qlib's LSTM keeps gradients here
            return float(model.test_epoch(loader)[0])

    def _windows(self, dataset: Any, segment: str, *, learning: bool) -> Windows:
        from qlib.data.dataset import TSDatasetH
        from qlib.data.dataset.handler import DataHandlerLP

        series = TSDatasetH(
            step_len=self.window, handler=dataset.handler, segments=dataset.segments
        )
        key = DataHandlerLP.DK_L if learning else DataHandlerLP.DK_I
        try:
            sampler = series.prepare(segment, col_set=["feature", "label"], data_key=key)
        except (ValueError, KeyError) as error:  # of a frame without rows
            raise TrainingError(f"segment {segment!r}: no row to train on ({error})") from error
        if sampler.empty:
            raise TrainingError(f"segment {segment!r}: no row to train on")
        return Windows(sampler, weighted=self.weighted)

    def _loader(self, windows: Windows, *, shuffle: bool) -> Any:
        from torch.utils.data import DataLoader

        size = int(self.parameters["batch_size"])
        return DataLoader(
            windows,  # type: ignore[arg-type] # has what DataLoader calls
            batch_size=size,
            shuffle=shuffle,
            drop_last=shuffle and len(windows) >= size,  # as Qlib, where a batch is left
            collate_fn=_as_it_is,
        )


def _as_it_is(batch: Any) -> Any:
    return batch


def _flat(_network: Any, _inputs: Any, output: Any) -> Any:
    return output.reshape(-1)


class LSTMTrainer(SequenceTrainer):
    """``qlib.contrib.model.pytorch_lstm_ts.LSTM``."""

    title = "LSTM"
    kind, qlib_class, network = "lstm", "LSTM", "LSTM_model"


class GRUTrainer(SequenceTrainer):
    """``qlib.contrib.model.pytorch_gru_ts.GRU``."""

    title = "GRU"
    kind, qlib_class, network = "gru", "GRU", "GRU_model"


class ALSTMTrainer(SequenceTrainer):
    """``qlib.contrib.model.pytorch_alstm_ts.ALSTM``."""

    title = "ALSTM"
    kind, qlib_class, network = "alstm", "ALSTM", "ALSTM_model"
    table = ATTENTION


class TransformerTrainer(SequenceTrainer):
    """``qlib.contrib.model.pytorch_transformer_ts.TransformerModel``."""

    title = "Transformer"
    kind, qlib_class, network = "transformer", "TransformerModel", "model"
    table, weighted = TRANSFORMER, False
