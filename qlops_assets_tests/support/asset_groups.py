"""Every asset of the graph, and the group in which Dagster shows it."""

from typing import Final

ASSET_GROUPS: Final = {
    "raw_bars": "lake",
    "bars": "lake",
    "source_versions": "lake",
    "alpha158_factors": "factors",
    "custom_factors": "factors",
    "factor_report": "factors",
    "indicator_features": "indicators",
    "feature_table": "features",
    "feature_table_versions": "features",
    "training_set": "training",
    "trained_model": "training",
    "model_evaluation": "training",
    "tuning_study": "training",
    "deployment": "deployment",
}
