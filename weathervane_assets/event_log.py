"""The event log of a local installation: Dagster's own SQLite files, written without making their engine again for each event.

Belongs here: how the connections to those files are kept. Does not belong here: what is written (Dagster's), PostgreSQL (Dagster's).
Named in dagster.yaml, so it is loaded by the webserver and the daemon too.

Dagster makes a SQLAlchemy engine for each event and throws it away, and with it every compiled statement: 3 of the 8 CPU seconds
of a tenant's night. The files stay as they are, so a home can go from one class to the other and back.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine

from weathervane_resources.settings import ConfigurationError

MOST_ENGINES = 32
"""Engines kept: one for each run that was asked for last, and the index of all runs."""


class LocalEventLogStorage(SqliteEventLogStorage):
    """SQLite event logs in `base_dir`, by default `history/runs` of DAGSTER_HOME."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

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

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        """Return the engine of one file; the one that was not asked for longest goes."""
        if shard not in self._engines:
            # The UI follows a run by watching its file, which is touched only when the last connection to it closes: none is kept.
            pool = QueuePool if shard == INDEX_SHARD_NAME else NullPool
            self._engines[shard] = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=pool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
        self._engines.move_to_end(shard)
        if len(self._engines) > MOST_ENGINES:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()
