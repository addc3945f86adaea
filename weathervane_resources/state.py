"""The state database: what has to outlive a run and be shared by all of them, tokens and quotas.

Belongs here: opening the database, transactions and locks across processes. Does not belong here: its tables
(`state_tables.py`), what is encrypted in a token (`tokens.py`) and what a quota allows (`quota.py`).

SQLite (the default) serves the processes of one machine, PostgreSQL those of several. A transaction on SQLite begins
with BEGIN IMMEDIATE, so that reading and then writing cannot fail half way; on PostgreSQL `lock_in` does the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from weathervane_resources.disk import flush
from weathervane_resources.file_lock import LockTimeout, async_file_lock, file_lock
from weathervane_resources.state_tables import SCHEMA_VERSION, TABLES, UnreadableRow, schema_version

BUSY_TIMEOUT_MS = 30_000
LOCK_PATIENCE_S = 300.0
POLL_S = 0.05
DAGSTER_TABLE = "event_logs"


class StateError(Exception):
    """The state database cannot be used. One line: what, where, what to do. `is_transient`: a retry may help."""

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient


class State:
    """An open state database, shared by the threads of one process."""

    def __init__(self, url: sa.URL) -> None:
        """Open nothing yet; use `open_state`."""
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.path = Path(url.database).absolute() if self.is_sqlite and url.database else None
        self.url = url.set(database=str(self.path)) if self.path else url
        self._engine = _engine(self.url)

    def __repr__(self) -> str:
        return f"State({self.url.render_as_string(hide_password=True)})"

    @property
    def address(self) -> str:
        """Where it is: a path, or a URL without user and password."""
        at = self.url
        return str(self.path or sa.URL.create(at.drivername, host=at.host, port=at.port, database=at.database))

    @contextmanager
    def begin(self, *, durable: bool = True) -> Iterator[sa.Connection]:
        """Open a transaction; committed when the block ends well.

        Args:
            durable: The commit survives a power cut (tokens), not only a crash of the process (quotas).
        Raises: StateError: unreachable, unreadable, full, or busy for too long.
        """
        try:
            with self._engine.execution_options(durable=durable).begin() as connection:
                yield connection
        except (SQLAlchemyError, UnicodeDecodeError) as error:
            raise _state_error(self, error) from None

    def check_whole(self) -> None:
        """Read all of a SQLite file, which costs about 1 ms a megabyte; a server looks after its own.

        Raises: StateError: it is damaged, or cannot be read.
        """
        if self.path:
            with self.begin(durable=False) as connection:
                found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
            if found != "ok":
                raise _damaged(self.path, found.replace("\n", " "))

    def close(self) -> None:
        """Give back the connections that are kept open for the next transaction."""
        self._engine.dispose()

    def lock_in(self, connection: sa.Connection, name: str) -> None:
        """Hold the lock `name` until the transaction ends; on SQLite a transaction holds everything anyway."""
        if not self.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(name)})

    @asynccontextmanager
    async def exclusive(self, name: str, patience_s: float = LOCK_PATIENCE_S) -> AsyncIterator[None]:
        """Hold the lock `name` over all processes; the event loop is not blocked. A holder that dies lets go of it.

        Raises: StateError: not within the patience.
        """
        if self.path is None:
            async with self._advisory_lock(name, patience_s):
                yield
            return
        try:
            folder = _private_folder(self.path.with_name(f"{self.path.name}.locks"))
            async with async_file_lock(folder / f"{_lock_key(name):x}.lock", patience_s):
                yield
        except LockTimeout as error:
            raise StateError(str(error), is_transient=True) from None

    @asynccontextmanager
    async def _advisory_lock(self, name: str, patience_s: float) -> AsyncIterator[None]:
        """A lock of a transaction, so that it holds behind a pooler like PgBouncer too."""
        deadline = time.monotonic() + patience_s
        while True:
            connection = await asyncio.to_thread(self._try_advisory_lock, name)
            if connection is not None:
                break
            if time.monotonic() > deadline:
                raise StateError(
                    f"the lock {name} was not free within {patience_s:.0f} s; run it again when the other run has ended",
                    is_transient=True,
                )
            await asyncio.sleep(POLL_S)
        try:
            yield
        finally:
            await asyncio.to_thread(connection.close)

    def _try_advisory_lock(self, name: str) -> sa.Connection | None:
        try:
            connection = self._engine.connect()
            query = sa.text("SELECT pg_try_advisory_xact_lock(:key)")
            if connection.execute(query, {"key": _lock_key(name)}).scalar():
                return connection
            connection.close()
        except SQLAlchemyError as error:
            raise _state_error(self, error) from None
        return None


_open_states: dict[tuple[str, int], State] = {}
_open_lock = threading.Lock()


def open_state(url: str) -> State:
    """Return the state database at an SQLAlchemy URL, with its tables; one a process and URL.

    Any number of processes may do this at once on an empty folder. A local file is made 0600, its new folders 0700.
    Raises: StateError: unreachable, unreadable, or written by a newer Weathervane.
    """
    with _open_lock:
        key = (url, os.getpid())
        if key not in _open_states:
            state = State(_parsed(url))
            try:
                _prepare(state)
            except StateError:
                state.close()
                raise
            _open_states[key] = state
        return _open_states[key]


def is_made(url: str) -> bool:
    """Return whether there is a state database to look into; whether a server has one, only opening it says.

    Raises: StateError: the URL is none of ours.
    """
    parsed = _parsed(url)
    return parsed.get_backend_name() != "sqlite" or Path(parsed.database or "").exists()


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except SQLAlchemyError:
        raise StateError(
            "WEATHERVANE_STATE_URL is not a URL; write one like sqlite:///storage/state/weathervane.db"
        ) from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise StateError("WEATHERVANE_STATE_URL must be a file (sqlite:///path) or PostgreSQL (postgresql://host/name)")
    return parsed


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        try:
            return sa.create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": 10})
        except ModuleNotFoundError:
            raise StateError("PostgreSQL needs its driver: pip install 'weathervane[postgres]'") from None
    engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
    sa.event.listen(engine, "connect", _on_sqlite_connect)
    sa.event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def _on_sqlite_begin(connection: sa.Connection) -> None:
    is_durable = connection.get_execution_options().get("durable", True)
    connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare(state: State) -> None:
    if state.path is None:
        with state.begin() as connection:
            state.lock_in(connection, "schema")
            _make_tables(connection, state)
        return
    try:
        _private_folder(state.path.parent)
        with file_lock(state.path.with_name(f"{state.path.name}.lock")):
            os.close(os.open(state.path, os.O_RDWR | os.O_CREAT, 0o600))
            if stat.S_IMODE(state.path.stat().st_mode) != 0o600:
                state.path.chmod(0o600)
            _switch_to_wal(state.path)
            with state.begin() as connection:
                _make_tables(connection, state)
    except (OSError, LockTimeout) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StateError(
            f"the state database {state.path} cannot be made or opened ({reason}); check WEATHERVANE_STATE_URL and its folder"
        ) from None


def _private_folder(folder: Path) -> Path:
    """Make the folder and its parents, 0700 each; one that exists is left as it is."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        flush(path.parent)  # SQLite flushes its files and their folder, not the folder's name in the one above
    return folder


