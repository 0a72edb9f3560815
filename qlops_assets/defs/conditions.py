"""When stages are computed again by themselves, composed once and named."""

import dagster as dg

# A month is computed again when the content of its bars, or of those that its windows look back to,
# changed; also long after it was the newest. A file that is written again materializes the bars of
# all its months, most of them as they were: those ask for nothing. All months are computed again
# where the engine or the definitions changed. The first build is a job: right after a backfill
# nothing is asked.
WHEN_BARS_OR_DEFINITIONS_CHANGED = (
    dg.AutomationCondition.eager()
    .without(dg.AutomationCondition.in_latest_time_window())
    .replace(
        "any_deps_updated",
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
        | dg.AutomationCondition.code_version_changed(),
    )
    .with_label("bars or definitions changed")
)

# A month of the table is brought up to date when rows of a set changed. Sets may have no rows of a
# month at all: nobody has to have factors of their own.
WHEN_ROWS_CHANGED = (
    dg.AutomationCondition.eager()
    .without(dg.AutomationCondition.in_latest_time_window())
    .without(~dg.AutomationCondition.any_deps_missing())
    .replace(
        "any_deps_updated",
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()),
    )
    .with_label("rows changed")
)


def bars_looking_back(months: int) -> dg.AssetDep:
    """Return the dependency of a month on its bars and on those of so many months before."""
    looking_back = dg.TimeWindowPartitionMapping(
        start_offset=-months, end_offset=0, allow_nonexistent_upstream_partitions=True
    )
    return dg.AssetDep("bars", partition_mapping=looking_back)
