"""Which classes of Qlib's a task may name, and what their arguments are with us."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_TS: Final = "qlib.contrib.model.pytorch_{}_ts"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A class of Qlib's that we train.

    Attributes:
        name: In the model catalog.
        module: Where Qlib has it.
        settings: Its argument -> the key of ``[training]``.
        ignored: Arguments that decide nothing here, with the reason.
    """

    name: str
    module: str
    settings: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)


_SEQUENCE: Final = {"n_epochs": "rounds", "early_stop": "early_stopping_rounds", "seed": "seed"}
_SEQUENCE_IGNORED: Final = {
    "d_feat": "it is the number of features",
    "n_jobs": "batches are gathered by this process",
    "metric": "it is the loss",
    "loss": "it is mse",
}


def _sequence(name: str) -> KnownModel:
    return KnownModel(name, _TS.format(name), _SEQUENCE, _SEQUENCE_IGNORED)


# Class -> what it is. Two of Qlib's have the same name in several modules: the module decides too.
MODELS: Final[Mapping[str, KnownModel]] = {
    "LGBModel": KnownModel(
        "lightgbm",
        "qlib.contrib.model.gbdt",
        {
            "num_boost_round": "rounds",
            "early_stopping_rounds": "early_stopping_rounds",
            "num_threads": "threads",
            "seed": "seed",
        },
        {
            "deterministic": "it always is",
            "force_col_wise": "it always is",
            "force_row_wise": "histograms are built by column",
            "verbosity": "nothing is printed",
        },
    ),
    "XGBModel": KnownModel(
        "xgboost",
        "qlib.contrib.model.xgboost",
        {"nthread": "threads", "seed": "seed"},
        {
            "n_estimators": "xgboost.train does not look at it; rounds are [training] rounds",
            "tree_method": "it is hist",
        },
    ),
    "DNNModelPytorch": KnownModel(
        "mlp",
        "qlib.contrib.model.pytorch_nn",
        {"max_steps": "rounds", "early_stop_rounds": "early_stopping_rounds", "seed": "seed"},
        {
            "loss": "it is mse",
            "scheduler": "the learning rate stays",
            "lr_decay": "the learning rate stays",
            "lr_decay_steps": "the learning rate stays",
            "pt_model_uri": "it is Qlib's Net",
        },
    ),
    "LinearModel": KnownModel("linear", "qlib.contrib.model.linear"),
    "DEnsembleModel": KnownModel(
        "double-ensemble",
        "qlib.contrib.model.double_ensemble",
        {
            "epochs": "rounds",
            "early_stopping_rounds": "early_stopping_rounds",
            "num_threads": "threads",
            "seed": "seed",
        },
        {
            "base_model": "it is gbm",
            "loss": "it is mse",
            "sample_ratios": "they are Qlib's 0.8 to 0.4",
            "sub_weights": "all weigh the same",
            "deterministic": "it always is",
            "force_col_wise": "it always is",
            "force_row_wise": "histograms are built by column",
            "verbosity": "nothing is printed",
        },
    ),
    "LSTM": _sequence("lstm"),
    "GRU": _sequence("gru"),
    "ALSTM": _sequence("alstm"),
    "TransformerModel": _sequence("transformer"),
}

HANDLERS: Final = {"Alpha158": "qlib.contrib.data.handler"}
DATASETS: Final = ("DatasetH", "TSDatasetH")
# What a task file may have beside the task, and what becomes of it.
IGNORED: Final[Mapping[str, str]] = {
    "sys": "no path is added to Python's",
    "experiment_name": "the registry names versions",
    "data_handler_config": "an anchor; what refers to it counts",
    "market": "an anchor; what refers to it counts",
    "benchmark": "an anchor; the benchmark is the source's",
}
