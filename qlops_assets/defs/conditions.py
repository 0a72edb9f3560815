"""When stages are computed again by themselves, composed once and named."""

from typing import Any, Final

import dagster as dg

# Seconds between two looks, of the file-change sensor and of automation. A look takes a fraction of
# a second; the daemon's own loop takes 5 s.
LOOK_EVERY_S: Final = 10

# Steps of a run whose rows others wait for go before its checks, one of which asks Qlib.
BEFORE_CHECKS: Final = {"dagster/priority": "1"}

_IDLE: Final = (
    ~dg.AutomationCondition.any_deps_in_progress() & ~dg.AutomationCondition.in_progress()
)

# Some dependency was materialized after the month itself: by the time of the events, not by that of
# the looks in which they were seen.
_DEPS_ARE_NEWER: Final = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
    .since(dg.AutomationCondition.newly_updated())
    .with_label("dependencies are newer")
)

# Content of a dependency changed after the month was materialized and after it was last asked for.
# Dagster's `since_last_handled` would not do: where one look sees a change and a materialization it
# forgets the change, whichever came first, and the rows would stay behind. What a run does for the
# sets that it also does for the table is no news.
_CHANGED: Final[dg.AutomationCondition[Any]] = dg.AutomationCondition.any_deps_match(
    dg.AutomationCondition.data_version_changed()
    & ~dg.AutomationCondition.executed_with_root_target()
)
_DEPS_CHANGED: Final[dg.AutomationCondition[Any]] = _CHANGED.since(
    ~_DEPS_ARE_NEWER
    | (dg.AutomationCondition.newly_requested() & ~_CHANGED)
    | dg.AutomationCondition.initial_evaluation()
).with_label("dependencies changed")

# The month's own run failed, after it did some of the dependencies: the rest is tried once.
_REST_OF_A_FAILED_RUN: Final[dg.AutomationCondition[Any]] = (
    dg.AutomationCondition.execution_failed().newly_true().since_last_handled() & _DEPS_ARE_NEWER
).with_label("rest of a failed run")

# A month is computed again when the content of its bars, or of those that its windows look back to,
# changed; also long after it was the newest. A file that is written again materializes the bars of
# all its months, most of them as they were: those ask for nothing. All months are computed again
# where the engine or the definitions changed. The first build is a job: right after a backfill
# nothing is asked.
_NEW_OR_DEFINED_ANEW: Final[dg.AutomationCondition[Any]] = (
    dg.AutomationCondition.newly_missing() | dg.AutomationCondition.code_version_changed()
)
WHEN_BARS_OR_DEFINITIONS_CHANGED: Final = (
    (_DEPS_CHANGED | _NEW_OR_DEFINED_ANEW.since_last_handled())
    & ~dg.AutomationCondition.any_deps_missing()
    & _IDLE
).with_label("bars or definitions changed")

# A month of the table is asked for together with its sets, so that one run, or one backfill, does
# them all; and when rows of a set changed otherwise: by a person's run, or where the rest of its
# own run failed. Sets may have no rows of a month: nobody has to have factors of their own.
WHEN_ROWS_CHANGED: Final = (
    (
        _DEPS_CHANGED
        | _REST_OF_A_FAILED_RUN
        | dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
    )
    & _IDLE
).with_label("rows changed")


# A check that is part of its asset's step. Where one of an asset's checks has a condition Dagster's
# runs carry the others along, the comparison with Qlib among them, and else none but those.
WITH_ITS_ROWS: Final = dg.AutomationCondition.any_deps_match(
    dg.AutomationCondition.will_be_requested()
).with_label("asked for with its rows")


def bars_looking_back(months: int) -> dg.AssetDep:
    """Return the dependency of a month on its bars and on those of so many months before."""
    looking_back = dg.TimeWindowPartitionMapping(
        start_offset=-months, end_offset=0, allow_nonexistent_upstream_partitions=True
    )
    return dg.AssetDep("bars", partition_mapping=looking_back)
