"""How the feature table is brought up to date: month by month, then published."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import pyarrow as pa

from qlops_assets.core.clock import Clock
from qlops_assets.core.columns import DATE
from qlops_assets.core.months import first_day, next_month
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings
from qlops_assets.features.changes import changed_rows
from qlops_assets.features.parts import StoredParts, month_rows, part_datasets
from qlops_assets.features.publications import MonthState, Publication, PublicationLog
from qlops_assets.features.table import LanceTable, Merged, between, table_rows, table_schema
from qlops_assets.lake.datasets import MonthlyDataset

TABLE: Final = "feature_table"
PUBLISHED: Final = "publication-"  # the tags that keep what is published
_DAY: Final = timedelta(days=1)
_READERS: Final = 3


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh did.

    Attributes:
        version: Number of the version that readers see now.
        months: Those that were brought up to date; months that went are among them.
        merged: Rows that were inserted, updated and deleted.
        added: Columns that appeared.
        removed: Columns that went.
        rewritten: Whether the whole table was written anew.
        seconds: How long it took.
    """

    version: int
    months: tuple[str, ...] = ()
    merged: Merged = field(default_factory=Merged)
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    rewritten: bool = False
    seconds: float = 0.0


def publish(
    table: LanceTable, log: PublicationLog, content: Publication, version: int, clock: Clock
) -> Publication:
    """Make a version of the table the one that readers see."""
    numbers = log.numbers()
    publication = replace(
        content,
        number=(numbers[-1] if numbers else 0) + 1,
        table_version=version,
        # A clock that went backwards does not make the order of versions another.
        published_at=max([clock.now(), *(log.load(n).published_at for n in numbers[-1:])]),
    )
    table.tag(f"{PUBLISHED}{publication.number:06d}", version)
    log.add(publication)
    return publication


def stale_months(head: Publication | None, stored: StoredParts) -> list[str]:
    """Return the months that were published from other rows than the sets hold now."""
    published = {} if head is None else {name: m.parts for name, m in head.months.items()}
    everything = sorted({*published, *stored.months})
    return [month for month in everything if published.get(month) != stored.months.get(month)]


def stored_columns(
    datasets: Mapping[str, MonthlyDataset], stored: StoredParts
) -> dict[str, tuple[str, ...]]:
    """Return the columns of every set that has rows; of months of other code those too."""
    months: dict[tuple[str, str], str] = {}
    for month, parts in stored.months.items():
        months |= {(part, state.code): month for part, state in parts.items()}
    columns: dict[str, dict[str, None]] = {}
    for part, dataset in datasets.items():
        for (owner, _), month in months.items():
            if owner == part:
                columns.setdefault(part, {}).update(dict.fromkeys(dataset.columns(month)))
    return {part: tuple(names) for part, names in columns.items()}


def flat(parts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the columns of all sets, in order."""
    return [name for names in parts.values() for name in names]


class Refresh:
    """One refresh, by the writer that holds the lock."""

    def __init__(
        self,
        settings: Settings,
        table: LanceTable,
        log: PublicationLog,
        stored: StoredParts,
        clock: Clock,
    ) -> None:
        self._table, self._log, self._stored, self._clock = table, log, stored, clock
        self._datasets = part_datasets(settings)
        self._parts = stored_columns(self._datasets, stored)
        self._columns = flat(self._parts)
        self._states: dict[str, MonthState] = {}

    def run(
        self, head: Publication | None, stale: Sequence[str], progress: Progress
    ) -> RefreshReport:
        """Write the months and publish."""
        old = head.columns if head else ()
        added = tuple(name for name in self._columns if name not in set(old))
        removed = tuple(name for name in old if name not in set(self._columns))
        self._states = {} if head is None else dict(head.months)
        whole = head is None or bool(added or removed) or self._is_most(head, stale)
        if whole or head is None:
            before = head.rows if head else 0
            version = self._table.rewrite(self._batches(progress), table_schema(self._columns))
            merged = Merged(inserted=sum(s.rows for s in self._states.values()), deleted=before)
        else:
            self._parts, self._columns = dict(head.parts), list(head.columns)
            self._table.return_to(head.table_version)
            merged = self._merged(stale, progress)
            version = int(self._table.latest().version)
        content = Publication(
            0, version, self._clock.now(), self._parts, self._in_order(), self._defined()
        )
        publication = publish(self._table, self._log, content, version, self._clock)
        return RefreshReport(
            publication.number, tuple(stale), merged, added if head else (), removed, whole
        )

    def _is_most(self, head: Publication, stale: Sequence[str]) -> bool:
        touched = sum(head.months[month].rows for month in stale if month in head.months)
        return touched * 2 > head.rows

    def _in_order(self) -> Mapping[str, MonthState]:
        return {month: self._states[month] for month in sorted(self._states)}

    def _defined(self) -> Mapping[str, Mapping[str, str]]:
        used = {state.code for month in self._states.values() for state in month.parts.values()}
        return {code: d for code, d in self._stored.definitions.items() if code in used}

    def _batches(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Yield the rows of every month in order, and note what they are.

        The next months are read while one is written.
        """
        self._states = {}
        months = list(self._stored.months)
        with ThreadPoolExecutor(_READERS) as readers:
            ahead = deque(readers.submit(self._rows, month) for month in months[:_READERS])
            for done in range(1, len(months) + 1):
                rows = ahead.popleft().result()
                if done + _READERS <= len(months):
                    ahead.append(readers.submit(self._rows, months[done + _READERS - 1]))
                yield from rows.to_batches()
                progress.report(TABLE, done, len(months))

    def _merged(self, stale: Sequence[str], progress: Progress) -> Merged:
        merged = Merged()
        for done, month in enumerate(stale, start=1):
            first, last = first_day(month), first_day(next_month(month)) - _DAY
            if month in self._stored.months:
                rows = self._rows(month)
                present = self._table.latest().to_table(
                    columns=rows.column_names, filter=between(first, last)
                )
                changed, gone = changed_rows(present, rows)
                if gone:
                    merged += self._table.merge(rows, (first, last))
                elif changed.num_rows:
                    merged += self._table.merge(changed)
            else:
                self._states.pop(month)
                merged += self._table.delete(first, last)
            progress.report(TABLE, done, len(stale))
        return merged

    def _rows(self, month: str) -> pa.Table:
        """Return a month's rows in the table's schema, and note what they are."""
        found = month_rows(self._datasets, month)
        rows = table_rows(found.frame, self._columns)
        days = rows.column(DATE)
        self._states[month] = MonthState(
            rows.num_rows, days[0].as_py(), days[-1].as_py(), self._stored.months[month], found.ends
        )
        return rows
