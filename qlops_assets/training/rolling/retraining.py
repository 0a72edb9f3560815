"""What a schedule does each time it looks: ask for the newest window, or say why not."""

from collections.abc import Callable

from qlops_assets.core.journal import Journal
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent, next_state
from qlops_assets.training.rolling.asks import Ask, ask_for, name_version
from qlops_assets.training.rolling.outcomes import WindowState
from qlops_assets.training.rolling.plan import PlannedWindow, RollingPlan
from qlops_assets.training.rolling.series import Series
from qlops_assets.training.rolling.windows import Window


def ask_newest(
    plan: RollingPlan,
    journal: Journal,
    *,
    by: str,
    tick: str,
    name: Callable[[Series, Window], str] = name_version,
) -> Ask | str:
    """Return what is to be trained now, or why nothing is.

    Args:
        plan: Of this moment.
        journal: Of the home.
        by: Who asks.
        tick: The moment that the schedule is evaluated for. Where its process died in between it
            is evaluated for the same again, and the answer is the same.
        name: Names the version that a window is trained as.

    Raises:
        QlopsError: the lake has not what the recipe needs.
    """
    newest = plan.newest
    if newest is None:
        return f"window {plan.next.number}: {plan.next.why}"
    if newest.last is not None and newest.last.tick == tick:
        return newest.last
    if reason := _reason_to_wait(plan, newest):
        return reason
    version = name(plan.series, newest.window)
    ask = ask_for(
        journal, plan.series, newest.window, version, before=newest.asks, by=by, tick=tick
    )
    if ask is None:
        return f"window {newest.number} was asked for by another process just now"
    state = Registry(journal).state(version)
    if next_state(state, ModelEvent.STARTED) is None:
        return f"window {newest.number} is {version}, which is {state} already"
    return ask


def _reason_to_wait(plan: RollingPlan, newest: PlannedWindow) -> str | None:
    named = f"window {newest.number}"
    if newest.state == WindowState.TRAINED:
        return f"{named} is trained as {newest.version}; window {plan.next.number}: {plan.next.why}"
    if newest.state == WindowState.TRAINING:
        return f"{named} is in training as {newest.version}, {newest.why}"
    if newest.state == WindowState.GIVEN_UP:
        return f"{named} is given up: {newest.why}; `qlops train rolling` tries it again"
    return None
