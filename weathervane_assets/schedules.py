"""Schedules: yesterday every night, and days read again that vendors restate.

Belongs here: which days of which tenant, when. Does not belong here: what a run does.

Every schedule ticks each hour and starts a tenant's run in the hour in which the tenant's own clock strikes: a tenant's
night is its own. The hours differ from schedule to schedule, since two runs that compute the same day's matrix at the
same time could leave the older of two answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import dagster as dg

from weathervane_assets import graph
from weathervane_assets.partitions import TENANT_PARTITIONS, TENANT_TAG, day_key, range_tags
from weathervane_resources.platform import Platform
from weathervane_resources.tenants import Tenant

HOURLY = "0 * * * *"
TICK = timedelta(hours=1)


@dataclass(frozen=True)
class Routine:
    """What runs for each tenant once a day: assets, the days up to yesterday (or today), and the local hour."""

    name: str
    says: str
    assets: tuple[str, ...]
    days: int
    hour: int
    ends_days_ago: int = 1

    def span(self, tenant: Tenant, now: datetime, earliest: date) -> tuple[date, date] | None:
        """Return the first and last day to read at `now`, or None where the tenant begins later."""
        last = tenant.today(now) - timedelta(days=self.ends_days_ago)
        first = max(last - timedelta(days=self.days - 1), earliest, tenant.start_date)
        return (first, last) if first <= last else None


ROUTINES = (
    Routine("nightly", "Yesterday of every tenant, all daily tables.", graph.DAILY, days=1, hour=3),
    Routine(
        "restate_ads",
        "Ads of the last 30 days: Meta restates 28 days, Google its conversion window.",
        ("meta_ads", "google_ads", "ads", "features"),
        days=30,
        hour=4,
    ),
    Routine(
        "restate_weather",
        "Weather of the last 7 days: the archive replaces the forecast after about 5.",
        ("weather_daily", "features"),
        days=7,
        hour=5,
    ),
    Routine(
        "restate_promos",
        "Campaigns of the last 14 days: what was sent lately is stopped, archived or deleted without a change to read.",
        ("promos", "features"),
        days=14,
        hour=7,
    ),
    Routine(
        "issue_forecasts",
        "Today's forecast, which cannot be had tomorrow.",
        ("weather_forecast",),
        days=1,
        hour=6,
        ends_days_ago=0,
    ),
)


FRESHNESS = "freshness"
FRESHNESS_CHECKS = dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(name), FRESHNESS) for name in graph.NODES))
HALF_PAST = "30 * * * *"
DQ_REPORT, DQ_REPORT_HOUR = "dq_report", 8


def is_due(tenant: Tenant, hour: int, tick: datetime) -> bool:
    """Return whether the tenant's clock struck `hour` since the tick before.

    An hour that a change of clocks leaves out strikes when it would have begun; one that comes twice strikes once.
    """
    struck = datetime.combine(tenant.today(tick), time(hour), tenant.zone)
    return tick - TICK < struck.astimezone(tick.tzinfo) <= tick


def build_schedules(
    status: dg.DefaultScheduleStatus = dg.DefaultScheduleStatus.STOPPED,
) -> tuple[list[dg.JobDefinition], list[dg.ScheduleDefinition]]:
    """Return a job and a schedule for each routine."""
    pairs = [*(_schedule(routine, status) for routine in ROUTINES), _freshness(status), _dq_report(status)]
    return [job for job, _ in pairs], [schedule for _, schedule in pairs]


def _freshness(status: dg.DefaultScheduleStatus) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """Return the job that looks whether each tenant's newest due day is there, and its schedule; it brings in nothing."""
    says = "Whether the newest due day of every tenant is there; every hour, for all tenants at once."
    job = dg.define_asset_job(FRESHNESS, selection=FRESHNESS_CHECKS, description=says)
    schedule = dg.ScheduleDefinition(
        name=f"{FRESHNESS}_schedule",
        job=job,
        cron_schedule=HALF_PAST,
        execution_timezone="UTC",
        default_status=status,
        description=says,
    )
    return job, schedule  # type: ignore[return-value]


def _dq_report(status: dg.DefaultScheduleStatus) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """Return the job that writes a tenant's report, and the schedule that starts it after the night and the restatements."""
    says = "How each dataset of a tenant stands, after its night."
    job = dg.define_asset_job(DQ_REPORT, selection=dg.AssetSelection.assets(DQ_REPORT), description=says)

    @dg.schedule(
        name=f"{DQ_REPORT}_schedule",
        job=job,
        cron_schedule=HOURLY,
        execution_timezone="UTC",
        default_status=status,
        description=f"{says} At {DQ_REPORT_HOUR:02}:00 of the tenant's clock.",
    )
    def of_tenants(context: dg.ScheduleEvaluationContext, platform: Platform) -> list[dg.RunRequest] | dg.SkipReason:
        tick, synced = context.scheduled_execution_time, context.instance.get_dynamic_partitions(TENANT_PARTITIONS)
        due = [t for t in platform.tenants().values() if t.id in synced and is_due(t, DQ_REPORT_HOUR, tick)]
        requests = [
            dg.RunRequest(f"{DQ_REPORT} {t.id} {t.today(tick)}", partition_key=t.id, tags={TENANT_TAG: t.id})
            for t in due
        ]
        return requests or dg.SkipReason(f"it is {DQ_REPORT_HOUR:02}:00 for no tenant")

    return job, of_tenants  # type: ignore[return-value]


def _with_their_checks(assets: Sequence[str]) -> dg.AssetSelection:
    """Select assets and what judges their rows; that no day is missing is looked at on a schedule of its own."""
    return dg.AssetSelection.assets(*assets) - FRESHNESS_CHECKS


def _schedule(routine: Routine, status: dg.DefaultScheduleStatus) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    job = dg.define_asset_job(routine.name, selection=_with_their_checks(routine.assets), description=routine.says)

    @dg.schedule(
        name=f"{routine.name}_schedule",
        job=job,
        cron_schedule=HOURLY,
        execution_timezone="UTC",
        default_status=status,
        description=f"{routine.says} At {routine.hour:02}:00 of the tenant's clock.",
    )
    def of_tenants(context: dg.ScheduleEvaluationContext, platform: Platform) -> list[dg.RunRequest] | dg.SkipReason:
        synced = context.instance.get_dynamic_partitions(TENANT_PARTITIONS)
        tenants = [tenant for tenant in platform.tenants().values() if tenant.id in synced]
        requests = list(_requests(routine, tenants, context.scheduled_execution_time, platform.settings().start_date))
        return requests or dg.SkipReason(f"it is {routine.hour:02}:00 for none of {len(tenants)} tenants")

    return job, of_tenants  # type: ignore[return-value]


def _requests(routine: Routine, tenants: Sequence[Tenant], tick: datetime, earliest: date) -> Iterator[dg.RunRequest]:
    for tenant in tenants:
        if not is_due(tenant, routine.hour, tick):
            continue
        if span := routine.span(tenant, tick, earliest):
            first, last = span
            yield dg.RunRequest(
                run_key=f"{routine.name} {tenant.id} {last}",
                tags=range_tags(tenant.id, day_key(tenant.id, first), day_key(tenant.id, last)),
            )
