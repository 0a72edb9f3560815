"""Which models exist: trainers by name, and the loaders of their artifact formats."""

from typing import TYPE_CHECKING, Final

from qlops_assets.core.catalog import Catalog

if TYPE_CHECKING:
    from qlops_assets.models.artifact import LoadPredictor
    from qlops_assets.models.trainer import Trainer

_ROOM: Final = "qlops_assets.models"

TRAINERS: "Catalog[type[Trainer]]" = Catalog(
    "model",
    {
        "lightgbm": f"{_ROOM}.lightgbm:LightGBMTrainer",
        "xgboost": f"{_ROOM}.xgboost:XGBoostTrainer",
        "mlp": f"{_ROOM}.mlp:MLPTrainer",
        "linear": f"{_ROOM}.linear:LinearTrainer",
        "double-ensemble": f"{_ROOM}.double_ensemble:DoubleEnsembleTrainer",
        "lstm": f"{_ROOM}.sequences:LSTMTrainer",
        "gru": f"{_ROOM}.sequences:GRUTrainer",
        "alstm": f"{_ROOM}.sequences:ALSTMTrainer",
        "transformer": f"{_ROOM}.sequences:TransformerTrainer",
    },
)

# Formats a server may load: none of them can execute code.
FORMATS: "Catalog[LoadPredictor]" = Catalog(
    "artifact format",
    {
        "lightgbm-text": f"{_ROOM}.lightgbm_predictor:load_text",
        "xgboost-ubj": f"{_ROOM}.xgboost:load_ubj",
        "linear-json": f"{_ROOM}.linear:load_json",
        "double-ensemble-json": f"{_ROOM}.double_ensemble:load_json",
        "torch-weights": f"{_ROOM}.networks.weights:load_weights",
    },
)
