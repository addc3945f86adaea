"""The section on incidents: what is open, and what was open lately, as the alerter remembers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from weathervane_assets.tenant_report.source import Missing, Source
from weathervane_checks.alert_text import CAUSES
from weathervane_checks.cures import CURES
from weathervane_resources.alert_records import SEVERITY_RANK, Incident
from weathervane_resources.alert_store import AlertStore

LATELY = timedelta(days=30)
MOST_SHOWN = 30


@dataclass(frozen=True)
class Shown:
    """One incident as the page shows it; `note` holds text of a run and is from outside."""

    id: str
    dataset: str
    cause: str
    severity: str
    days: Sequence[str]
    note: str
    advice: str
    opened_at: datetime
    closed_at: datetime | None
    lasted: timedelta
    is_snoozed: bool


@dataclass(frozen=True)
class Incidents:
    """The section."""

    open: Sequence[Shown]
    more_open: int
    recovered: Sequence[Shown]
    more_recovered: int
    missing: Missing | None
    beat_at: datetime | None


def examine_incidents(source: Source, store: AlertStore) -> Incidents:
    """Return the section.

    Raises: StateError: the state database cannot be used.
    """
    with store.session() as session:
        found = session.listed(source.tenant.id, source.now - LATELY)
        snoozes, watch = session.snoozed(source.now), session.watch()
    shown = [
        _shown(incident, days, source.now, is_snoozed=any(s.covers(incident, source.now) for s in snoozes))
        for incident, days in found
    ]
    lasting = sorted((s for s in shown if s.closed_at is None), key=lambda s: -SEVERITY_RANK[s.severity])
    over = sorted((s for s in shown if s.closed_at), key=lambda s: s.closed_at or s.opened_at, reverse=True)
    return Incidents(
        open=lasting[:MOST_SHOWN],
        more_open=max(0, len(lasting) - MOST_SHOWN),
        recovered=over[:MOST_SHOWN],
        more_recovered=max(0, len(over) - MOST_SHOWN),
        missing=None if watch else _NOT_RUNNING,
        beat_at=watch.beat_at if watch else None,
    )


_NOT_RUNNING = Missing(
    "The alerter has not run yet, so nothing was watched.",
    "Switch on the sensor alerts, or set WEATHERVANE_AUTOMATION=on; then look with `weathervane alerts list`.",
)


def _shown(incident: Incident, days: Sequence[str], now: datetime, *, is_snoozed: bool) -> Shown:
    cause, facts = incident.subject.cause, incident.facts
    likely = next((CAUSES[code] for code in (*facts.codes, cause) if code in CAUSES), "")
    return Shown(
        id=incident.id,
        dataset=incident.subject.dataset,
        cause=cause.replace("_", " "),
        severity=incident.severity,
        days=days,
        note=facts.note,
        advice=_sentence(facts.cure or likely) or CURES.get(cause, ""),
        opened_at=incident.opened_at,
        closed_at=incident.closed_at,
        lasted=(incident.closed_at or now) - incident.opened_at,
        is_snoozed=is_snoozed,
    )


def _sentence(said: str) -> str:
    return f"{said[0].upper()}{said[1:]}." if said else ""
