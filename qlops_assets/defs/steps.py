"""What surrounds every asset's work: journal events, metering, errors in the user's words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import dagster as dg

from qlops_assets.core.errors import QlopsError
from qlops_assets.core.metering import Meter, release_freed_memory
from qlops_assets.defs.platform import PIPELINE_TOPIC, Platform

T = TypeVar("T")
_MOST_ROUNDS: Final = 3


@dataclass
class Step:
    """A running step; ``facts`` end up in the journal and in the asset's metadata."""

    facts: dict[str, Any] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        """Return the facts as Dagster metadata."""
        return dict(self.facts)


@contextmanager
def step(
    context: dg.AssetExecutionContext,
    platform: Platform,
    about: Mapping[str, Any],
    on_failure: Callable[[BaseException], Mapping[str, Any]] | None = None,
) -> Iterator[Step]:
    """Record one asset's work: started, finished with its cost, or failed with its error.

    Args:
        context: The running asset's.
        platform: Of the home.
        about: Facts of every event.
        on_failure: Told of every exception, also of Ctrl-C; returns metadata of the failure.

    Raises:
        dagster.Failure: in place of a :class:`QlopsError`, with its message as the description;
            a retry would meet the same error. Where ``on_failure`` is given, in place of every
            other error too; its metadata is what the failure shows.
    """
    asset = context.asset_key.to_user_string()
    facts = {"asset": asset, "run_id": context.run_id, **about}
    platform.journal.append(PIPELINE_TOPIC, "step_started", facts)
    running = Step()
    release_freed_memory()
    try:
        with Meter() as meter:
            yield running
    except BaseException as error:  # also Ctrl-C: a step that began must not look as if it ran on
        kind = type(error).__name__
        failure = {**facts, "error": str(error) or kind, "kind": kind}
        platform.journal.append(PIPELINE_TOPIC, "step_failed", failure)
        metadata = on_failure(error) if on_failure else {}
        is_known = isinstance(error, QlopsError)
        if not is_known and not (on_failure and isinstance(error, Exception)):
            raise
        raise dg.Failure(
            description=str(error) if is_known else f"{kind}: {error}",
            metadata={"error": kind, **metadata},
            allow_retries=not is_known,
        ) from error
    cost = {"wall_s": meter.cost.wall_s, "cpu_s": meter.cost.cpu_s, "peak_mb": meter.cost.peak_mb}
    platform.journal.append(
        PIPELINE_TOPIC, "step_finished", {**facts, **cost, **_plain(running.facts)}
    )
    running.facts.update(cost)


def until_current(
    build: Callable[[Sequence[str]], T],
    behind: Callable[[Sequence[str]], Sequence[str]],
    months: Sequence[str],
) -> list[T]:
    """Build months, and again those whose inputs changed while they were built.

    Automation looks at the order of materializations: a change that comes after the inputs were
    read, and before the rows are materialized, would be taken for one that they contain.

    Args:
        build: Builds months.
        behind: Returns those of the months that are not of their present inputs.
        months: All that are wanted.

    Returns:
        What ``build`` gave each time.
    """
    built = [build(months)]
    while len(built) < _MOST_ROUNDS and (again := behind(months)):
        built.append(build(again))
    return built


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in facts.items() if isinstance(v, (str, int, float, bool))}
