"""The series of a recipe's windows: what tells it from every other, and where its first one is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from qlops_assets.core.digests import value_digest
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.training.recipes import recipe_of
from qlops_assets.training.rolling.windows import Window, require_rolling, rolling_windows
from qlops_assets.training.segments import Segments, split_calendar

PREFIX: Final = "rolling/"
BEGAN: Final = "began"


@dataclass(frozen=True, slots=True)
class Series:
    """The windows of one recipe on one source.

    Attributes:
        settings: Of the home, with the recipe.
        topic: Of its events in the journal.
        first: Segments of the first window; of its test only the first day counts.
        has_begun: Whether a window was asked for: ``first`` is then what it was at that time.
    """

    settings: Settings
    topic: str
    first: Segments
    has_begun: bool

    @property
    def digest(self) -> str:
        """What tells it from every other."""
        return self.topic.removeprefix(PREFIX)

    def windows(self, calendar: Sequence[date]) -> list[Window]:
        """Return every whole window of a calendar, and the one that is not whole yet."""
        rolling = self.settings.rolling
        return rolling_windows(calendar, self.first, step_days=rolling.step_days, kind=rolling.kind)

    def settings_of(self, window: Window) -> Settings:
        """Return the settings that train a window: the recipe with its days as segments."""
        days = {name: getattr(window.segments, name) for name in ("train", "valid", "test")}
        training = replace(self.settings.training, segments=days, train_end=None, valid_end=None)
        return replace(self.settings, training=training)

    def began(self) -> dict[str, Any]:
        """Return what the journal keeps of its beginning."""
        return {"first": self.first.to_json(), **_identity(self.settings)}


def series_of(settings: Settings, journal: Journal, calendar: Sequence[date]) -> Series:
    """Return the series of the settings' recipe.

    The first window is the recipe's segments: those given, or those of ``train_end`` and
    ``valid_end``, or of the shares. Shares are those of the calendar on the day on which a window
    is first asked for: they would move every day otherwise.

    Args:
        settings: With the recipe in ``[training]``, and ``[rolling]``.
        journal: Of the home.
        calendar: All trading days, in order.

    Raises:
        SettingsError: ``[rolling]`` makes no window.
        TrainingError: the recipe's segments contradict each other, or there is no room for them.
    """
    require_rolling(settings.rolling)
    topic = PREFIX + value_digest(_identity(settings))[:16]
    events = journal.read(topic, limit=1)
    if events:
        return Series(settings, topic, segments_from(events[0].data["first"]), has_begun=True)
    return Series(settings, topic, _first(settings, calendar), has_begun=False)


def segments_from(document: Mapping[str, Sequence[str]]) -> Segments:
    """Return segments from their ISO dates by name."""
    days = {name: tuple(map(date.fromisoformat, pair)) for name, pair in document.items()}
    return Segments(**days)  # type: ignore[arg-type]


def _first(settings: Settings, calendar: Sequence[date]) -> Segments:
    training = settings.training
    if "test" in training.segments and calendar:
        # Windows go on for as long as there are days; its own last day says nothing about them.
        begin, *end = training.segments["test"]
        if len(end) == 1 and begin <= calendar[-1]:
            test = (begin, max(*end, calendar[-1]))
            training = replace(training, segments={**training.segments, "test": test})
    return split_calendar(calendar, training)


def _identity(settings: Settings) -> dict[str, Any]:
    """Return what tells a series from every other.

    What is as by default is left out: a setting that a later release knows changes nothing.
    """
    recipe, default = recipe_of(settings), recipe_of(Settings())
    rolling = settings.rolling
    return {
        "recipe": {
            name: {k: v for k, v in table.items() if v != default.get(name, {}).get(k)}
            for name, table in recipe.items()
        },
        "step_days": rolling.step_days,
        "kind": rolling.kind,
        "source": settings.source_name,
        "universe": settings.universe.name,
    }
