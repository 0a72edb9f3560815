"""Dagster's event log on SQLite, with events that belong together in one transaction.

A run over a range of months writes three events a month: planned, materialized, and its data
version. Dagster's SQLite storage gives each two transactions of its own, for which it opens a
database, compiles the statements anew, and writes the log back as it closes: 17 ms an event, half a
minute for a new home of 16 years. Files, tables and rows here are Dagster's own, to the letter:
a home can be opened with ``storage: sqlite`` at any time, and written by both.

Storage is a point of extension (``storage: custom`` in ``dagster.yaml``), but what is extended has
no public name: dagster-postgres takes the same classes from the same modules.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

_INDEX: Final = "index"  # the database of events of all runs that are about assets
_BUSY_S: Final = 30.0  # as Dagster waits
_ENGINES: Final = 32


class EventLog(SqliteEventLogStorage):
    """``SqliteEventLogStorage`` whose transactions can hold several events."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._held = threading.local()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment] # a batch holds two databases

    @contextmanager
    def together(self, run_id: str) -> Iterator[None]:
        """Write what this thread logs of a run in one transaction of each database.

        Nobody sees an event before the end, and none is kept if there is an error. As one by one,
        what a run's own log has, the index may lack after the process was killed; not the reverse.
        """
        if getattr(self._held, "connections", None):
            yield
            return
        with self._connect(_INDEX) as index, self._connect(run_id) as own:
            self._held.connections, self._held.newest = {_INDEX: index, run_id: own}, {}
            try:
                yield
                for event, event_id in self._held.newest.values():
                    super()._store_asset_event(index, event, event_id)
            finally:
                self._held.connections = {}

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table: asked of every event. None ever goes; a migration adds."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run together."""
        with self.together(events[0].run_id):
            super().store_event_batch(events)

    def _store_asset_event(self, conn: Connection, event: EventLogEntry, event_id: int) -> None:
        """Write what is newest of an asset: of events together, once for the last of each kind."""
        if not getattr(self._held, "connections", None):
            super()._store_asset_event(conn, event, event_id)
            return
        told = event.get_dagster_event()
        kind = (told.asset_key, told.event_type)
        self._held.newest.pop(kind, None)  # the order is that of the last ones
        self._held.newest[kind] = (event, event_id)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        held = getattr(self._held, "connections", {}).get(shard)
        if held is not None:
            yield held
            return
        with self._db_lock:
            engine = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection


class HomeStorage(DagsterSqliteStorage):
    """Dagster's storage on SQLite, with :class:`EventLog` in the place of its event log."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(str(Path(base_dir) / "history" / "runs"))

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "HomeStorage":
        """Return the storage that ``dagster.yaml`` configures."""
        return cls.from_local(inst_data=inst_data, **config_value)


def together(context: dg.AssetExecutionContext) -> AbstractContextManager[None]:
    """Return the context in which events of the running step are written in one transaction."""
    log = context.instance.event_log_storage
    return log.together(context.run_id) if isinstance(log, EventLog) else nullcontext()


@lru_cache(maxsize=_ENGINES)
def _engine(address: str) -> Engine:
    """Return the engine of a database, which keeps compiled statements but no connection."""
    return create_engine(address, poolclass=NullPool, connect_args={"timeout": _BUSY_S})
