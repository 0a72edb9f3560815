"""What was asked for: events on the topic of a series, folded; and asking, which one process wins.

An ask is for one window and names the version that it became. Which windows were asked for is known
from these events alone: a version is named after all days of the lake, so that the same window has
another name tomorrow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from qlops_assets.core.journal import Event, Journal
from qlops_assets.training.recipes import keep_recipe
from qlops_assets.training.rolling.series import BEGAN, Series, segments_from
from qlops_assets.training.rolling.windows import Window
from qlops_assets.training.segments import Segments
from qlops_assets.training.spec import training_spec

ASKED: Final = "asked"
ENDED: Final = "ended"


@dataclass(frozen=True, slots=True)
class Ask:
    """A window that was asked for.

    Attributes:
        seq: Place of the event in the journal: what its version's topic tells later is its doing.
        at: When.
        window: Number of the window.
        number: Which ask of this window; the first is 1.
        version: The model version that it became.
        segments: Its days at that time.
        by: Who asked.
        tick: The moment that a schedule was evaluated for; None where a person asked.
        has_ended: Whether who asked ran it to its end, or was interrupted: no more comes of it.
    """

    seq: int
    at: datetime
    window: int
    number: int
    version: str
    segments: Segments
    by: str
    tick: str | None
    has_ended: bool = False


def asks_of(events: Iterable[Event]) -> dict[int, list[Ask]]:
    """Return the asks of a series by window, oldest first."""
    found: dict[int, list[Ask]] = {}
    for event in events:
        if event.kind == ASKED:
            ask = _ask(event)
            found.setdefault(ask.window, []).append(ask)
        elif event.kind == ENDED:
            asks, place = found[event.data["window"]], event.data["number"] - 1
            asks[place] = replace(asks[place], has_ended=True)
    return found


def name_version(series: Series, window: Window) -> str:
    """Return the version that a window is trained as on the lake of now, and keep its recipe.

    The run that trains it is another process, which finds the recipe beside the version.

    Raises:
        QlopsError: the lake has not what the recipe needs.
    """
    settings = series.settings_of(window)
    version = training_spec(settings).version
    keep_recipe(settings, version)
    return version


def ask_for(
    journal: Journal,
    series: Series,
    window: Window,
    version: str,
    *,
    before: int,
    by: str,
    tick: str | None = None,
) -> Ask | None:
    """Write down that a window is to be trained; only who did may train it.

    Args:
        journal: Of the home.
        series: Of the window.
        window: A whole one.
        version: What it is trained as.
        before: How often it was asked for so far.
        by: Who asks.
        tick: The moment that a schedule is evaluated for.

    Returns:
        The ask; None where another process was faster, or began the series elsewhere.
    """
    began = series.began()
    if not series.has_begun and not _begun(journal, series.topic, began):
        return None
    number = before + 1
    data = {
        "window": window.number,
        "number": number,
        "version": version,
        "segments": window.segments.to_json(),
        "by": by,
        "tick": tick,
    }
    key = f"{series.topic}/{window.number}#{number}"
    event = journal.claim(series.topic, ASKED, data, once=key)
    return None if event is None else _ask(event)


def end_ask(journal: Journal, series: Series, ask: Ask) -> None:
    """Write down that no more comes of an ask than its training has told."""
    journal.append(series.topic, ENDED, {"window": ask.window, "number": ask.number})


def _begun(journal: Journal, topic: str, began: Mapping[str, Any]) -> bool:
    """Return whether the series has begun with this first window."""
    if journal.claim(topic, BEGAN, began, once=f"{topic}#{BEGAN}"):
        return True
    return bool(journal.read(topic, limit=1)[0].data["first"] == began["first"])


def _ask(event: Event) -> Ask:
    data = event.data
    return Ask(
        event.seq,
        event.at,
        data["window"],
        data["number"],
        data["version"],
        segments_from(data["segments"]),
        data["by"],
        data["tick"],
    )
