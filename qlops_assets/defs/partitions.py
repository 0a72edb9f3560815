"""The partitions of the assets and how they map onto each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from qlops_assets.core.months import months_between
from qlops_assets.core.settings import Settings

FALLBACK_FIRST_MONTH = "2010-01"
_PARTITION_TAG = "dagster/partition"
_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
VERSION_DIMENSION = "model_version"
ENVIRONMENT_DIMENSION = "environment"

# Model versions appear as they are trained.
MODEL_VERSION = dg.DynamicPartitionsDefinition(name="model_version")
# Tuning studies likewise.
STUDY = dg.DynamicPartitionsDefinition(name="study")


@dataclass(frozen=True)
class Partitions:
    """The partitions that follow from the settings."""

    month: dg.MonthlyPartitionsDefinition
    environment_and_version: dg.MultiPartitionsDefinition


def build_partitions(settings: Settings, first_month: str | None) -> Partitions:
    """Return the partitions of a home.

    Args:
        settings: Names the environments and, where set, the first month.
        first_month: The first month that the source holds, where it is known.
    """
    start = settings.source.first_month or first_month or FALLBACK_FIRST_MONTH
    return Partitions(
        # end_offset=1: the running month exists while it grows.
        month=dg.MonthlyPartitionsDefinition(start_date=f"{start}-01", end_offset=1),
        environment_and_version=dg.MultiPartitionsDefinition(
            {
                ENVIRONMENT_DIMENSION: dg.StaticPartitionsDefinition(list(settings.environments)),
                VERSION_DIMENSION: MODEL_VERSION,
            }
        ),
    )


def months_of(keys: Sequence[str]) -> list[str]:
    """Return the months of Dagster's monthly partition keys."""
    return [key[:7] for key in keys]


def partition_key(month: str) -> str:
    """Return Dagster's key of a month."""
    return f"{month}-01"


def month_range_tags(first: str, last: str) -> dict[str, str]:
    """Return the run tags that make one run materialize a range of months."""
    return dict(zip(_RANGE_TAGS, (partition_key(first), partition_key(last)), strict=True))


def months_of_run(tags: Mapping[str, str]) -> list[str]:
    """Return the months that a run with such tags materializes; none where it names none."""
    if _PARTITION_TAG in tags:
        return months_of([tags[_PARTITION_TAG]])
    if all(tag in tags for tag in _RANGE_TAGS):
        return months_between(*months_of([tags[tag] for tag in _RANGE_TAGS]))
    return []
