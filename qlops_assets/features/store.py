"""The feature store: the table, its published versions, and how it is brought up to date.

Writers take turns under a lock. A refresh commits to the table month by month and publishes at the
end; a writer that is killed leaves the last publication as it was, and the next one begins from it.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pyarrow as pa

from qlops_assets.core.clock import Clock, SystemClock
from qlops_assets.core.digests import combined_digest
from qlops_assets.core.errors import FeatureTableError, LakeError, nearest
from qlops_assets.core.locks import locked
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.features.order import in_order, is_in_order
from qlops_assets.features.parts import StoredParts, part_datasets
from qlops_assets.features.publications import Publication, PublicationLog
from qlops_assets.features.refresh import (
    PUBLISHED,
    TABLE,
    Refresh,
    RefreshReport,
    flat,
    publish,
    stale_months,
    stored_columns,
)
from qlops_assets.features.table import KEYS, LanceTable, between, scanned, table_schema
from qlops_assets.features.version import FeatureVersion


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a clean-up did.

    Attributes:
        version: Number of the version that readers see now.
        rewritten: Whether the rows were put in order, into few files.
        removed: Numbers of the versions that were let go.
        files: How many files there were before, and are now.
        bytes: Their size before, and now.
        seconds: How long it took.
    """

    version: int
    rewritten: bool
    removed: tuple[int, ...]
    files: tuple[int, int]
    bytes: tuple[int, int]
    seconds: float


