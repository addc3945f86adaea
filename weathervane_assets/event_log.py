"""The event log of a local installation: Dagster's own SQLite files, with less work for each event.

Belongs here: how the connections to those files are kept, and that a batch is one commit. Does not belong here: what is written
(Dagster's), PostgreSQL (Dagster's).
Named in dagster.yaml, so it is loaded by the webserver and the daemon too.

Dagster makes a SQLAlchemy engine for each event and throws it away, and with it every compiled statement: 3 of the 8 CPU seconds
of a tenant's night. It also commits, and flushes, each of the 90 days of a backfill by itself. The files stay as they are, so a home
can go from one class to the other and back.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, QueuePool, create_engine
from sqlalchemy.event import listen

from weathervane_resources.settings import ConfigurationError

MOST_ENGINES = 32
"""Engines kept: one for each run that was asked for last, and the index of all runs."""
BATCH_SIZE_VARIABLE, BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE", "500"
"""Dagster hands over the days of a run in batches only where this variable of the environment says how many."""
DELETED = "(deleted)"
"""Stands for the run in the row that keeps an id; the row has no type, so nothing reads it."""
_EVENTS = SqlEventLogStorageTable
_REVISION = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Where alembic notes which migrations a file has seen."""


class LocalEventLogStorage(SqliteEventLogStorage):
    """SQLite event logs in `base_dir`, by default `history/runs` of DAGSTER_HOME."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, tuple[Engine, int | None]] = OrderedDict()
        """By shard: its engine, and the inode of the file that it has open."""
        self._open: dict[str, Connection] = {}
        """By shard: the transaction of a batch that is being stored."""
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # a batch holds it over each of its events
        os.environ.setdefault(BATCH_SIZE_VARIABLE, BATCH_SIZE)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what dagster.yaml may say: another folder."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> LocalEventLogStorage:
        """Return the storage that dagster.yaml asks for.

        Raises: ConfigurationError: neither `base_dir` nor DAGSTER_HOME says where it is.
        """
        home, folder = os.environ.get("DAGSTER_HOME"), config_value.get("base_dir")
        if not folder and not home:
            raise ConfigurationError(
                "event_log_storage in dagster.yaml has no base_dir, and DAGSTER_HOME is not set; set DAGSTER_HOME"
            )
        return cls(folder or str(Path(str(home)) / "history" / "runs"), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run in one commit of its log and one of the index of all runs, the newest day last.

        What was stored last is what the UI calls the latest; Dagster hands over the days of a range in no order.
        Raises: sqlalchemy.exc.SQLAlchemyError: none of them is stored, and Dagster stores them one by one.
        """
        with self._db_lock, self._held(events[0].run_id), self._held(INDEX_SHARD_NAME):
            for event in sorted(events, key=_partition):
                self.store_event(event)

    def delete_events(self, run_id: str) -> None:
        """Delete a run's events. The newest id of the index is not given out again: who has read up to it would skip what gets it."""
        newest = sa.select(sa.func.max(_EVENTS.c.id))
        with self._db_lock, self._held(INDEX_SHARD_NAME), self.index_connection() as index:
            before = index.execute(newest).scalar() or 0
            super().delete_events(run_id)
            if before > (index.execute(newest).scalar() or 0):
                index.execute(sa.insert(_EVENTS).values(id=before, run_id=DELETED, event=""))

    @contextmanager
    def _held(self, shard: str) -> Iterator[None]:
        """Let all that is written into a file until the end be one transaction."""
        with self._connect(shard) as connection:
            self._open[shard] = connection
            try:
                yield
            finally:
                del self._open[shard]

    def has_table(self, table_name: str) -> bool:
        """Say whether the index has a table."""
        with self.index_connection() as connection:
            return bool(connection.dialect.has_table(connection, table_name))

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard in self._open:
                yield self._open[shard]
                return
            with self._engine(shard).connect() as connection:
                changes = _changes(connection)
                with connection.begin():
                    yield connection
                changes = _changes(connection) - changes
            if changes and shard != INDEX_SHARD_NAME:
                # the UI follows a run by watching its file, which SQLite itself touches only when the last connection closes
                os.utime(self.path_for_shard(shard))

    def _engine(self, shard: str) -> Engine:
        """Return the engine of one file; the one that was not asked for longest goes, and that of a file that was deleted."""
        if shard in self._engines and self._engines[shard][1] != self._inode(shard):
            self._engines.pop(shard)[0].dispose()
        if shard not in self._engines:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
            if shard != INDEX_SHARD_NAME:
                listen(engine, "connect", _without_flush)
            if shard not in self._initialized_dbs or self._inode(shard) is None:
                self._make(shard, engine)
                self._initialized_dbs.add(shard)
            self._engines[shard] = (engine, self._inode(shard))
        self._engines.move_to_end(shard)
        if len(self._engines) > MOST_ENGINES:
            self._engines.popitem(last=False)[1][0].dispose()
        return self._engines[shard][0]

    def _make(self, shard: str, engine: Engine) -> None:
        """Make a file's tables. One that has them is left alone, and a new run's file gets the revision of the index.

        Dagster reads all migrations to see which is the newest, twice for a new file: 0.2 CPU seconds of a night.
        """
        try:
            if _revision(engine) or (shard != INDEX_SHARD_NAME and self._make_like_the_index(engine)):
                return
        except sa.exc.DatabaseError:
            pass  # another process is making it; Dagster's own way waits for that
        self._initdb(engine)

    def _make_like_the_index(self, engine: Engine) -> bool:
        """Make all tables in one transaction; False where the index does not say its revision."""
        revision = _revision(self._engine(INDEX_SHARD_NAME))
        if not revision:
            return False
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("BEGIN")  # the driver begins none for CREATE TABLE
            SqlEventLogStorageMetadata.create_all(connection)
            _REVISION.create(connection)
            connection.execute(_REVISION.insert().values(version_num=revision))
            connection.commit()
        return True

    def _inode(self, shard: str) -> int | None:
        try:
            return Path(self.path_for_shard(shard)).stat().st_ino
        except FileNotFoundError:
            return None

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1][0].dispose()


def _partition(event: EventLogEntry) -> str:
    return (event.dagster_event and event.dagster_event.partition) or ""


def _revision(engine: Engine) -> str | None:
    """Return which migrations a file has seen; None for a new one."""
    with engine.connect() as connection:
        if not connection.dialect.has_table(connection, _REVISION.name):
            return None
        found: str | None = connection.execute(sa.select(_REVISION.c.version_num)).scalar()
        return found


def _changes(connection: Connection) -> int:
    """Return how many rows this connection has changed since it was opened."""
    return int(connection.connection.driver_connection.total_changes)  # type: ignore[union-attr]


def _without_flush(connection: Any, _: object) -> None:
    """Let a run's own log be flushed to the disk with its checkpoints only: a power cut may cost its last lines, and tears nothing.

    The index of all runs is flushed with each commit: the alerter's place in it must never be ahead of it.
    """
    connection.execute("PRAGMA synchronous=NORMAL")
