"""One published version of the feature table, to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.digests import combined_digest
from qlops_assets.core.errors import FeatureTableError, nearest
from qlops_assets.core.months import month_of
from qlops_assets.features.order import in_order
from qlops_assets.features.publications import MonthState, Publication
from qlops_assets.features.table import KEYS, LanceTable, literal, of_day, scanned


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """Which part of the table is wanted; everything where None.

    Attributes:
        columns: Names beside date and instrument, in the order wanted.
        first: First day.
        last: Last day.
        instruments: Their codes.
    """

    columns: Sequence[str] | None = None
    first: date | None = None
    last: date | None = None
    instruments: Sequence[str] | None = None


class FeatureVersion:
    """A version of the table; what it gives never changes.

    Rows are by date and instrument. Values are Float32, NaN where there is none.
    """

    def __init__(self, publication: Publication, table: LanceTable) -> None:
        self._publication, self._table = publication, table

    @property
    def number(self) -> int:
        """Its number among the published versions."""
        return self._publication.number

    @property
    def table_version(self) -> int:
        """Lance's own number of it."""
        return self._publication.table_version

    @property
    def published_at(self) -> datetime:
        """When it was published."""
        return self._publication.published_at

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns beside date and instrument."""
        return self._publication.columns

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self._publication.rows

    @property
    def months(self) -> Mapping[str, MonthState]:
        """What each month holds."""
        return self._publication.months

    @property
    def last_day(self) -> date | None:
        """The newest day with rows, or None where there is none."""
        return max((month.last for month in self.months.values()), default=None)

    @property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """The columns of each set."""
        return self._publication.parts

    def last_day_of(self, part: str) -> date | None:
        """Return the newest day that a set has rows of, or None where there is none."""
        return max((m.ends[part] for m in self.months.values() if part in m.ends), default=None)

    def definitions(self, part: str, month: str) -> Mapping[str, str] | None:
        """Return what a set's own columns of a month were computed by; None without rows of it."""
        state = self.months.get(month)
        if state is None or part not in state.parts:
            return None
        return self._publication.definitions.get(state.parts[part].code, {})

    def row_digests(self, parts: Sequence[str]) -> dict[str, str]:
        """Return the digest of all rows of each of these sets."""
        return {
            part: combined_digest(
                state.parts[part].digest for state in self.months.values() if part in state.parts
            )
            for part in parts
        }

    def training_frame(self, spec: FrameSpec | None = None) -> pa.Table:
        """Return ``date, instrument`` and columns, by date and instrument.

        Its columns are Arrow's, without nulls: each chunk is a NumPy array without a copy.

        Raises:
            FeatureTableError: a column is unknown, or the version was let go meanwhile.
        """
        wanted = spec or FrameSpec()
        columns = [*KEYS, *self._known(wanted.columns)]
        fragments = [
            fragment
            for fragment, first, last in self._fragments
            if (wanted.last is None or first <= wanted.last)
            and (wanted.first is None or last >= wanted.first)
        ]
        if not fragments:
            return self._empty(columns)
        rows = scanned(self._dataset, columns, fragments, _condition(wanted))
        return in_order(rows)

    def online(
        self,
        day: date,
        instruments: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return a day's rows: ``date, instrument`` and columns, by instrument.

        A day or an instrument that has no row is left out.

        Args:
            day: The day.
            instruments: Only these; all where None.
            columns: Only these, in this order; all where None.

        Raises:
            FeatureTableError: a column is unknown, or the version was let go meanwhile.
        """
        wanted = [*KEYS, *self._known(columns)]
        state = self.months.get(month_of(day))
        if state is None or not state.first <= day <= state.last:
            return self._empty(wanted)
        rows = of_day(self._dataset, wanted, day)
        if instruments is not None:
            rows = rows.filter(pc.field(INSTRUMENT).isin(list(instruments)))
        return in_order(rows)

    def _empty(self, columns: Sequence[str]) -> pa.Table:
        schema = self._dataset.schema
        return pa.schema([schema.field(name) for name in columns]).empty_table()

    def _known(self, columns: Sequence[str] | None) -> Sequence[str]:
        if columns is None:
            return self.columns
        known = set(self.columns)
        for name in columns:
            if name not in known:
                raise FeatureTableError(
                    f"feature_table: version {self.number} has no column {name!r}"
                    f"{nearest(name, self.columns)} It has {len(known)} columns: those of the "
                    "sets that were stored when it was published"
                )
        return columns

    @cached_property
    def _dataset(self) -> Any:
        try:
            return self._table.at(self.table_version)
        except (ValueError, OSError) as error:
            raise FeatureTableError(
                f"{self._table.folder}: version {self.number} is gone or damaged ({error}); "
                "`qlops features status` shows those that are kept"
            ) from error

    @cached_property
    def _fragments(self) -> list[tuple[Any, date, date]]:
        """Each fragment with its first and last day: most need not be read for a few months."""
        found = []
        for fragment in self._dataset.get_fragments():
            days = pc.min_max(scanned(self._dataset, [DATE], [fragment]).column(DATE)).as_py()
            if days["min"] is not None:
                found.append((fragment, days["min"], days["max"]))
        return found


def _condition(spec: FrameSpec) -> str | None:
    conditions = []
    if spec.first is not None:
        conditions.append(f"{DATE} >= {literal(spec.first)}")
    if spec.last is not None:
        conditions.append(f"{DATE} <= {literal(spec.last)}")
    if spec.instruments is not None:
        codes = ", ".join("'" + code.replace("'", "''") + "'" for code in spec.instruments)
        conditions.append(f"{INSTRUMENT} IN ({codes})" if codes else "false")
    return " AND ".join(conditions) or None
