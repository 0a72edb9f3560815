"""The journal: append-only events; what happened and what was decided, in order.

State that people and processes share (model states, approvals, deployments, training progress) is
a fold over these events. Many small writers in several processes may append at once: SQLite in WAL
mode serialises them, so ``seq`` grows in the order of commits and a reader that continues after the
last ``seq`` it saw misses nothing and repeats nothing.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlops_assets.core.clock import Clock, SystemClock
from qlops_assets.core.errors import JournalError, SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

EVERYTHING = "*"

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, data TEXT NOT NULL,
        once TEXT UNIQUE)""",
    "CREATE INDEX IF NOT EXISTS events_by_topic ON events (topic, seq)",
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``seq`` is its place in the one order of all events."""

    seq: int
    topic: str
    kind: str
    at: datetime
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the message that the console's WebSocket sends for this event."""
        return {
            "seq": self.seq,
            "topic": self.topic,
            "kind": self.kind,
            "at": self.at.isoformat(),
            "data": dict(self.data),
        }


class Journal:
    """Append to and read from the journal; safe to share between threads and processes."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        """Name the database; it is opened and created on first use.

        Args:
            url: An SQLAlchemy URL such as ``sqlite:////abs/journal.db``.
            clock: Stamps the events; the system's where not given.

        Raises:
            SettingsError: the URL is not one of SQLite.
        """
        if not url.startswith("sqlite:///"):
            scheme = url.partition(":")[0]
            raise SettingsError(f"QLOPS_DATABASE_URL: was {scheme!r}, must be sqlite:///PATH")
        self.url = url
        self._clock = clock or SystemClock()
        self._opening = threading.Lock()

    @cached_property
    def _engine(self) -> "Engine":
        from sqlite3 import DatabaseError

        from sqlalchemy.exc import DBAPIError

        path = Path(self.url.removeprefix("sqlite:///"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return self._opened()
        except DBAPIError as error:
            raise JournalError(path, str(error.orig)) from error
        except (DatabaseError, OSError) as error:
            raise JournalError(path, str(error)) from error

    def _opened(self) -> "Engine":
        from sqlalchemy import create_engine, event, text

        engine = create_engine(self.url, connect_args={"timeout": 30})

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: Any) -> None:
            # WAL lets readers go on while one writer commits; NORMAL survives every kill -9 and
            # may lose only the last commits of a machine that loses power.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        with engine.begin() as connection:
            for statement in _SCHEMA:
                connection.execute(text(statement))
        return engine

    def _connected(self) -> "Engine":
        with self._opening:
            return self._engine

    def append(self, topic: str, kind: str, data: Mapping[str, Any]) -> Event:
        """Append one event and return it.

        Args:
            topic: What the event is about, such as ``training/<model version>``.
            kind: What happened, such as ``progress``.
            data: JSON-able facts.
        """
        event = self._insert(topic, kind, data, None)
        assert event is not None
        return event

    def claim(self, topic: str, kind: str, data: Mapping[str, Any], *, once: str) -> Event | None:
        """Append one event unless the key ``once`` was claimed before; then return None.

        The key makes a step repeatable after a crash, and decides between two processes that
        want the same thing at the same time: one of them gets None.
        """
        return self._insert(topic, kind, data, once)

    def _insert(
        self, topic: str, kind: str, data: Mapping[str, Any], once: str | None
    ) -> Event | None:
        from sqlalchemy import text

        at = self._clock.now()
        body = json.dumps(data, ensure_ascii=False, default=str)
        values = {"topic": topic, "kind": kind, "at": at.isoformat(), "data": body, "once": once}
        with self._connected().begin() as connection:
            seq = connection.execute(
                # Not ON CONFLICT DO NOTHING: a refused claim would use up a seq and leave a gap.
                text(
                    "INSERT INTO events (topic, kind, at, data, once) "
                    "SELECT :topic, :kind, :at, :data, :once "
                    "WHERE NOT EXISTS (SELECT 1 FROM events WHERE once = :once) RETURNING seq"
                ),
                values,
            ).scalar()
        return None if seq is None else Event(int(seq), topic, kind, at, json.loads(body))

    def read(
        self,
        topic: str = EVERYTHING,
        *,
        after: int = 0,
        limit: int = 1000,
        leaving_out: str | None = None,
    ) -> list[Event]:
        """Return events of a topic with ``seq`` above ``after``, oldest first.

        Args:
            topic: An exact topic, ``*`` for all, or a prefix such as ``model/*``.
            after: The last ``seq`` already seen.
            limit: At most this many; ask again with the last ``seq`` for more.
            leaving_out: A kind of event that is not wanted.
        """
        from sqlalchemy import text

        where, value = "1 = 1", topic
        if topic.endswith("/*"):
            where, value = "substr(topic, 1, length(:topic)) = :topic", topic[:-1]
        elif topic != EVERYTHING:
            where = "topic = :topic"
        query = (
            f"SELECT seq, topic, kind, at, data FROM events WHERE seq > :after AND {where} "
            f"{'AND kind <> :leaving_out ' if leaving_out else ''}ORDER BY seq LIMIT :limit"
        )
        values: dict[str, Any] = {"after": after, "limit": limit, "topic": value}
        if leaving_out:
            values["leaving_out"] = leaving_out
        with self._connected().connect() as connection:
            return [_event(row) for row in connection.execute(text(query), values)]

    def read_all(self, topic: str = EVERYTHING, *, leaving_out: str | None = None) -> list[Event]:
        """Return every event of a topic, oldest first, but those of a kind that is not wanted."""
        events: list[Event] = []
        while page := self.read(
            topic, after=events[-1].seq if events else 0, leaving_out=leaving_out
        ):
            events.extend(page)
        return events

    def last_seq(self) -> int:
        """Return the ``seq`` of the newest event, 0 where there is none."""
        from sqlalchemy import text

        with self._connected().connect() as connection:
            return int(
                connection.execute(text("SELECT coalesce(max(seq), 0) FROM events")).scalar_one()
            )

    def close(self) -> None:
        """Close the connections; the journal opens again on its next use."""
        if "_engine" in self.__dict__:
            self._engine.dispose()
            del self.__dict__["_engine"]


def _event(row: Any) -> Event:
    return Event(row.seq, row.topic, row.kind, datetime.fromisoformat(row.at), json.loads(row.data))
