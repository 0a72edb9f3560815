"""The feature rows that a model server scores, from the newest version of the feature table."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.errors import (
    DatasetMissingError,
    ExpressionError,
    FeatureDefinitionError,
    FeatureTableError,
    nearest,
)
from qlops_assets.core.months import month_of
from qlops_assets.core.prediction import FeatureRows
from qlops_assets.core.settings import Settings
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.grammar.render import render
from qlops_assets.factors.sets import ALPHA158, CUSTOM
from qlops_assets.features.parts import PART_ROWS
from qlops_assets.features.refresh import TABLE
from qlops_assets.features.store import FeatureStore
from qlops_assets.features.version import FeatureVersion, FrameSpec
from qlops_assets.indicators.store import INDICATORS
from qlops_assets.models.networks.windows import filled_from

_DEFINED_BY_USERS = (CUSTOM, INDICATORS)


class StoredFeatures:
    """The ``FeatureLookup`` over the feature table; keeps the last days in memory."""

    def __init__(self, settings: Settings) -> None:
        self._store = FeatureStore(settings)
        self._version: FeatureVersion | None = None
        # By number: what a version holds of a day never changes.
        self._day = lru_cache(maxsize=8)(self._read_day)
        self._window = lru_cache(maxsize=4)(self._read_window)

    def rows(
        self,
        day: date,
        features: Sequence[str],
        instruments: Sequence[str] | None = None,
        *,
        expressions: Mapping[str, str] | None = None,
        window: int = 1,
    ) -> FeatureRows:
        """Return a day's rows, in the order asked for; all instruments by code where None.

        An instrument without a row that day is left out.

        Args:
            day: The day.
            features: Names of columns of the feature table.
            instruments: Only these.
            expressions: What columns of the user's own must have been computed by.
            window: Days that a row takes, ending with this one, the oldest first. A day that an
                instrument has no row of has those of the day before, or of the first there is.

        Raises:
            DatasetMissingError: there are no rows for that day.
            FeatureDefinitionError: a column was computed by another expression.
            FeatureTableError: a feature is not stored.
        """
        version = self._newest()
        if version is None:
            raise DatasetMissingError(TABLE, [str(day)], f"materialize {TABLE} first")
        for part in _parts_of(version, features):
            _require_day(version, part, day)
        frame = self._day(version.number, day)
        if frame.is_empty():
            newest = f"the newest day with rows is {version.last_day}"
            raise DatasetMissingError(TABLE, [str(day)], newest)
        expected = {name: (expressions or {}).get(name) for name in features}
        _require_same(version, day, expected)
        if window > 1:
            first, frame = self._window(version.number, day, window)
            _require_same(version, first, expected)
        if instruments is not None:
            wanted = pl.DataFrame({INSTRUMENT: list(instruments)}, schema={INSTRUMENT: pl.String})
            frame = wanted.join(frame, on=INSTRUMENT, how="inner", maintain_order="left")
        names = [_of_day(name, back) for back in range(window - 1, -1, -1) for name in features]
        values = np.ascontiguousarray(frame.select(names).to_numpy(), dtype=np.float32)
        return FeatureRows(day, frame.get_column(INSTRUMENT).to_list(), values)

    def last_date(self) -> date | None:
        """Return the newest day that has rows, of Alpha158 where there are any of it, or None."""
        version = self._newest()
        return version.last_day_of(ALPHA158) or version.last_day if version else None

    def _newest(self) -> FeatureVersion | None:
        """Return the newest version; the same object while there is no newer one."""
        latest = self._store.latest()
        if latest is None or self._version is None or latest.number != self._version.number:
            self._version = latest
        return self._version

    def _read_day(self, _number: int, day: date) -> pl.DataFrame:
        assert self._version is not None
        return pl.DataFrame(pl.from_arrow(self._version.online(day))).drop(DATE)

    def _read_window(self, _number: int, day: date, window: int) -> tuple[date, pl.DataFrame]:
        """Return the window's first day, and every column of a day once for each of its days."""
        assert self._version is not None
        rows = _days_until(self._version, day, window)
        days = rows.get_column(DATE).unique().sort()
        own = rows.filter(pl.col(DATE) == day).select(INSTRUMENT)
        grid = own.join(pl.DataFrame({DATE: days}), how="cross").join(
            rows.with_row_index("place"), on=[INSTRUMENT, DATE], how="left", maintain_order="left"
        )
        places = grid.get_column("place").cast(pl.Float64).to_numpy()
        found = places.reshape(own.height, len(days))
        taken = np.take_along_axis(found, filled_from(~np.isnan(found)), axis=1).astype(np.int64)
        # A table that begins within the window has its first day as often as is missing.
        taken = np.pad(taken, ((0, 0), (window - len(days), 0)), mode="edge")
        values = rows.drop(INSTRUMENT, DATE)
        columns = [
            column.alias(_of_day(column.name, window - 1 - place))
            for place in range(window)
            for column in values[taken[:, place]].get_columns()
        ]
        return days[0], own.hstack(columns)


def _of_day(name: str, back: int) -> str:
    return name if back == 0 else f"{name}[-{back}]"


def _days_until(version: FeatureVersion, day: date, window: int) -> pl.DataFrame:
    """Return the rows of so many of the table's days, up to one of them."""
    reach = 2 * window + 30  # days of the calendar; holidays are seldom longer than a fortnight
    while True:
        first = day - timedelta(days=reach)
        frame = version.training_frame(FrameSpec(first=first, last=day))
        rows = pl.DataFrame(pl.from_arrow(frame))
        days = rows.get_column(DATE).unique().sort()
        if len(days) >= window or not any(s.first < first for s in version.months.values()):
            return rows.filter(pl.col(DATE).is_in(days.tail(window).implode()))
        reach *= 2


def _parts_of(version: FeatureVersion, features: Sequence[str]) -> list[str]:
    owners = {name: part for part, names in version.parts.items() for name in names}
    for name in features:
        if name not in owners:
            hint = nearest(name, version.columns)
            raise FeatureTableError(f"feature {name!r} is not stored in {TABLE}{hint}")
    return sorted({owners[name] for name in features})


def _require_day(version: FeatureVersion, part: str, day: date) -> None:
    """Refuse a day that a set does not reach: its values would all be missing."""
    state = version.months.get(month_of(day))
    if state is None or day > state.ends.get(part, date.min):
        newest = f"the newest day with rows is {version.last_day_of(part)}"
        raise DatasetMissingError(PART_ROWS[part], [str(day)], newest)


def _require_same(version: FeatureVersion, day: date, expected: Mapping[str, str | None]) -> None:
    """Refuse columns of the user's own that were computed by another expression."""
    asked = {name: text for name, text in expected.items() if text is not None}
    if not asked:
        return
    month = month_of(day)
    stored: dict[str, str] = {}
    for part in _DEFINED_BY_USERS:
        stored |= version.definitions(part, month) or {}
    for name, expression in asked.items():
        if not is_same(stored.get(name), expression):
            raise FeatureDefinitionError(name, month, stored.get(name), expression)


def is_same(one: str | None, other: str) -> bool:
    """Return whether two texts are of one expression, however they are spaced."""
    if one is None or one == other:
        return one == other
    try:
        return render(parse(one)) == render(parse(other))
    except ExpressionError:  # a Python function is no expression
        return False
