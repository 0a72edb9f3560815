"""Events written together, and looked for by their kind, at the least cost beside a training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.journal import Journal

if TYPE_CHECKING:
    from sqlalchemy import Connection

# In the database's own words and on one connection: a third of what SQLAlchemy's take of the
# processor that the training wants.
_INSERT: Final = "INSERT INTO events (topic, kind, at, data) VALUES (?, ?, ?, ?)"
_NEWEST: Final = (
    "SELECT max(seq), max(CASE WHEN kind = ? THEN seq END) FROM events WHERE topic = ? AND seq > ?"
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """An event that happened and is not in the journal yet."""

    kind: str
    at: datetime
    data: Mapping[str, Any]


class BatchJournal(Journal):
    """A journal that appends several events in one transaction; for one thread alone."""

    @classmethod
    def beside(cls, journal: Journal) -> "BatchJournal":
        """Return one with a connection of its own to the database of another."""
        return cls(journal.url, journal._clock)

    @cached_property
    def _connection(self) -> "Connection":
        return self._connected().connect()

    def now(self) -> datetime:
        """Return the moment that an event that happens now is stamped with."""
        return self._clock.now()

    def append_all(self, topic: str, events: Sequence[Unwritten]) -> None:
        """Append events of one topic in their order; all of them or none."""
        rows = [
            (topic, event.kind, event.at.isoformat(), _ENCODER.encode(event.data))
            for event in events
        ]
        with self._connection.begin():
            self._connection.exec_driver_sql(_INSERT, rows)

    def newest(self, topic: str, kind: str, *, after: int) -> tuple[int, int | None]:
        """Return where a topic ends, and the newest event of a kind.

        Args:
            topic: An exact topic.
            kind: Of the events that are looked for.
            after: The last ``seq`` already seen.

        Returns:
            The last ``seq`` of the topic, ``after`` where nothing came after it; and that of the
            newest event of the kind after ``after``, or None.
        """
        with self._connection.begin():
            found = self._connection.exec_driver_sql(_NEWEST, (kind, topic, after)).one()
        last, newest = found
        return last or after, newest

    def close(self) -> None:
        """Close the connection; it opens again on its next use."""
        if "_connection" in self.__dict__:
            self._connection.close()
            del self.__dict__["_connection"]
        super().close()
