"""Everything that starts by itself, on one page.

- ``source_files_changed`` (sensor): new or changed files → ``raw_bars``, ``bars`` of their months
- ``automation`` (declarative): changed ``bars`` → ``alpha158_factors`` and ``custom_factors`` of
  the months that see them; changed definitions or engine → all their months
- ``weekly_factor_report`` (schedule): Saturdays, factor rows without a report → ``factor_report``
"""

from typing import Any

import dagster as dg

from qlops_assets.defs.factors.report_asset import REPORT_JOB
from qlops_assets.defs.factors.report_schedule import weekly_factor_report
from qlops_assets.defs.lake.sensors import BARS_JOB, build_sensors
from qlops_assets.defs.partitions import Partitions

FACTORS_JOB = "refresh_factors"
CUSTOM_FACTORS_JOB = "refresh_custom_factors"
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
            CUSTOM_FACTORS_JOB,
            selection=["custom_factors"],
            description="Bars → your own factors, for some months.",
        ),
        dg.define_asset_job(
            REPORT_JOB,
            selection=["factor_report"],
            description="Stored factors → how well each foretells returns, over all history.",
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
            target=dg.AssetSelection.assets("alpha158_factors", "custom_factors"),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=30,
        ),
    ]


def build_schedules() -> list[dg.ScheduleDefinition]:
    """Return every schedule; all of them run from the start."""
    return [weekly_factor_report]
