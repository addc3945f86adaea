"""The commands `weathervane alerts ...`: what is wrong now, silence for a while, whether messages arrive, what would have.

Belongs here: arguments and printing. Does not belong here: when something is told (`weathervane_checks.alerts`).
"""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from weathervane_assets.cli_configuration import (
    Complaint,
    chosen_tenants,
    complains,
    configured,
)
from weathervane_assets.cli_types import TENANT
from weathervane_resources.spelling import counted

if TYPE_CHECKING:
    from weathervane_resources.alert_records import Incident, Snooze
    from weathervane_resources.alert_store import AlertStore
    from weathervane_resources.notifier import Target
    from weathervane_resources.settings import Settings

SPAN = re.compile(r"(\d+)([mhdw])")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group()
def alerts() -> None:
    """Look at open incidents, silence them, try the targets, replay history."""


class Span(click.ParamType[timedelta]):
    """A length of time like 30m, 12h, 2d or 1w."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the length."""
        if isinstance(value, timedelta):
            return value
        found = SPAN.fullmatch(str(value))
        if not found or not 0 < (number := int(found[1])) <= 100_000:
            self.fail(f"{value!r} is not a length of time like 30m, 12h, 2d or 1w", param, ctx)
        return timedelta(**{UNITS[found[2]]: number})


