"""Which models exist: trainers by name, and the loaders of their artifact formats."""

from typing import TYPE_CHECKING

from qlops_assets.core.catalog import Catalog

if TYPE_CHECKING:
    from qlops_assets.models.artifact import LoadPredictor
    from qlops_assets.models.trainer import Trainer

TRAINERS: "Catalog[type[Trainer]]" = Catalog(
    "model", {"lightgbm": "qlops_assets.models.lightgbm:LightGBMTrainer"}
)

# Formats a server may load: none of them can execute code.
FORMATS: "Catalog[LoadPredictor]" = Catalog(
    "artifact format", {"lightgbm-text": "qlops_assets.models.lightgbm_predictor:load_text"}
)
