"""The life of a model version as a table: ``(state, event) -> next state``."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class ModelState(StrEnum):
    """Where a model version stands."""

    TRAINING = "training"
    TRAINED = "trained"
    VALIDATED = "validated"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"
    RETIRED = "retired"


class ModelEvent(StrEnum):
    """What can happen to a model version."""

    STARTED = "started"
    TRAINED = "trained"
    VALIDATED = "validated"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EVALUATION_FAILED = "evaluation_failed"
    STAGED = "staged"
    PROMOTED = "promoted"
    SUPERSEDED = "superseded"
    RETIRED = "retired"
    RECORDED = "recorded"


_S, _E = ModelState, ModelEvent

NEXT: Mapping[tuple[ModelState | None, ModelEvent], ModelState] = MappingProxyType(
    {
        (None, _E.STARTED): _S.TRAINING,
        # A training that was killed, failed or was cancelled starts again as another attempt.
        (_S.TRAINING, _E.STARTED): _S.TRAINING,
        (_S.FAILED, _E.STARTED): _S.TRAINING,
        (_S.CANCELLED, _E.STARTED): _S.TRAINING,
        (_S.TRAINED, _E.STARTED): _S.TRAINING,
        (_S.TRAINING, _E.TRAINED): _S.TRAINED,
        # Also while its data are prepared, which is before a training starts.
        (None, _E.FAILED): _S.FAILED,
        (_S.TRAINING, _E.FAILED): _S.FAILED,
        (_S.TRAINED, _E.FAILED): _S.FAILED,
        (_S.FAILED, _E.FAILED): _S.FAILED,
        (_S.CANCELLED, _E.FAILED): _S.FAILED,
        (None, _E.CANCELLED): _S.CANCELLED,
        (_S.TRAINING, _E.CANCELLED): _S.CANCELLED,
        (_S.TRAINED, _E.CANCELLED): _S.CANCELLED,
        (_S.FAILED, _E.CANCELLED): _S.CANCELLED,
        (_S.CANCELLED, _E.CANCELLED): _S.CANCELLED,
        # The model is whole; it can be evaluated again without being trained again.
        (_S.TRAINED, _E.EVALUATION_FAILED): _S.TRAINED,
        (_S.TRAINED, _E.VALIDATED): _S.VALIDATED,
        (_S.TRAINED, _E.REJECTED): _S.REJECTED,
        (_S.VALIDATED, _E.STAGED): _S.STAGING,
        (_S.STAGING, _E.PROMOTED): _S.PRODUCTION,
        (_S.STAGING, _E.SUPERSEDED): _S.ARCHIVED,
        (_S.PRODUCTION, _E.SUPERSEDED): _S.ARCHIVED,
        (_S.ARCHIVED, _E.STAGED): _S.STAGING,
        (_S.ARCHIVED, _E.PROMOTED): _S.PRODUCTION,
        (_S.VALIDATED, _E.RETIRED): _S.RETIRED,
        (_S.REJECTED, _E.RETIRED): _S.RETIRED,
        (_S.FAILED, _E.RETIRED): _S.RETIRED,
        (_S.CANCELLED, _E.RETIRED): _S.RETIRED,
        (_S.ARCHIVED, _E.RETIRED): _S.RETIRED,
        # Where its training is recorded for others became known: that changes no state.
        **{(state, _E.RECORDED): state for state in _S},
    }
)


def next_state(state: ModelState | None, event: ModelEvent) -> ModelState | None:
    """Return the state after an event, or None where the event is not allowed."""
    return NEXT.get((state, event))


def allowed_events(state: ModelState | None) -> list[ModelEvent]:
    """Return the events that a state can take."""
    return [event for (source, event) in NEXT if source == state]
