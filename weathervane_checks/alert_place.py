"""Where the alerter reads on: its place in the event log, as long as that is the log that it was in.

Belongs here: whether Dagster's storage is another than before, or an older one (a new DAGSTER_HOME, a move to PostgreSQL, a back-up),
whose events would have numbers that the alerter takes for read. Does not belong here: reading them (`alert_events.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable
from dagster._core.storage.runs import SqlRunStorage
from weathervane_resources.alert_store import Watch

from weathervane_checks.alert_events import OVERLAP


@dataclass(frozen=True)
class Place:
    """The storage, and how far it was read; None looks back a day."""

    store: str
    cursor: int | None
    newest: int | None = None
    """Where the place was lost: the event that no verdict is newer than any more."""


def find_place(instance: dg.DagsterInstance, before: Watch | None) -> Place:
    """Return where to read on after `before`.

    The events of another storage have nothing to do with those that were read. One that ends before the cursor is an older one of the
    same, or lost its newest runs: what it still has was told, and what is new gets numbers from its end on. Of few that are lost
    only the overlap is read again.
    """
    store = _store_of(instance)
    if before is None:
        return Place(store, None)
    if before.store not in ("", store):
        return Place(store, None, newest=0)
    newest = _newest_event(instance)
    if newest is not None and before.cursor > newest:
        return Place(store, newest if before.cursor - newest <= OVERLAP else None, newest + 1)
    return Place(store, before.cursor)


def _store_of(instance: dg.DagsterInstance) -> str:
    """Return the id that Dagster gives its storage when it makes it; not public API, `tests/checks/test_alert_place.py` pins it."""
    storage = instance.run_storage
    return storage.get_run_storage_id() if isinstance(storage, SqlRunStorage) else ""


def _newest_event(instance: dg.DagsterInstance) -> int | None:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return None
    with storage.index_connection() as connection:
        return connection.execute(sa.select(sa.func.max(SqlEventLogStorageTable.c.id))).scalar() or 0
