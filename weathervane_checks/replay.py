"""The row-count rules over a tenant's own history, day by day: what each night would have said.

Belongs here: going through the ledger, and joining days in a row into the one message that they would have been.
Does not belong here: judging (`rules/row_counts.py`) and printing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from weathervane_resources.lake import Lake
from weathervane_resources.spelling import counted
from weathervane_resources.tenants import Tenant

from weathervane_checks.catalog import COUNTED
from weathervane_checks.findings import RANK, Finding, Severity, worst
from weathervane_checks.rules.row_counts import judge_row_counts
from weathervane_checks.thresholds import Thresholds

QUARTER_DAYS = 365.25 / 4


@dataclass(frozen=True)
class Alarm:
    """Days in a row that were not ok: one message."""

    first: date
    last: date
    severity: Severity
    alerts: tuple[str, ...]
    note: str

    def line(self) -> str:
        """Return one line: when, how bad, and the worst day's reason."""
        span = f"{self.first}" if self.first == self.last else f"{self.first}..{self.last}"
        return f"  {self.severity:<8} {span}  {', '.join(self.alerts)}: {self.note}"


@dataclass(frozen=True)
class Replay:
    """One tenant and dataset: the days gone through, those without enough history to judge, and the alarms."""

    tenant: str
    dataset: str
    days: int
    not_judged: int
    alarms: tuple[Alarm, ...]

    @property
    def a_quarter(self) -> float:
        """How many alarms a quarter of a year."""
        return len(self.alarms) / (self.days / QUARTER_DAYS) if self.days else 0.0

    def lines(self) -> Iterator[str]:
        """Yield a line for the dataset and one for each alarm."""
        if not self.days:
            yield f"{self.tenant}  {self.dataset}: no history"
            return
        untold = f", {counted(self.not_judged, 'day')} not judged (too little history)" if self.not_judged else ""
        told = f"{counted(len(self.alarms), 'alarm')} in {counted(self.days, 'day')} ({self.a_quarter:.2f} a quarter)"
        yield f"{self.tenant}  {self.dataset}: {told}{untold}"
        yield from (alarm.line() for alarm in self.alarms)

    def plain(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        alarms = [asdict(a) | {"first": a.first.isoformat(), "last": a.last.isoformat()} for a in self.alarms]
        return asdict(self) | {"alarms": alarms, "alarms_a_quarter": round(self.a_quarter, 3)}


def replay_tenant(tenant: Tenant, lake: Lake, now: datetime, days: int) -> list[Replay]:
    """Return what the last `days` up to yesterday would have said, for each dataset whose rows are counted."""
    return [_replay(tenant, dataset, lake, now, days) for dataset in COUNTED]


def _replay(tenant: Tenant, dataset: str, lake: Lake, now: datetime, length: int) -> Replay:
    ledger, today = lake.ledger(tenant.id, dataset), tenant.today(now)
    begun = ledger["date"].min()
    if not isinstance(begun, date) or begun >= today:
        return Replay(tenant.id, dataset, 0, 0, ())
    first = max(begun, today - timedelta(days=length))
    span = [first + timedelta(days=n) for n in range((today - first).days)]
    limits = Thresholds().for_tenant(tenant.thresholds)
    findings = judge_row_counts(ledger, span, limits, today, tenant.quiet_days)
    not_judged = sum("not_judged" in f.extra for f in findings)
    return Replay(tenant.id, dataset, len(span), not_judged, tuple(join_days(findings)))


def join_days(findings: Sequence[Finding]) -> Iterator[Alarm]:
    """Yield an alarm for each run of days that are not ok; `findings` in order of day."""
    run: list[Finding] = []
    for finding in findings:
        if run and (finding.is_ok or finding.day != run[-1].day + timedelta(days=1)):
            yield _alarm(run)
            run = []
        if not finding.is_ok:
            run.append(finding)
    if run:
        yield _alarm(run)


def _alarm(run: Sequence[Finding]) -> Alarm:
    lead = max(run, key=lambda f: RANK[f.severity])
    codes = tuple(sorted({code for f in run for code in f.alerts}))
    return Alarm(run[0].day, run[-1].day, worst(run), codes, lead.note)
