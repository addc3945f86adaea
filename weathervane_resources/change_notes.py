"""How far the change sensors have read, in the state database, beside Dagster's cursor: a back-up has the state with the lake.

Belongs here: keeping one time of each list, and setting it back. Does not belong here: the cursor, and what follows where the two
differ (`weathervane_assets.change_cursor`).

A tick notes before it returns, so what is noted is never older than the cursor, unless a copy was put back or `weathervane restore` has
set it back. What was seen is not noted: after either, the runs that it was asked for may be undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from weathervane_resources.state import State
from weathervane_resources.state_tables import change_positions

Noted = Mapping[tuple[str, str], datetime]
"""Until when was read, by tenant and list."""
LOCK = "change positions"


def noted(state: State, asset: str) -> Noted:
    """Return what is noted of an asset's changes.

    Raises: StateError: the database cannot be read.
    """
    with state.begin(durable=False) as connection:
        return _noted(connection, asset)


def note(state: State, asset: str, before: Noted, reached: Noted) -> None:
    """Note how far was read. A note that is not as `before` any more stays: it was set back, or its tenant purged, since.

    Raises: StateError: the database cannot be written.
    """
    with state.begin() as connection:
        state.lock_in(connection, LOCK)
        there = _noted(connection, asset)
        moved = {key: until for key, until in reached.items() if there.get(key) == before.get(key) != until}
        known = [{"of": tenant, "named": name} for tenant, name in moved if (tenant, name) in there]
        if known:
            its = change_positions.c
            mine = sa.and_(its.asset == asset, its.tenant == sa.bindparam("of"), its.list_name == sa.bindparam("named"))
            connection.execute(sa.delete(change_positions).where(mine), known)
        if moved:
            connection.execute(sa.insert(change_positions), [
                {"tenant": tenant, "asset": asset, "list_name": name, "until": until}
                for (tenant, name), until in moved.items()
            ])  # fmt: skip


def set_back(state: State, tenant: str, asset: str, since: datetime) -> bool:
    """Have a tenant's changes since then read again; return whether more than that had been read.

    Raises: StateError: the database cannot be written.
    """
    its = change_positions.c
    later = sa.and_(its.tenant == tenant, its.asset == asset, its.until > since)
    with state.begin() as connection:
        state.lock_in(connection, LOCK)
        done = connection.execute(sa.update(change_positions).where(later).values(until=since))
    return done.rowcount > 0


def _noted(connection: sa.Connection, asset: str) -> Noted:
    rows = connection.execute(sa.select(change_positions).where(change_positions.c.asset == asset))
    return {(row.tenant, row.list_name): row.until for row in rows}
