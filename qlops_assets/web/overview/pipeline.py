"""The steps of the main job, as they last ran."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from qlops_assets.core.journal import Event, Journal
from qlops_assets.web.wording import count, decimal

TOPIC: Final = "pipeline"
_STATES: Final = {
    "step_started": "running",
    "step_finished": "finished",
    "step_failed": "failed",
    "step_skipped": "skipped",
}


def pipeline_steps(journal: Journal) -> list[dict[str, Any]]:
    """Return each step's last run, in the order in which they last started."""
    steps: dict[str, dict[str, Any]] = {}
    latest = None
    for event in journal.read_all(TOPIC):
        if event.kind == "progress" and latest in steps:
            steps[latest]["progress"] = _progress(event.data)
        name = step_name(event.data)
        if event.kind not in _STATES or name is None:
            continue
        if event.kind == "step_started":
            steps.pop(name, None)  # it goes to the end
            latest = name
        started_at = steps[name]["started_at"] if name in steps else event.at.isoformat()
        steps[name] = {**_step(name, event), "started_at": started_at}
    return list(steps.values())


def step_name(data: Mapping[str, Any]) -> str | None:
    """Return a step's name: its asset, and the environment where it is done once for each."""
    name, environment = data.get("asset") or data.get("step"), data.get("environment")
    return f"{name} {environment}" if name and environment else name


def _step(name: str, event: Event) -> dict[str, Any]:
    return {
        "step": name,
        "state": _STATES[event.kind],
        "rows": event.data.get("rows"),
        "wall_s": event.data.get("wall_s"),
        "peak_mb": event.data.get("peak_mb"),
        "note": " · ".join(_note(event.data)),
        "progress": None,
        "at": event.at.isoformat(),
    }


def _progress(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data.get(name) for name in ("stage", "step", "total")}


def _note(data: Mapping[str, Any]) -> Iterable[str]:
    """Return what a step says of its work, in the words that are worth a line."""
    if reason := data.get("error") or data.get("reason"):
        yield str(reason)
    for name in ("months", "factors", "instruments", "features"):
        if data.get(name) is not None:
            yield f"{count(data[name])} {name}"
    if data.get("best_iteration") is not None:
        yield f"best iteration {count(data['best_iteration'])} of {count(data.get('iterations'))}"
    if data.get("rank_ic") is not None:
        yield f"Rank IC {decimal(data['rank_ic'])}"
