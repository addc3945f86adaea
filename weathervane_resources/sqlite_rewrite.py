"""Writing a SQLite file anew, so that no deleted byte stays in it, and remembering until then that it is due.

Belongs here: the file and the mark beside it. Does not belong here: what is deleted (`purge_state.py`,
`weathervane_assets.purge_dagster`).

Deleting is quick and rewriting may fail: another process holds the file, the disk is full. Nothing in the tables would
tell the next purge then that deleted bytes are still there, so a mark does, which goes when they are gone.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from weathervane_resources.disk import flush
from weathervane_resources.state import BUSY_TIMEOUT_MS, StateError


def owe_rewrite(file: Path) -> None:
    """Mark a file before anything is deleted in it.

    Raises: StateError: the mark cannot be made.
    """
    try:
        _mark(file).touch(mode=0o600)
        flush(file.parent)
    except OSError as error:
        raise StateError(
            f"the mark {_mark(file)} cannot be made ({error.strerror}); make its folder writable"
        ) from None


def is_rewrite_due(file: Path) -> bool:
    """Return whether something was deleted in a file that was not written anew since."""
    return _mark(file).exists()


def rewrite_sqlite(file: Path) -> None:
    """Write a SQLite file anew without its free pages, empty its journal, and take its mark away.

    Raises: StateError: it is in use for longer than the patience, or is no database.
    """
    try:
        with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if is_busy:  # no error for SQLite, but the old pages are in the file until readers let go of them
                raise sqlite3.OperationalError("something still reads it")
    except sqlite3.Error as error:
        raise StateError(f"{file} cannot be rewritten ({error}); end what uses it, then run it again") from None
    _mark(file).unlink(missing_ok=True)


def _mark(file: Path) -> Path:
    return file.with_name(f"{file.name}.rewrite-due")
