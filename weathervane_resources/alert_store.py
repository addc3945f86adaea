"""What the alerter remembers, in the state database: incidents, verdicts on days, snoozes, seen events, a heartbeat.

Belongs here: reading and writing it, all of a tick in one transaction. Does not belong here: when to open an incident
(`weathervane_checks.alerts`) and sending (`alert_outbox.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from weathervane_resources.alert_records import Facts, Incident, Ledger, Snooze, Subject, Verdict
from weathervane_resources.state import State
from weathervane_resources.state_tables import alert_days as days
from weathervane_resources.state_tables import alert_incidents as incidents
from weathervane_resources.state_tables import alert_seen as seen
from weathervane_resources.state_tables import alert_snoozes as snoozes
from weathervane_resources.state_tables import alert_watch as watch

KEPT = timedelta(days=120)
"""How long a verdict on a day and a closed incident are remembered; no schedule reads days that are older again."""
LOCK = "alerts"


@dataclass(frozen=True)
class Watch:
    """How far the alerter has read the event log, when it last lived, and how old the newest unread event was then."""

    cursor: int
    beat_at: datetime
    lag_s: float
    store: str = ""
    """The id of Dagster's storage that the cursor is of; empty where it is not known."""


@dataclass(frozen=True)
class AlertStore:
    """The alerter's tables. What one `session` writes is committed together or not at all."""

    state: State

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open the transaction of one tick; another alerter waits until it ends.

        A power cut may undo it as a whole: cursor and outbox then agree, and the events are read again.
        """
        with self.state.begin(durable=False) as connection:
            self.state.lock_in(connection, LOCK)
            yield Session(connection)


@dataclass(frozen=True)
class Session:
    """One transaction."""

    connection: sa.Connection

    def watch(self) -> Watch | None:
        """Return how far the alerter came; None before its first tick."""
        known = sa.select(watch.c.cursor, watch.c.beat_at, watch.c.lag_s, watch.c.store)
        row = self.connection.execute(known).one_or_none()
        return Watch(row.cursor, row.beat_at, row.lag_s, row.store or "") if row else None

    def beat(self, new: Watch) -> None:
        """Note that the alerter lives and how far it has come."""
        values = {"beat_at": new.beat_at, "lag_s": new.lag_s, "cursor": new.cursor, "store": new.store or None}
        if not self.connection.execute(sa.update(watch).where(watch.c.id == 1).values(values)).rowcount:
            self.connection.execute(sa.insert(watch).values(id=1, **values))

    def forget_place(self, newest: int) -> None:
        """Forget which events were taken in; verdicts of events after `newest` are no newer than what will be read now."""
        self.connection.execute(sa.delete(seen))
        self.connection.execute(sa.update(days).where(days.c.event_id > newest).values(event_id=newest))

    def seen(self, after: int) -> set[int]:
        """Return the events after `after` that were taken in."""
        return set(self.connection.execute(sa.select(seen.c.event_id).where(seen.c.event_id > after)).scalars())

    def mark_seen(self, event_ids: Collection[int], now: datetime, forget_up_to: int) -> None:
        """Remember events, and forget those that the overlap window has left."""
        if event_ids:
            self.connection.execute(sa.insert(seen), [{"event_id": one, "seen_at": now} for one in sorted(event_ids)])
            self.connection.execute(sa.delete(seen).where(seen.c.event_id <= forget_up_to))

    def ledger(self, now: datetime, tenants: Collection[str] = (), span: tuple[str, str] = ("", "")) -> Ledger:
        """Return the open incidents with their days, the snoozes, and what is known of the tenants' days in `span`."""
        opened = [
            _incident(row)
            for row in self.connection.execute(sa.select(incidents).where(incidents.c.closed_at.is_(None)))
        ]
        mine = days.c.incident_id.in_(sa.select(incidents.c.id).where(incidents.c.closed_at.is_(None)))
        asked = sa.and_(days.c.tenant.in_(sorted(tenants)), days.c.day.between(*span))
        rows = self.connection.execute(sa.select(days).where(sa.or_(mine, asked))) if opened or tenants else ()
        current = self.connection.execute(sa.select(snoozes).where(snoozes.c.until > now))
        return Ledger(
            {incident.subject: incident for incident in opened},
            {
                (Subject(r.tenant, r.dataset, r.cause), r.day): Verdict(r.severity, r.event_id, r.incident_id)
                for r in rows
            },
            [Snooze(row.until, row.incident_id, row.tenant, row.cause, row.reason) for row in current],
        )

    def save(self, changed: Iterable[Incident], verdicts: Mapping[tuple[Subject, str], Verdict], now: datetime) -> None:
        """Write incidents and the verdicts on their days."""
        for incident in changed:
            values = _row(incident)
            if not self.connection.execute(
                sa.update(incidents).where(incidents.c.id == incident.id).values(values)
            ).rowcount:
                self.connection.execute(sa.insert(incidents).values(values))
        for (subject, day), verdict in verdicts.items():
            key = sa.and_(*(days.c[name] == value for name, value in {**subject._asdict(), "day": day}.items()))
            values = {**verdict._asdict(), "judged_at": now}
            if not self.connection.execute(sa.update(days).where(key).values(values)).rowcount:
                self.connection.execute(sa.insert(days).values(**subject._asdict(), day=day, **values))

    def prune(self, now: datetime) -> None:
        """Forget closed incidents, verdicts and snoozes that nothing asks about any more."""
        old = sa.and_(incidents.c.closed_at.is_not(None), incidents.c.closed_at < now - KEPT)
        still_open = sa.select(incidents.c.id).where(incidents.c.closed_at.is_(None))
        gone = sa.and_(days.c.judged_at < now - KEPT, days.c.incident_id.not_in(still_open))
        for table, which in ((days, gone), (incidents, old), (snoozes, snoozes.c.until < now - KEPT)):
            self.connection.execute(sa.delete(table).where(which))

    def listed(self, tenant: str | None, since: datetime | None = None) -> list[tuple[Incident, list[str]]]:
        """Return the open incidents (and those closed after `since`), newest first, each with its days that are not ok."""
        wanted = (
            sa.or_(incidents.c.closed_at.is_(None), incidents.c.closed_at > since)
            if since
            else incidents.c.closed_at.is_(None)
        )
        query = sa.select(incidents).where(wanted).order_by(incidents.c.opened_at.desc(), incidents.c.id)
        found = [
            _incident(row)
            for row in self.connection.execute(query if tenant is None else query.where(incidents.c.tenant == tenant))
        ]
        by_incident: dict[str, list[str]] = {incident.id: [] for incident in found}
        bad = sa.select(days.c.incident_id, days.c.day).where(days.c.severity != "ok").distinct().order_by(days.c.day)
        for incident_id, day in self.connection.execute(bad):
            if incident_id in by_incident and day:
                by_incident[incident_id].append(day)
        return [(incident, by_incident[incident.id]) for incident in found]

    def open_counts(self) -> dict[tuple[str, str], int]:
        """Return how many incidents are open, by tenant and severity."""
        which = (incidents.c.tenant, incidents.c.severity)
        counted = sa.select(*which, sa.func.count()).where(incidents.c.closed_at.is_(None)).group_by(*which)
        return {(tenant, severity): number for tenant, severity, number in self.connection.execute(counted)}

    def snoozed(self, now: datetime) -> list[Snooze]:
        """Return the snoozes that last."""
        return self.ledger(now).snoozes

    def snooze(self, new: Snooze, now: datetime) -> None:
        """Add a snooze."""
        self.connection.execute(sa.insert(snoozes).values(**asdict(new), asked_at=now))

    def wake(self, incident_id: str | None, tenant: str | None, cause: str | None, now: datetime) -> int:
        """End the snoozes that name exactly this; return how many lasted still."""
        named = {snoozes.c.incident_id: incident_id, snoozes.c.tenant: tenant, snoozes.c.cause: cause}
        which = [column.is_(None) if value is None else column == value for column, value in named.items()]
        ended = sa.update(snoozes).where(snoozes.c.until > now, *which).values(until=now)
        return self.connection.execute(ended).rowcount


def _incident(row: Any) -> Incident:
    facts = Facts(**{**row.facts, "codes": tuple(row.facts.get("codes", ()))})
    return Incident(
        row.id, Subject(row.tenant, row.dataset, row.cause), row.severity, facts, row.opened_at, row.last_at,
        row.told_at, row.told_severity, row.reminders, row.closed_at,
    )  # fmt: skip


def _row(incident: Incident) -> dict[str, Any]:
    values = {name: value for name, value in vars(incident).items() if name not in ("subject", "facts", "ended_by")}
    return {**values, **incident.subject._asdict(), "facts": asdict(incident.facts)}
