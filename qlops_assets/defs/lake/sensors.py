"""The file-change sensor: a finished sync becomes runs for exactly the months that it touches."""

from typing import TYPE_CHECKING

import dagster as dg

from qlops_assets.core.errors import QlopsError
from qlops_assets.core.months import contiguous_spans, months_between
from qlops_assets.defs.conditions import LOOK_EVERY_S
from qlops_assets.defs.partitions import Partitions, month_range_tags, months_of
from qlops_assets.defs.platform import Platform

if TYPE_CHECKING:
    from qlops_assets.lake.manifest import Manifest

BARS_JOB = "refresh_bars"


def build_sensors(partitions: Partitions) -> list[dg.SensorDefinition]:
    """Return the sensors of this group."""

    @dg.sensor(
        job_name=BARS_JOB,
        minimum_interval_seconds=LOOK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Scans the source; a new or changed file materializes the months it touches.",
    )
    def source_files_changed(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.SensorResult | dg.SkipReason:
        return changed_months_as_runs(platform, partitions)

    return [source_files_changed]


def changed_months_as_runs(
    platform: Platform, partitions: Partitions
) -> dg.SensorResult | dg.SkipReason:
    """Return a run for each span of months whose files differ from what the bars were made of."""
    from qlops_assets.lake.bars import stale_months
    from qlops_assets.lake.scan import scan

    try:
        manifest = scan(platform.settings)
        months = stale_months(platform.settings)
    except QlopsError as error:
        return dg.SkipReason(str(error))
    known = set(months_of(partitions.month.get_partition_keys()))
    runs = [
        dg.RunRequest(
            run_key=_run_key(manifest, first, last),
            tags={**month_range_tags(first, last), "qlops/trigger": "source-files-changed"},
        )
        for first, last in contiguous_spans(known.intersection(months))
    ]
    if not runs:
        return dg.SkipReason("; ".join([*_state(manifest), *_unknown(set(months) - known)]))
    return dg.SensorResult(run_requests=runs)


def _state(manifest: "Manifest") -> list[str]:
    said = [f"{len(manifest.files)} files unchanged"]
    if manifest.waiting:
        said.append(f"{len(manifest.waiting)} files are still being written")
    return said + [f"quarantined {file.path}: {file.reason}" for file in manifest.quarantined[:3]]


def _unknown(months: set[str]) -> list[str]:
    if not months:
        return []
    return [f"{min(months)} is no partition yet: reload the code location"]


def _run_key(manifest: "Manifest", first: str, last: str) -> str:
    """Return the identity of a span's state.

    Dagster remembers a run key for ever, so a content alone would not do: a file that is changed,
    restored and changed again comes back to a key that was used. Hence also when it was first seen.
    """
    from qlops_assets.core.digests import value_digest

    span = months_between(first, last)
    files = [
        (file.path, file.digest, file.observed_at)
        for file in manifest.files
        if not set(span).isdisjoint(file.months)
    ]
    touched = {month for file in manifest.files for month in file.months}
    since = None if touched.issuperset(span) else manifest.observed_at
    return value_digest([first, last, files, since])
