"""Everything that starts by itself, on one page.

- ``source_files_changed`` (sensor): new or changed files → ``raw_bars``, ``bars`` of their months
- ``automation`` (declarative): changed ``bars`` → ``alpha158_factors`` of the months that see them
"""

from typing import Any

import dagster as dg

from qlops_assets.defs.lake.sensors import BARS_JOB, build_sensors
from qlops_assets.defs.partitions import Partitions

FACTORS_JOB = "refresh_factors"
TRAINING_JOB = "train_model"
DEPLOYMENT_JOB = "deploy_model"


def build_jobs() -> list[Any]:
    """Return the jobs that people and sensors start; together they are the main job.

    Their partitions are those of their assets. (The type of an asset job before it is resolved is
    private to Dagster.)
    """
    return [
        dg.define_asset_job(
            BARS_JOB,
            selection=["raw_bars", "bars"],
            description="Source files → clean bars, for some months.",
        ),
        dg.define_asset_job(
            FACTORS_JOB,
            selection=["alpha158_factors"],
            description="Bars → Alpha158, for some months.",
        ),
        dg.define_asset_job(
            TRAINING_JOB,
            selection=["training_set", "trained_model", "model_evaluation"],
            description="Train and evaluate one model version.",
        ),
        dg.define_asset_job(
            DEPLOYMENT_JOB,
            selection=["deployment"],
            description="Bring one model version into one environment.",
        ),
    ]


def build_automation(partitions: Partitions) -> list[dg.SensorDefinition]:
    """Return every sensor; all of them run from the start."""
    return [
        *build_sensors(partitions),
        dg.AutomationConditionSensorDefinition(
            "automation",
            target=dg.AssetSelection.assets("alpha158_factors"),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=30,
        ),
    ]
