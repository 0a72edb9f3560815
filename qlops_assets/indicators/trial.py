"""An indicator of the user's own tried over the bars of a home, before it becomes one."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import polars as pl

from qlops_assets.core.columns import BARS, DATE, INSTRUMENT
from qlops_assets.core.errors import IndicatorError
from qlops_assets.core.settings import Settings
from qlops_assets.indicators.own import OwnIndicator, own_indicators
from qlops_assets.lake.datasets import bars_dataset

# What one is called that has no name yet.
UNNAMED: Final = "unnamed"
_YEAR: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Span:
    """What an indicator gave on some days; no figures where it gave nothing.

    Attributes:
        first: First day.
        last: Last day.
        rows: Of the bars.
        values: Rows with a value.
        figures: ``min``, ``median`` and ``max`` of the values.
    """

    first: date
    last: date
    rows: int
    values: int
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Trial:
    """What an indicator gave.

    Attributes:
        instruments: How many there are.
        whole: All days.
        year: The newest year.
        day: The newest day.
        seconds: It took so long, with reading the bars.
    """

    instruments: int
    whole: Span
    year: Span
    day: Span
    seconds: float

    @property
    def fault(self) -> str | None:
        """Why it cannot be used; None where it can."""
        if self.whole.values:
            return None
        return (
            f"no value on any of {self.whole.rows:,} rows, {self.whole.first} to "
            f"{self.whole.last}; is a window longer than the history, or is it the logarithm of a "
            "negative number?"
        )

    def to_document(self) -> dict[str, Any]:
        """Return what it found for JSON."""
        return {**asdict(self), "fault": self.fault}


def with_new(settings: Settings, name: str | None, definition: str) -> dict[str, OwnIndicator]:
    """Return the user's own indicators with a new one, in an order in which they can be computed.

    Args:
        settings: Of the home.
        name: Of the new one; ``UNNAMED`` where None.
        definition: A Qlib expression, or ``package.module:function``.

    Raises:
        IndicatorError: the new one cannot be used, or one that is there already.
        FactorError: a factor of the user's own cannot be used.
    """
    there = own_indicators(settings)
    if name is not None and name in there:
        found = f"is {there[name].definition!r} already, in {there[name].where}"
        raise IndicatorError(f"indicator {name}", found, "choose another name")
    new = UNNAMED if name is None else name
    indicators = replace(settings.indicators, own={**settings.indicators.own, new: definition})
    try:
        own = own_indicators(replace(settings, indicators=indicators))
        _ = own[new].version  # which is where a function's module is missed
    except IndicatorError as error:
        where = f"indicator {new}"
        raise IndicatorError(where, error.found, error.accepted, error.excerpt) from error
    return {**own, new: replace(own[new], where="indicator")}


def try_indicator(settings: Settings, own: Mapping[str, OwnIndicator], name: str) -> Trial | None:
    """Compute an own indicator over all bars of a home; return None where there are none.

    Args:
        settings: Of the home.
        own: It and those that it may read.
        name: Which one.

    Raises:
        IndicatorError: it cannot be computed.
    """
    from qlops_assets.indicators.own_values import own_values

    dataset = bars_dataset(settings)
    months = dataset.months()
    if not months:
        return None
    started = time.perf_counter()
    bars = dataset.read(months, columns=BARS[2:])
    rows = own_values(bars, _needed(own, name)).select(INSTRUMENT, DATE, name)
    seconds = round(time.perf_counter() - started, 3)
    last: Any = rows.get_column(DATE).max()
    return Trial(
        instruments=rows.get_column(INSTRUMENT).n_unique(),
        whole=_span(rows, name),
        year=_span(rows.filter(pl.col(DATE) > last - _YEAR), name),
        day=_span(rows.filter(pl.col(DATE) == last), name),
        seconds=seconds,
    )


def _needed(own: Mapping[str, OwnIndicator], name: str) -> dict[str, OwnIndicator]:
    needed = {name}
    for one in reversed(list(own.values())):  # what is read comes before what reads it
        if one.name in needed:
            needed.update(one.reads)
    return {one.name: one for one in own.values() if one.name in needed}


def _span(rows: pl.DataFrame, name: str) -> Span:
    days, values = rows.get_column(DATE), rows.get_column(name).drop_nulls()
    first: Any = days.min()
    last: Any = days.max()
    found: dict[str, Any] = {
        "min": values.min(),
        "median": values.median(),
        "max": values.max(),
    }
    figures = {key: float(value) for key, value in found.items() if value is not None}
    return Span(first, last, rows.height, values.len(), figures)
