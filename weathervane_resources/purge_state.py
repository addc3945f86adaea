"""What the state database holds of one tenant, and its removal: tokens, jobs, changes, alerts, quotas.

Belongs here: the rows of our own tables. Does not belong here: Dagster's (`weathervane_assets.purge_dagster`), and the
bytes that a deleted row leaves in a file (`sqlite_rewrite.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from weathervane_resources.alert_store import LOCK
from weathervane_resources.state import State
from weathervane_resources.state_tables import (
    alert_days,
    alert_incidents,
    alert_outbox,
    alert_seen,
    alert_snoozes,
    alert_watch,
    change_positions,
    jobs,
    quotas,
    tokens,
)
from weathervane_resources.tenant_text import names

IDLE = timedelta(days=1)
"""A quota untouched for so long allows what an absent one allows; its scope may name a shop that is gone."""


@dataclass(frozen=True)
class StateHoldings:
    """How many rows of each kind there are."""

    rows: dict[str, int]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of the tenant."""
        return not any(self.rows.values())

    def lines(self) -> Iterator[str]:
        """Say it."""
        for name, count in self.rows.items():
            if count:
                yield f"state: {count} {name}"


def find_in_state(state: State, tenant: str, marks: Collection[str]) -> StateHoldings:
    """Return what the state database holds of a tenant; `marks` are its shop, accounts and key fingerprints."""
    with state.begin(durable=False) as connection:
        found = {
            name: int(connection.execute(sa.select(sa.func.count()).select_from(table).where(which)).scalar_one())
            for name, table, which in _which(connection, tenant, marks)
        }
    return StateHoldings(found)


def remove_from_state(state: State, tenant: str, marks: Collection[str], now: datetime) -> None:
    """Remove it in one transaction.

    Raises: StateError: the database cannot be written.
    """
    with state.begin() as connection:
        state.lock_in(connection, LOCK)
        for _, table, which in _which(connection, tenant, marks):
            connection.execute(sa.delete(table).where(which))
        connection.execute(sa.delete(quotas).where(quotas.c.at_s < (now - IDLE).timestamp()))


def forget_events_after(state: State, newest_event: int) -> None:
    """Let the alerter see events again whose ids Dagster's SQLite gives out anew, after its newest ones were purged."""
    with state.begin() as connection:
        state.lock_in(connection, LOCK)
        connection.execute(sa.delete(alert_seen).where(alert_seen.c.event_id > newest_event))
        late = alert_watch.c.cursor > newest_event
        connection.execute(sa.update(alert_watch).where(late).values(cursor=newest_event))


def _which(
    connection: sa.Connection, tenant: str, marks: Collection[str]
) -> list[tuple[str, sa.Table, sa.ColumnElement[bool]]]:
    """Return what is the tenant's in each table; what hangs on an incident comes before the incidents."""
    mine = sa.select(alert_incidents.c.id).where(alert_incidents.c.tenant == tenant)
    of_nobody = sa.select(alert_outbox.c.id, alert_outbox.c.title, alert_outbox.c.body).where(
        alert_outbox.c.tenant == ""
    )
    said = connection.execute(of_nobody)
    told = [row.id for row in said if names(f"{row.title}\n{row.body}", tenant)]
    scopes = [
        scope
        for scope in connection.execute(sa.select(quotas.c.scope).distinct()).scalars()
        if names(scope, tenant) or any(mark in scope for mark in marks)
    ]
    return [
        ("stored tokens", tokens, tokens.c.tenant == tenant),
        ("jobs at vendors", jobs, jobs.c.tenant == tenant),
        ("positions of changes", change_positions, change_positions.c.tenant == tenant),
        ("messages", alert_outbox, sa.or_(alert_outbox.c.tenant == tenant, alert_outbox.c.id.in_(told))),
        ("snoozes", alert_snoozes, sa.or_(alert_snoozes.c.tenant == tenant, alert_snoozes.c.incident_id.in_(mine))),
        ("verdicts on days", alert_days, alert_days.c.tenant == tenant),
        ("incidents", alert_incidents, alert_incidents.c.tenant == tenant),
        ("quotas", quotas, quotas.c.scope.in_(scopes)),
    ]
