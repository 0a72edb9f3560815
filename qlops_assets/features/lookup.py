"""The feature rows that a model server scores, from the newest version of the feature table."""

from collections.abc import Mapping, Sequence
from datetime import date
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
from qlops_assets.features.version import FeatureVersion
from qlops_assets.indicators.store import INDICATORS

_DEFINED_BY_USERS = (CUSTOM, INDICATORS)


class StoredFeatures:
    """The ``FeatureLookup`` over the feature table; keeps the last days in memory."""

    def __init__(self, settings: Settings) -> None:
        self._store = FeatureStore(settings)
        self._version: FeatureVersion | None = None
        # By number: what a version holds of a day never changes.
        self._day = lru_cache(maxsize=8)(self._read_day)

    def rows(
        self,
        day: date,
        features: Sequence[str],
        instruments: Sequence[str] | None = None,
        *,
        expressions: Mapping[str, str] | None = None,
    ) -> FeatureRows:
        """Return a day's rows, in the order asked for; all instruments by code where None.

        An instrument without a row that day is left out.

        Args:
            day: The day.
            features: Names of columns of the feature table.
            instruments: Only these.
            expressions: What columns of the user's own must have been computed by.

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
        _require_same(version, day, {n: (expressions or {}).get(n) for n in features})
        if instruments is not None:
            wanted = pl.DataFrame({INSTRUMENT: list(instruments)}, schema={INSTRUMENT: pl.String})
            frame = wanted.join(frame, on=INSTRUMENT, how="inner", maintain_order="left")
        values = np.ascontiguousarray(frame.select(features).to_numpy(), dtype=np.float32)
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
