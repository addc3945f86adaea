"""What the alerter keeps and passes on, as plain values.

Belongs here: the shapes that the rules of alerting (`weathervane_checks.alerts`) and the store (`alert_store.py`) share.
Does not belong here: when to open an incident or to tell someone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

AlertSeverity = Literal["ok", "warning", "critical"]
NoticeKind = Literal["alert", "worse", "reminder", "recovery", "digest", "test"]
SEVERITY_RANK: Mapping[str, int] = {"ok": 0, "warning": 1, "critical": 2}


class Subject(NamedTuple):
    """What an incident is about. `cause` is the check's name, or what happened (`failed_run`); tenant "" is the installation."""

    tenant: str
    dataset: str
    cause: str


class Verdict(NamedTuple):
    """The last judgement of one subject's day: which event said it, and which incident it belongs to."""

    severity: AlertSeverity
    event_id: int
    incident_id: str


@dataclass(frozen=True)
class Facts:
    """What a message says besides subject, days and severity. Texts are redacted before they come here."""

    observed: str = ""
    threshold: str = ""
    codes: tuple[str, ...] = ()
    note: str = ""
    run_id: str = ""
    cure: str = ""
    """What to do, where what happened says so itself."""


@dataclass
class Incident:
    """One thing that is wrong, over any number of days, from the first sight of it to its end."""

    id: str
    subject: Subject
    severity: AlertSeverity
    facts: Facts
    opened_at: datetime
    last_at: datetime
    told_at: datetime | None = None
    told_severity: AlertSeverity | None = None
    reminders: int = 0
    closed_at: datetime | None = None
    ended_by: str = ""
    """The run whose good judgement ended it, as far as one did. Said once, when it ends, and not kept."""

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.closed_at is None


@dataclass(frozen=True)
class Snooze:
    """Say nothing until `until` of one incident, or of a tenant's, or of one check of it. An empty part fits all."""

    until: datetime
    incident_id: str | None = None
    tenant: str | None = None
    cause: str | None = None
    reason: str = ""

    def covers(self, incident: Incident, now: datetime) -> bool:
        """Return whether nothing is to be said of the incident at `now`."""
        wanted = (
            (self.incident_id, incident.id),
            (self.tenant, incident.subject.tenant),
            (self.cause, incident.subject.cause),
        )
        return now < self.until and all(mine is None or mine == its for mine, its in wanted)


@dataclass(frozen=True)
class Notice:
    """One message of one tenant, not yet addressed. `key` is the same whenever the same thing is told again."""

    key: str
    kind: NoticeKind
    tenant: str
    severity: AlertSeverity
    title: str
    body: str
    about_target: str = ""
    """The target that this notice says is broken: it goes to the others."""
    parts: tuple[Notice, ...] = ()
    """The messages that this one stands for, for receivers that keep an incident of their own for each of ours."""
    is_quiet: bool = False
    """Whether it is for these receivers only."""


@dataclass
class Ledger:
    """What the alerter remembers, as far as a tick may need it."""

    incidents: dict[Subject, Incident] = field(default_factory=dict)
    """Open incidents."""
    days: dict[tuple[Subject, str], Verdict] = field(default_factory=dict)
    snoozes: list[Snooze] = field(default_factory=list)


def short_id(*parts: object) -> str:
    """Return an id of 10 characters that is the same whenever it is made from the same parts."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=5).hexdigest()