@alerts.command("list")
@click.option("--tenant", "tenant_id", type=TENANT, help="Only this tenant.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def alerts_list(tenant_id: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """List the open incidents, the snoozes and the messages that did not arrive."""
    from weathervane_resources.alert_outbox import count_waiting
    from weathervane_resources.clock import system_now

    settings = configured()
    chosen_tenants(settings, tenant_id)
    now = system_now()
    with _store(settings).session() as session:
        found, snoozes, outbox = session.listed(tenant_id), session.snoozed(now), count_waiting(session)
    rows = [_plain(incident, days, snoozes, now) for incident, days in found]
    silent = [_plain_snooze(one) for one in snoozes if one.tenant and tenant_id in (None, one.tenant)]
    if as_json:
        said = {"incidents": rows, "snoozes": silent, "waiting": outbox.waiting, "parked": outbox.parked}
        click.echo(json.dumps(said, indent=2, default=str))
        return
    for row in rows:
        click.echo(_line(row))
    for one in silent:
        whom = " ".join(filter(None, (one["tenant"], one["cause"])))
        why = f" ({one['reason']})" if one["reason"] else ""
        click.echo(f"snoozed: {whom} until {one['until']}{why}")
    click.echo(f"{counted(len(rows), 'open incident')}; messages: {outbox.waiting} waiting, {outbox.parked} parked")


@alerts.command("snooze")
@click.argument("incident_id", required=False, metavar="[INCIDENT]")
@click.option("--tenant", "tenant_id", type=TENANT, help="All of a tenant instead of one incident.")
@click.option("--check", help="With --tenant: only this check.")
@click.option("--for", "span", type=Span(), required=True, help="How long: 30m, 12h, 2d, 1w.")
@click.option("--reason", default="", help="Kept beside it.")
@complains
def alerts_snooze(
    incident_id: str | None, tenant_id: str | None, check: str | None, span: timedelta, reason: str
) -> None:
    """Say nothing of an INCIDENT, or of a tenant's, for a while; what lasts longer is told then."""
    from weathervane_resources.alert_records import Snooze
    from weathervane_resources.clock import system_now

    whom = _named(incident_id, tenant_id, check)
    settings = configured()
    chosen_tenants(settings, tenant_id)
    now = system_now()
    with _store(settings).session() as session:
        ids = {incident.id for incident, _ in session.listed(None)}
        if incident_id is not None and incident_id not in ids:
            raise Complaint(f"no open incident {incident_id!r}; `weathervane alerts list` shows them")
        if check and check not in (known := _causes()):
            raise Complaint(f"unknown check {check!r}; there are: {', '.join(known)}")
        session.snooze(Snooze(now + span, incident_id, tenant_id, check, reason[:200]), now)
    click.echo(f"{whom} is silent until {now + span:%Y-%m-%d %H:%M} UTC")


@alerts.command("wake")
@click.argument("incident_id", required=False, metavar="[INCIDENT]")
@click.option("--tenant", "tenant_id", type=TENANT, help="What was said for a tenant instead of one incident.")
@click.option("--check", help="With --tenant: what was said for this check.")
@complains
def alerts_wake(incident_id: str | None, tenant_id: str | None, check: str | None) -> None:
    """End a snooze before its time; `alerts list` shows them."""
    from weathervane_resources.clock import system_now

    whom = _named(incident_id, tenant_id, check)
    settings = configured()
    with _store(settings).session() as session:
        ended = session.wake(incident_id, tenant_id, check, system_now())
    if not ended:
        raise Complaint(f"{whom} is not snoozed; `weathervane alerts list` shows what is")
    click.echo(f"{whom} is told of again")


def _named(incident_id: str | None, tenant_id: str | None, check: str | None) -> str:
    """Return what a snooze is of, as it is said. Raises: click.UsageError: nothing, or two things."""
    if (incident_id is None) == (tenant_id is None) or (check and not tenant_id):
        raise click.UsageError("name one INCIDENT, or --tenant T with or without --check C")
    return incident_id or " ".join(filter(None, (tenant_id, check)))


@alerts.command("test")
@click.option(
    "--tenant", "tenant_id", type=TENANT, help="Only what this tenant's messages go to.  [default: every target]"
)
@complains
def alerts_test(tenant_id: str | None) -> None:
    """Send a message to each target now; exit 1 if one does not take it."""
    from weathervane_checks.alert_routing import configured_targets
    from weathervane_resources.clock import system_now

    settings = configured()
    chosen = chosen_tenants(settings, tenant_id)
    targets, complaints = configured_targets(settings, chosen)
    for line in complaints:
        click.echo(f"wrong    {line}", err=True)
    if not targets and not complaints:
        click.echo("no targets: set WEATHERVANE_ALERT_URLS, or alert_urls in tenants.toml", err=True)
        sys.exit(1)
    results = [_try(target, system_now()) for target in targets]
    sys.exit(0 if all(results) and not complaints else 1)


@alerts.command("replay")
@click.option("--tenant", "tenant_id", type=TENANT, help="Only this tenant.  [default: all of tenants.toml]")
@click.option("--days", type=click.IntRange(1, 3660), default=365, show_default=True, help="Days up to yesterday.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def replay(tenant_id: str | None, days: int, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Run the row-count rules over a tenant's own history, day by day, and print what would have alerted."""
    from weathervane_checks.replay import replay_tenant
    from weathervane_resources.clock import system_now
    from weathervane_resources.lake import Lake

    settings = configured()
    lake, now = Lake(settings.lake), system_now()
    replays = [one for tenant in chosen_tenants(settings, tenant_id) for one in replay_tenant(tenant, lake, now, days)]
    if as_json:
        click.echo(json.dumps([one.plain() for one in replays], indent=2))
    else:
        click.echo("\n".join(line for one in replays for line in one.lines()))


def _try(target: Target, now: datetime) -> bool:
    from weathervane_resources.alert_records import short_id
    from weathervane_resources.notifier import deliver

    whose = target.tenant or "every tenant"
    body = f"A test of {now:%Y-%m-%d %H:%M:%S} UTC. Alerts of {whose} from severity {target.min_severity} on come here."
    error = deliver(target, "Weathervane can reach you", body, key=f"{short_id(target.id, now)}-test", kind="test")
    click.echo(
        f"{'failed' if error else 'ok':<8} {target.label} ({whose}){f': {error}' if error else ''}", err=bool(error)
    )
    return not error


def _plain(incident: Incident, days: list[str], snoozes: list[Snooze], now: datetime) -> dict[str, Any]:
    until = [snooze.until for snooze in snoozes if snooze.covers(incident, now)]
    return {
        "id": incident.id,
        **incident.subject._asdict(),
        "severity": incident.severity,
        "days": days,
        "observed": incident.facts.observed,
        "threshold": incident.facts.threshold,
        "alerts": list(incident.facts.codes),
        "note": incident.facts.note,
        "what_to_do": incident.facts.cure,
        "opened_at": incident.opened_at.isoformat(),
        "told_at": incident.told_at.isoformat() if incident.told_at else None,
        "snoozed_until": max(until).isoformat() if until else None,
    }


def _plain_snooze(snooze: Snooze) -> dict[str, str | None]:
    """Return the silence of a tenant, or of a check of it; that of an incident stands beside the incident."""
    until = snooze.until.isoformat()
    return {"tenant": snooze.tenant, "cause": snooze.cause, "until": until, "reason": snooze.reason}


def _line(row: dict[str, Any]) -> str:
    days = row["days"]
    when = f" {days[0]}" + (f"..{days[-1]} ({len(days)} days)" if len(days) > 1 else "") if days else ""
    observed = f": {row['observed']} (threshold {row['threshold']})" if row["threshold"] else ""
    state = f"  silent until {row['snoozed_until']}" if row["snoozed_until"] else "" if row["told_at"] else "  not told"
    whose = row["tenant"] or "(installation)"
    return f"{row['id']}  {row['severity']:<8} {whose} {row['dataset']} {row['cause']}{when}{observed}{state}"


def _causes() -> list[str]:
    """Return what an incident of a tenant may be about: its checks, and what happens to its runs."""
    from weathervane_checks.alerts import FAILED_RUN, GIVEN_UP, NOT_RUN, STUCK_RUN
    from weathervane_checks.cures import CURES

    return sorted([*CURES, FAILED_RUN, GIVEN_UP, NOT_RUN, STUCK_RUN])


def _store(settings: Settings) -> AlertStore:
    from weathervane_resources.alert_store import AlertStore
    from weathervane_resources.state import open_state

    return AlertStore(open_state(settings.state_url))