def _switch_to_wal(path: Path) -> None:
    """Outside a transaction, and only under the lock: SQLite does not wait for others when it changes this."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if damage := _damage(error):
            raise _damaged(path, damage) from None
        is_passing = isinstance(error, sqlite3.OperationalError)  # busy, or the disk is full
        hint = "check WEATHERVANE_STATE_URL and the disk" if is_passing else "is it a Weathervane database?"
        raise StateError(
            f"the state database {path} cannot be used: {error}; {hint}", is_transient=is_passing
        ) from None


def _make_tables(connection: sa.Connection, state: State) -> None:
    if sa.inspect(connection).has_table(DAGSTER_TABLE):
        raise StateError(f"{state!r} is Dagster's database; give the state one of its own: both have a table `jobs`")
    TABLES.create_all(connection)
    version = connection.execute(sa.select(schema_version.c.version)).scalar()
    if version is None:
        connection.execute(sa.insert(schema_version).values(id=1, version=SCHEMA_VERSION))
    elif not isinstance(version, int):  # SQLite lets a column hold anything
        raise UnreadableRow("what should be a number is not")
    elif version > SCHEMA_VERSION:
        raise StateError(
            f"{state!r} was written by a newer Weathervane (schema {version}, not {SCHEMA_VERSION}); upgrade this one"
        )
    elif version < SCHEMA_VERSION:
        _add_columns(connection)
        connection.execute(sa.update(schema_version).values(version=SCHEMA_VERSION))


def _add_columns(connection: sa.Connection) -> None:
    """Give the tables of an earlier version the columns that are new since, which may be null."""
    there = sa.inspect(connection)
    for table in TABLES.sorted_tables:
        known = {column["name"] for column in there.get_columns(table.name)}
        for column in (column for column in table.columns if column.name not in known):
            spec = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {spec}")


def _lock_key(name: str) -> int:
    """Return a signed 63-bit key, the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 1


def _damage(error: BaseException) -> str:
    """Return how SQLite says that a file is not whole, "" where it says something else; never the text of a row."""
    said = str(error).partition("\n")[0]
    is_not_whole = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
    if is_not_whole or said.startswith(("no such column", "no such table")) or " has no column named " in said:
        return said  # the tables were made when it was opened: what says which there are is damaged
    is_no_text = isinstance(error, UnicodeDecodeError) or str(error).startswith("Could not decode to UTF-8")
    return "what should be text is not" if is_no_text else str(error) if isinstance(error, UnreadableRow) else ""


def _damaged(path: Path, how: str) -> StateError:
    return StateError(
        f"the state database {path} is damaged, or is none ({how}); end what uses it, then put a back-up"
        " there or begin a new one, as docs/operating.md says"
    )


def _state_error(state: State, error: SQLAlchemyError | UnicodeDecodeError) -> StateError:
    """Say what happened without the statement, its values or the password."""
    origin = getattr(error, "orig", None)
    if state.path and (damage := _damage(origin or error)):
        return _damaged(state.path, damage)
    reason = str(origin or type(error).__name__).strip().partition("\n")[0]
    password = state.url.password
    if password:
        reason = reason.replace(str(password), "***")
    is_transient = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError)
    hint = "check WEATHERVANE_STATE_URL, the server and the disk" if is_transient else "is it a Weathervane database?"
    return StateError(f"{state!r} cannot be used: {reason}; {hint}", is_transient=is_transient)
