"""Everything that starts by itself, on one page.

- ``source_files_changed`` (sensor): new or changed files → ``raw_bars``, ``bars`` of their months
- ``automation`` (declarative): changed ``bars`` → ``alpha158_factors``, ``custom_factors`` and
  ``indicator_features`` of the months that see them; changed definitions or engine → all their
  months; together with these, or where their rows changed otherwise, ``feature_table`` of their
  months
- ``rolling_retraining`` (schedule): when ``[rolling]`` says, the newest window of a recipe, if it
  is due and not trained → ``training_set``, ``trained_model``, ``model_evaluation``
- ``weekly_factor_report`` (schedule): Saturdays, factor rows without a report → ``factor_report``
- ``weekly_retention`` (schedule): Sundays, where ``[retention]`` lets old versions of files go
- ``weekly_compaction`` (schedule): Sundays, the feature table's files and old versions
"""

from typing import Any, Final

import dagster as dg

from qlops_assets.core.settings import Settings
from qlops_assets.defs.conditions import LOOK_EVERY_S
from qlops_assets.defs.factors.report_asset import REPORT_JOB
from qlops_assets.defs.factors.report_schedule import weekly_factor_report
from qlops_assets.defs.features.assets import COMPACTION_JOB, SETS, weekly_compaction
from qlops_assets.defs.lake.retention import RETENTION_JOB, weekly_retention
from qlops_assets.defs.lake.sensors import BARS_JOB, build_sensors
from qlops_assets.defs.partitions import Partitions
from qlops_assets.defs.training.rolling import build_rolling

FACTORS_JOB = "refresh_factors"
CUSTOM_FACTORS_JOB = "refresh_custom_factors"
INDICATORS_JOB = "refresh_indicators"
FEATURES_JOB = "refresh_features"
TRAINING_JOB = "train_model"
TUNING_JOB = "tune_model"
DEPLOYMENT_JOB = "deploy_model"

# name, what it materializes, what it is for
JOBS: Final = [
    (BARS_JOB, ["raw_bars", "bars"], "Source files → clean bars, for some months."),
    (
        RETENTION_JOB,
        ["source_versions"],
        "Old versions of the source's files → gone, as [retention] says.",
    ),
    (FACTORS_JOB, ["alpha158_factors"], "Bars → Alpha158, for some months."),
    (CUSTOM_FACTORS_JOB, ["custom_factors"], "Bars → your own factors, for some months."),
    (INDICATORS_JOB, ["indicator_features"], "Bars → technical indicators, for some months."),
    (
        FEATURES_JOB,
        ["feature_table"],
        "Factors and indicators → the feature table, for some months.",
    ),
    (
        COMPACTION_JOB,
        ["feature_table_versions"],
        "The feature table's files in order; old versions that no tag names go.",
    ),
    (
        REPORT_JOB,
        ["factor_report"],
        "Stored factors → how well each foretells returns, over all history.",
    ),
    (
        TRAINING_JOB,
        ["training_set", "trained_model", "model_evaluation"],
        "Train and evaluate one model version.",
    ),
    (TUNING_JOB, ["tuning_study"], "Search for the parameters of a model; goes on if interrupted."),
    (DEPLOYMENT_JOB, ["deployment"], "Bring one model version into one environment."),
]


def build_jobs() -> list[Any]:
    """Return the jobs that people and sensors start; together they are the main job.

    Their partitions are those of their assets. (The type of an asset job before it is resolved is
    private to Dagster.)
    """
    return [
        dg.define_asset_job(name, selection=assets, description=description)
        for name, assets, description in JOBS
    ]


def build_automation(partitions: Partitions) -> list[dg.SensorDefinition]:
    """Return every sensor; all of them run from the start."""
    return [
        *build_sensors(partitions),
        dg.AutomationConditionSensorDefinition(
            "automation",
            target=dg.AssetSelection.assets(*SETS, "feature_table"),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=LOOK_EVERY_S,
        ),
    ]


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Return every schedule; all of them run from the start.

    Args:
        settings: When ``[rolling]`` looks.

    Raises:
        SettingsError: ``[rolling] schedule`` is no time, or ``timezone`` no zone.
    """
    return [
        weekly_factor_report,
        weekly_retention,
        weekly_compaction,
        build_rolling(settings.rolling, TRAINING_JOB),
    ]
