"""The last events of the journal, in words."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from qlops_assets.core.journal import Event, Journal
from qlops_assets.core.studies import words as study_words
from qlops_assets.core.trainings.words import PREFIX
from qlops_assets.web.overview.pipeline import step_name
from qlops_assets.web.wording import count, duration, megabytes

_SHOWN: Final = 14
_WINDOW: Final = 1000
_LONGEST: Final = 180

_SPOKEN: Final = ("text", "message", "reason", "why")
_GOOD: Final = frozenset(
    {"approved", "completed", "promoted", "staged", "step_finished", "trained", "validated"}
)
_BAD: Final = frozenset({"check_failed", "evaluation_failed", "failed", "rejected", "step_failed"})
# What the pipeline and the registry say in the same moment; left to the page of the training.
_OF_TRAININGS: Final = frozenset({"started", "finished", "failed", "cancelled"})


def last_events(journal: Journal, last_seq: int, shown: int = _SHOWN) -> list[dict[str, Any]]:
    """Return the newest events, newest first; progress reports are left to the charts."""
    found: list[Event] = []
    upper = last_seq
    while upper > 0 and len(found) < shown:
        after = max(0, upper - _WINDOW)
        window = [e for e in journal.read(after=after, limit=_WINDOW) if e.seq <= upper]
        found.extend(filter(_is_news, reversed(window)))
        upper = after
    return [_line(event) for event in found[:shown]]


def _is_news(event: Event) -> bool:
    if event.topic.startswith(study_words.PREFIX):  # a study has thousands; its page tells them
        return event.kind == study_words.CANCEL_REQUESTED
    is_told_elsewhere = event.topic.startswith(PREFIX) and event.kind in _OF_TRAININGS
    return event.kind != "progress" and not is_told_elsewhere


def _line(event: Event) -> dict[str, Any]:
    tone = "good" if event.kind in _GOOD else "bad" if event.kind in _BAD else "plain"
    return {
        "seq": event.seq,
        "at": event.at.isoformat(),
        "topic": event.topic,
        "kind": event.kind,
        "tone": tone,
        "text": describe(event),
    }


def describe(event: Event) -> str:
    """Return what an event says, in one line."""
    room = event.topic.partition("/")[0]
    parts = _ROOMS.get(room, _plain)(event.data)
    text = " · ".join(part for part in parts if part)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _model(data: Mapping[str, Any]) -> Iterable[str]:
    yield f"{data.get('from') or 'new'} → {data.get('to')}"
    yield str(data.get("why") or "")
    yield f"by {data['by']}" if data.get("by") else ""


def _deployment(data: Mapping[str, Any]) -> Iterable[str]:
    yield str(data.get("model_version") or "")
    yield str(data.get("error") or data.get("why") or "")
    yield f"by {data['by']}" if data.get("by") else ""


def _pipeline(data: Mapping[str, Any]) -> Iterable[str]:
    yield step_name(data) or ""
    yield str(data.get("error") or data.get("reason") or "")
    yield f"{count(data['rows'])} rows" if data.get("rows") is not None else ""
    yield duration(data["wall_s"]) if data.get("wall_s") is not None else ""
    yield megabytes(data["peak_mb"]) if data.get("peak_mb") is not None else ""


def _plain(data: Mapping[str, Any]) -> Iterable[str]:
    for key, value in data.items():
        if isinstance(value, str | int | float):
            yield str(value) if key in _SPOKEN else f"{key} {value}"


def _training(data: Mapping[str, Any]) -> Iterable[str]:
    yield f"attempt {data['attempt']}" if data.get("attempt") else ""
    yield str(data.get("why") or "")
    yield f"by {data['by']}" if data.get("by") else ""


_ROOMS: Final = {
    "model": _model,
    "deployment": _deployment,
    "pipeline": _pipeline,
    "training": _training,
    "study": _training,
}