class FeatureStore:
    """The feature table of a home's source, at ``<lake>/features``."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._folder = settings.lake / "features"
        self._table = LanceTable(self._folder / "table.lance")
        self._log = PublicationLog(self._folder / "publications")
        self._datasets = part_datasets(settings)

    def latest(self) -> FeatureVersion | None:
        """Return the newest published version, or None where there is none yet."""
        publication = self._log.latest()
        return FeatureVersion(publication, self._table) if publication else None

    def as_of(self, moment: datetime) -> FeatureVersion:
        """Return the version that readers saw at a moment.

        Raises:
            FeatureTableError: nothing was published by then, or it was let go.
            ValueError: the moment has no time zone.
        """
        if moment.tzinfo is None:
            raise ValueError(f"moment {moment}: has no time zone")
        kept = self.versions()
        by_then = [publication for publication in kept if publication.published_at <= moment]
        if not by_then:
            oldest = f"the oldest kept is of {kept[0].published_at}" if kept else "there is none"
            raise FeatureTableError(f"{TABLE}: no version of {moment} is kept; {oldest}")
        return FeatureVersion(by_then[-1], self._table)

    def versions(self) -> list[Publication]:
        """Return what is known of every version that is kept, in order."""
        return [self._log.load(number) for number in self._log.numbers()]

    def tags(self) -> dict[str, int]:
        """Return the number of the version that each tag names."""
        numbers = {publication.table_version: publication.number for publication in self.versions()}
        tags = self._table.tags()
        return {
            name: numbers[version]
            for name, version in sorted(tags.items())
            if version in numbers and not name.startswith(PUBLISHED)
        }

    def tagged(self, name: str) -> FeatureVersion:
        """Return the version that a tag names.

        Raises:
            FeatureTableError: there is no such tag.
        """
        tags = self.tags()
        if name not in tags:
            raise FeatureTableError(
                f"{TABLE}: there is no tag {name!r}{nearest(name, list(tags))} Tags: "
                f"{', '.join(tags) or 'none'}"
            )
        return FeatureVersion(self._log.load(tags[name]), self._table)

    def tag(self, name: str, version: FeatureVersion | None = None) -> int:
        """Name a version, the newest where None, so that no clean-up lets it go; return its number.

        Raises:
            FeatureTableError: nothing was published yet, or the version was let go.
        """
        if name.startswith(PUBLISHED) or not name:
            raise FeatureTableError(f"{TABLE}: {name!r} is no name for a tag; choose another")
        with self._writing():
            chosen = version or self.latest()
            if chosen is None:
                raise FeatureTableError(f"{TABLE}: nothing was published yet; materialize {TABLE}")
            self._log.load(chosen.number)  # it may have been let go before we held the lock
            self._table.tag(name, chosen.table_version)
        return chosen.number

    def untag(self, name: str) -> None:
        """Take a tag away.

        Raises:
            FeatureTableError: there is no such tag.
        """
        self.tagged(name)
        with self._writing():
            self._table.untag(name)

    def size(self) -> int:
        """Return the bytes of the table with every version that is kept."""
        return self._table.size()[1] if self._table.exists else 0

    def stale_months(self, months: Collection[str] | None = None) -> list[str]:
        """Return the months whose rows are not those of the sets; of these only, where given."""
        stale = stale_months(self._log.latest(), StoredParts.of(self._datasets))
        return stale if months is None else sorted(set(stale).intersection(months))

    def month_digest(self, month: str) -> str | None:
        """Return the digest of what the newest version holds of a month; None without rows."""
        publication = self._log.latest()
        state = publication and publication.months.get(month)
        if not publication or not state:
            return None
        parts = (f"{part}:{state.parts[part].digest}" for part in sorted(state.parts))
        return combined_digest(parts)

    def refresh(
        self, months: Collection[str] | None = None, *, progress: Progress | None = None
    ) -> RefreshReport:
        """Bring months up to date with the sets, and publish; all months where None.

        Where columns appear or go, or most rows change, the whole table is written anew, with
        every month.

        Raises:
            FeatureTableError: rows of a set cannot be put into the table; it is as it was.
            CorruptPartitionError: a file of a set is damaged; the table is as it was.
            LockedError: another writer did not end in ten minutes.
        """
        started = time.monotonic()
        with self._writing():
            report = self._refreshed(months, progress or Unreported())
        return replace(report, seconds=time.monotonic() - started)

    def compact(self) -> CompactReport:
        """Put the rows in order into few files; let old versions go that no tag names.

        A version goes when another replaced it more than ``[features] keep_days`` ago.
        """
        started = time.monotonic()
        with self._writing():
            publication = self._log.latest()
            if publication is None:
                return CompactReport(0, False, (), (0, 0), (0, 0), 0.0)
            files, size = self._table.size()
            rewritten = self._needs_rewrite(publication)
            if rewritten:
                publication = self._rewritten_in_order(publication)
            removed = self._let_go()
            self._table.clean_up()
            now_files, now_size = self._table.size()
        return CompactReport(
            publication.number,
            rewritten,
            tuple(removed),
            (files, now_files),
            (size, now_size),
            time.monotonic() - started,
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with locked(self._folder / ".lock"):
            try:
                yield
            except OSError as error:
                raise LakeError(
                    f"{self._folder}: cannot be written ({error}); readers see the version from "
                    "before"
                ) from error

    def _refreshed(self, months: Collection[str] | None, progress: Progress) -> RefreshReport:
        head, stored = self._log.latest(), StoredParts.of(self._datasets)
        stale = stale_months(head, stored)
        if months is not None and not self._columns_differ(head, stored):
            stale = sorted(set(stale).intersection(months))
        if not stale:
            return RefreshReport(head.number if head else 0)
        return Refresh(self._settings, self._table, self._log, stored, self._clock).run(
            head, stale, progress
        )

    def _columns_differ(self, head: Publication | None, stored: StoredParts) -> bool:
        if head is None:
            return True
        return set(head.columns) != set(flat(stored_columns(self._datasets, stored)))

    def _needs_rewrite(self, publication: Publication) -> bool:
        dataset = self._table.at(publication.table_version)
        fragments = dataset.get_fragments()
        if any(fragment.num_deletions for fragment in fragments):
            return True
        if len(fragments) > 2 * (publication.rows // 100_000 + 1):
            return True
        return not is_in_order(scanned(dataset, KEYS))

    def _rewritten_in_order(self, publication: Publication) -> Publication:
        dataset = self._table.at(publication.table_version)
        schema = table_schema(list(publication.columns))

        def rows() -> Iterator[pa.RecordBatch]:
            for state in publication.months.values():
                month = dataset.to_table(
                    columns=schema.names, filter=between(state.first, state.last)
                )
                yield from in_order(month).cast(schema).combine_chunks().to_batches()

        version = self._table.rewrite(rows(), schema)
        return publish(
            self._table, self._log, replace(publication, reason="compaction"), version, self._clock
        )

    def _let_go(self) -> list[int]:
        """Remove publications that were replaced long ago; what is left is tagged in Lance."""
        kept = self.versions()
        tagged = set(self.tags().values())
        days = self._settings.features.keep_days
        cutoff = self._clock.now() - timedelta(days=days)
        removed = []
        for publication, after in pairwise(kept):
            if after.published_at < cutoff and publication.number not in tagged:
                self._log.remove(publication.number)
                removed.append(publication.number)
        left = {f"{PUBLISHED}{number:06d}" for number in self._log.numbers()}
        for name in self._table.tags():
            if name.startswith(PUBLISHED) and name not in left:
                self._table.untag(name)
        return removed
