"""All windows of a series and where each stands: what to train next."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.lake.calendar import trading_days
from qlops_assets.registry.registry import ModelCard
from qlops_assets.training.rolling.asks import Ask, asks_of
from qlops_assets.training.rolling.outcomes import (
    Found,
    Observer,
    Outcome,
    WindowState,
    state_of,
)
from qlops_assets.training.rolling.series import Series, series_of
from qlops_assets.training.rolling.windows import Window

_OPEN: Final = (WindowState.DUE, WindowState.FAILED, WindowState.GIVEN_UP)


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """A window and where it stands.

    Attributes:
        window: Its days on the calendar of now.
        state: Where it stands.
        asks: How often it was asked for.
        last: The ask that trained it, else the last; None where nobody asked.
        found: What became of that.
    """

    window: Window
    state: WindowState
    asks: int
    last: Ask | None = None
    found: Found | None = None

    @property
    def number(self) -> int:
        """Its place in the series."""
        return self.window.number

    @property
    def is_open(self) -> bool:
        """Whether it can be trained, and is not."""
        return self.state in _OPEN

    @property
    def card(self) -> ModelCard | None:
        """Of the version that it is trained as, where it is."""
        return self.found.card if self.found else None

    @property
    def version(self) -> str | None:
        """The version that it was last asked for as."""
        return self.last.version if self.last else None

    @property
    def why(self) -> str:
        """What there is to say beside the state."""
        if self.state == WindowState.NOT_YET:
            return f"{self.window.test_days} of {self.window.step_days} test days are there"
        if self.state == WindowState.TRAINING and self.last:
            return f"asked for by {self.last.by} on {self.last.at:%Y-%m-%d %H:%M} UTC"
        if self.state in (WindowState.FAILED, WindowState.GIVEN_UP) and self.found:
            times = "once" if self.asks == 1 else f"{self.asks} times"
            return f"tried {times}; {self.found.outcome}: {self.found.why}"
        return ""

    def days(self) -> dict[str, list[str | None]]:
        """Return first and last day of each segment: those it was trained on, where it was."""
        trained_on = self.last.segments if self.last and self.card else None
        shown = trained_on or self.window
        return {
            name: [day.isoformat() if day else None for day in getattr(shown, name)]
            for name in ("train", "valid", "test")
        }

    def to_json(self) -> dict[str, Any]:
        """Return the document that the command line prints."""
        metrics = self.card.facts["metrics"] if self.card else {}
        return {
            "window": self.number,
            "state": str(self.state),
            "why": self.why,
            **self.days(),
            "test_days": self.window.test_days,
            "model_version": self.version,
            "model_state": str(self.card.state) if self.card else None,
            "attempts": self.asks,
            "ic": metrics.get("ic"),
            "rank_ic": metrics.get("rank_ic"),
        }


@dataclass(frozen=True, slots=True)
class RollingPlan:
    """Every window of a series, the one that is not whole yet as the last.

    Attributes:
        series: The recipe's.
        windows: In order.
    """

    series: Series
    windows: tuple[PlannedWindow, ...]

    @property
    def whole(self) -> tuple[PlannedWindow, ...]:
        """Those whose test days are all in the lake."""
        return tuple(one for one in self.windows if one.window.is_whole)

    @property
    def newest(self) -> PlannedWindow | None:
        """The newest whole window, which is the one that a schedule trains."""
        return self.whole[-1] if self.whole else None

    @property
    def next(self) -> PlannedWindow:
        """The window that is not whole yet."""
        return self.windows[-1]

    def chosen(self, last: int | None = None, *, every: bool = False) -> list[PlannedWindow]:
        """Return the windows that a person means, in order, whatever their state.

        Args:
            last: The newest so many.
            every: All of them.

        Returns:
            Where neither is given, those after the newest trained one; where none is trained, the
            newest alone.

        Raises:
            TrainingError: there are not so many.
        """
        whole = self.whole
        if last is not None and not whole:
            raise TrainingError(f"window 1 is not whole yet: {self.next.why}")
        if last is not None and not 1 <= last <= len(whole):
            raise TrainingError(
                f"the last {last} windows: must be 1 to {len(whole)}; so many have all days of "
                "their test in the lake"
            )
        if last is not None or every:
            return list(whole[-last:] if last else whole)
        trained = [one.number for one in whole if one.state == WindowState.TRAINED]
        if not trained:
            return list(whole[-1:])
        return [one for one in whole if one.number > trained[-1]]


def rolling_plan(
    settings: Settings, journal: Journal, *, now: datetime, queued: Collection[str] = ()
) -> RollingPlan:
    """Return the windows of the settings' recipe, and where each stands.

    Args:
        settings: Of the home, with the recipe in ``[training]``, and ``[rolling]``.
        journal: Of the home.
        now: The moment to judge by.
        queued: Versions whose run waits, or has only just been started.

    Raises:
        DatasetMissingError: there are no bars yet.
        SettingsError: ``[rolling]`` makes no window.
        TrainingError: the recipe's segments contradict each other, or there is no room for them.
    """
    calendar = trading_days(settings)
    series = series_of(settings, journal, calendar)
    return plan_of(series, calendar, Observer(journal, settings.models, now, queued))


def plan_of(series: Series, calendar: Sequence[date], observer: Observer) -> RollingPlan:
    """Return the windows of a series on a calendar, and where each stands to an observer."""
    asks = asks_of(observer.journal.read_all(series.topic))
    planned = [
        _planned(one, asks.get(one.number, []), observer) for one in series.windows(calendar)
    ]
    return RollingPlan(series, tuple(planned))


def _planned(window: Window, asks: list[Ask], observer: Observer) -> PlannedWindow:
    last, found = _decisive(asks, observer)
    if not window.is_whole and (found is None or found.outcome != Outcome.TRAINED):
        return PlannedWindow(window, WindowState.NOT_YET, len(asks), last, found)
    return PlannedWindow(window, state_of(found, len(asks)), len(asks), last, found)


def _decisive(asks: list[Ask], observer: Observer) -> tuple[Ask | None, Found | None]:
    """Return the ask that trained the window, else one that may yet, else the last."""
    seen = [(ask, observer.found(ask)) for ask in reversed(asks)]
    for outcomes in ((Outcome.TRAINED,), (Outcome.RUNNING, Outcome.WAITING)):
        for ask, found in seen:
            if found.outcome in outcomes:
                return ask, found
    return seen[0] if seen else (None, None)
