"""Schedules: yesterday every night, and days read again that vendors restate.

Belongs here: which days of which tenant, when. Does not belong here: what a run does, and what the tables say is still to be
read (`unread.py`).

Every schedule ticks each hour and starts a tenant's run once the tenant's own clock has struck: a tenant's night is its own. Dagster
drops the ticks of a time in which the daemon was off, all but the last, so a run that was not started in its hour is
started at the next tick of the same day. The hours differ from schedule to schedule, since two runs that compute the same day's
matrix at the same time could leave the older of two answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from time import monotonic
from typing import TypeVar

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SCHEDULE_NAME_TAG

from weathervane_assets import graph
from weathervane_assets.changed_places import spans_of_changed_places, years_of_changed_places
from weathervane_assets.partitions import TENANT_PARTITIONS, day_key, range_tags, year_key
from weathervane_assets.unread import (
    ISSUED,
    WEATHER_DAYS,
    complete_nights,
    normals_lack_december,
    oldest_unsettled,
    spans_read_early,
    years_without_normals,
)
from weathervane_resources.partition_keys import PRIORITY_TAG, TENANT_TAG
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenants import Tenant
from weathervane_resources.weather_plan import ISSUE_HOUR

T = TypeVar("T")
HOURLY = "0 * * * *"
STARTED_WITHIN = timedelta(hours=50)
"""A local day and as much again: how far back a run of today can have been started."""
MOST_CAUGHT_UP = 14
"""Days; a longer outage is a backfill's, which someone should look at."""
LOOK_SECONDS = 30
"""Dagster cuts a tick off after a minute, and nothing would start: tenants that were not looked at by then are the next tick's."""
NORMALS_HOUR = 8
NORMALS_DAYS = ((1, 1), (1, 7), (1, 8))
"""Month and day on which the year's normals are made: for the first night, and again when the archive has all of December.

It has it from January 7 on in UTC, where east of China it is the 8th already. Not later: by the first decisions that use them
(`as_of.NORMALS_DELAY_DAYS`) rows are stored in the night to the 8th at the earliest, and normals made after that differ from theirs.
Where nothing ran on either day they are made on the first that something does: what was stored by then is restated the night after."""
NEW_CELLS, NEW_CELLS_HOUR = "new_cells", 4
"""After the night, which finds the cells, and before the weather is restated, which then has their anomalies."""
Requests = Callable[[datetime, Sequence[Tenant], Platform, Collection[str]], Iterator[dg.RunRequest]]
"""What to start at a tick, of the tenants that runs may start for, without the run keys that were started."""


@dataclass(frozen=True)
class Routine:
    """What runs for each tenant once a day: assets, the days up to yesterday (or today; None: its `restate_ads_days`), the local hour."""

    name: str
    says: str
    assets: tuple[str, ...]
    days: int | None
    hour: int
    ends_days_ago: int = 1
    priority: int = 0
    catches_up: bool = False
    """Whether nights that were missed are read with it, as one range."""
    settles: bool = False
    """Whether older days that still stand as forecasts, or have a gap, are read with it; those whose places changed, by runs of their own."""
    restated: tuple[str, ...] = ()
    """The tables whose older days are read with it, by runs of their own, if they were last read while the vendor still restated them."""
    again_hour: int | None = None
    """A later hour of the day at which the same is read once more."""

    @property
    def hours(self) -> tuple[int, ...]:
        """The hours at which it starts."""
        return (self.hour,) if self.again_hour is None else (self.hour, self.again_hour)

    @property
    def at(self) -> str:
        """The hours, as people read them."""
        return " and ".join(f"{hour:02}:00" for hour in self.hours)

    def run_key(self, tenant: Tenant, now: datetime) -> str | None:
        """Return the key of the run that is due at `now`, or None before its hour; of two hours that struck, the later's."""
        struck = [hour for hour in self.hours if has_struck(tenant, hour, now)]
        again = f" {struck[-1]:02}:00" if struck[1:] else ""
        return f"{self.name} {tenant.id} {self.last_day(tenant, now)}{again}" if struck else None

    def last_day(self, tenant: Tenant, now: datetime) -> date:
        """Return the newest day to read at `now`."""
        return tenant.today(now) - timedelta(days=self.ends_days_ago)

    def span(
        self, tenant: Tenant, now: datetime, earliest: date, written: Collection[date] = ()
    ) -> tuple[date, date] | None:
        """Return the first and last day to read at `now`, or None where the tenant begins later.

        `written` are the days that are there with all their tables. From the first that is not, everything is read; a
        tenant without any has no missed nights: its history is a backfill's.
        """
        last = self.last_day(tenant, now)
        first = last - timedelta(days=(self.days or tenant.restate_ads_days) - 1)
        if written:
            caught_up = (last - timedelta(days=n) for n in reversed(range(MOST_CAUGHT_UP)))
            missed = (day for day in caught_up if day > min(written) and day not in written)
            first = min(first, next(missed, first))
        first = max(first, earliest, tenant.start_date)
        return (first, last) if first <= last else None


ROUTINES = (
    Routine(
        "nightly",
        "Yesterday of every tenant, all daily tables, and the nights before it that were missed.",
        graph.DAILY,
        days=1,
        hour=3,
        priority=10,
        catches_up=True,
    ),
    Routine(
        "restate_ads",
        "Ads of the last 33 days (`restate_ads_days` of a tenant), and of older ones that were last read before they were so old: Meta restates 28 days, Google its conversion window.",
        ("meta_ads", "google_ads", "ads", "features"),
        days=None,
        hour=4,
        restated=("meta_ads", "google_ads"),
    ),
    Routine(
        "restate_weather",
        "Weather of the last 10 days, and of older ones that still are forecasts, have a gap, or whose places changed since with old orders.",
        ("weather_daily", "features"),
        days=WEATHER_DAYS,
        hour=5,
        settles=True,
    ),
    Routine(
        "issue_forecasts",
        "Today's forecast, which cannot be had tomorrow.",
        (ISSUED,),
        days=1,
        hour=ISSUE_HOUR,  # what is learnt later than `decision_hour` (6) is a day old at the next decision
        ends_days_ago=0,
        priority=10,
        again_hour=5,  # for the places that the night found; of the others it is known, and nothing is asked
    ),
    Routine(
        "restate_promos",
        "Campaigns of the last 14 days, and of older ones that were last read before they were so old: what was sent lately is stopped, archived or deleted without a change to read.",
        ("promos", "features"),
        days=14,
        hour=7,
        restated=("promos",),
    ),
)

FRESHNESS = "freshness"
FRESHNESS_CHECKS = dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(name), FRESHNESS) for name in graph.NODES))
HALF_PAST = "30 * * * *"
DQ_REPORT, DQ_REPORT_HOUR = "dq_report", 8
REPORTS = (DQ_REPORT, "tenant_report")
"""In this order, in a run of their own: no ingestion waits for them or fails with them."""


def has_struck(tenant: Tenant, hour: int, tick: datetime) -> bool:
    """Return whether the tenant's clock has struck `hour` today.

    An hour that a change of clocks leaves out strikes when it would have begun; one that comes twice strikes the first time.
    """
    struck = datetime.combine(tenant.today(tick), time(hour), tenant.zone)
    return struck.astimezone(tick.tzinfo) <= tick


def started(instance: dg.DagsterInstance, schedule: str, tick: datetime) -> set[str]:
    """Return the keys of the runs that a schedule has started in the last days; of one that was made but never queued, not."""
    since = dg.RunsFilter(tags={SCHEDULE_NAME_TAG: schedule}, created_after=tick - STARTED_WITHIN)
    runs = (run for run in instance.get_runs(since) if run.status != dg.DagsterRunStatus.NOT_STARTED)
    return {run.tags.get(RUN_KEY_TAG, "") for run in runs}


def active_tenants(instance: dg.DagsterInstance, platform: Platform) -> list[Tenant]:
    """Return the tenants that runs may start for by themselves: the shard's, with a partition, not paused."""
    synced = set(instance.get_dynamic_partitions(TENANT_PARTITIONS))
    return [tenant for tenant in platform.own_tenants().values() if tenant.id in synced and not tenant.paused]


def paused_tenants(platform: Platform) -> str:
    """Return `; paused: acme, kiwi` for a skip reason, or nothing."""
    paused = [tenant.id for tenant in platform.own_tenants().values() if tenant.paused]
    return f"; paused: {', '.join(paused)}" if paused else ""


def build_schedules(
    status: dg.DefaultScheduleStatus = dg.DefaultScheduleStatus.STOPPED,
) -> tuple[list[dg.JobDefinition], list[dg.ScheduleDefinition]]:
    """Return a job and a schedule for each routine."""
    pairs = [
        *(_schedule(routine, status) for routine in ROUTINES),
        *_yearly_schedules(status),
        _freshness(status),
        _dq_report(status),
    ]
    jobs = {job.name: job for job, _ in pairs}
    return list(jobs.values()), [schedule for _, schedule in pairs]


def _job(name: str, selection: dg.AssetSelection, says: str) -> dg.JobDefinition:
    return dg.define_asset_job(name, selection=selection, description=says)  # type: ignore[return-value] # resolved later


def _freshness(status: dg.DefaultScheduleStatus) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """Return the job that looks whether each tenant's newest due day is there, and its schedule; it brings in nothing."""
    says = "Whether the newest due day of every tenant is there; every hour, for all tenants at once."
    job = _job(FRESHNESS, FRESHNESS_CHECKS, says)

    @dg.schedule(
        name=f"{FRESHNESS}_schedule",
        job=job,
        cron_schedule=HALF_PAST,
        execution_timezone="UTC",
        default_status=status,
        description=says,
    )
    def of_all(platform: Platform) -> dg.RunRequest | dg.SkipReason:
        try:
            platform.tenants()
        except ConfigurationError as error:
            return dg.SkipReason(str(error))
        return dg.RunRequest()

    return job, of_all


def _dq_report(status: dg.DefaultScheduleStatus) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """Return the job that writes a tenant's reports, and the schedule that starts it after the night and the restatements."""
    says = "How each dataset of a tenant stands, and its report as a page, after its night."
    # an asset is an operation of its name, and a code location with a job of the same name does not load
    job = _job(f"{DQ_REPORT}_job", dg.AssetSelection.assets(*REPORTS), says)

    def requests(
        tick: datetime, tenants: Sequence[Tenant], _: Platform, __: Collection[str]
    ) -> Iterator[dg.RunRequest]:
        for tenant in tenants:
            if has_struck(tenant, DQ_REPORT_HOUR, tick):
                key, tags = f"{DQ_REPORT} {tenant.id} {tenant.today(tick)}", {TENANT_TAG: tenant.id}
                yield dg.RunRequest(key, partition_key=tenant.id, tags=tags)

    at = f"{DQ_REPORT_HOUR:02}:00"
    told = f"{says} At {at} of the tenant's clock."
    return job, _hourly(DQ_REPORT, job, told, status, requests, f"it is {at} for no tenant")


def _in_time(wanted: Iterable[T]) -> Iterator[T]:
    ends_at_s = monotonic() + LOOK_SECONDS
    return takewhile(lambda _: monotonic() < ends_at_s, wanted)


def _with_their_checks(assets: Sequence[str]) -> dg.AssetSelection:
    """Select assets and what judges their rows; that no day is missing is looked at on a schedule of its own."""
    return dg.AssetSelection.assets(*assets) - FRESHNESS_CHECKS


def _schedule(routine: Routine, status: dg.DefaultScheduleStatus) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    job = _job(routine.name, _with_their_checks(routine.assets), routine.says)

    def requests(
        tick: datetime, tenants: Sequence[Tenant], platform: Platform, done: Collection[str]
    ) -> Iterator[dg.RunRequest]:
        return _requests(routine, tenants, tick, platform, done)

    told = f"{routine.says} At {routine.at} of the tenant's clock."
    return job, _hourly(routine.name, job, told, status, requests, f"it is {routine.at} for none of {{}} tenants")


def _hourly(
    name: str,
    job: dg.JobDefinition,
    says: str,
    status: dg.DefaultScheduleStatus,
    requests: Requests,
    none: str,
) -> dg.ScheduleDefinition:
    """Return the schedule that each hour asks `requests` of the active tenants; `none` says why there are none of how many."""

    @dg.schedule(
        name=f"{name}_schedule",
        job=job,
        cron_schedule=HOURLY,
        execution_timezone="UTC",
        default_status=status,
        description=says,
    )
    def of_tenants(context: dg.ScheduleEvaluationContext, platform: Platform) -> list[dg.RunRequest] | dg.SkipReason:
        try:
            tenants = active_tenants(context.instance, platform)
        except ConfigurationError as error:
            return dg.SkipReason(str(error))
        tick = context.scheduled_execution_time
        done = started(context.instance, f"{name}_schedule", tick)
        found = [request for request in requests(tick, tenants, platform, done) if request.run_key not in done]
        return found or dg.SkipReason(f"{none.format(len(tenants))}{paused_tenants(platform)}")

    return of_tenants


def _requests(
    routine: Routine, tenants: Sequence[Tenant], tick: datetime, platform: Platform, done: Collection[str]
) -> Iterator[dg.RunRequest]:
    earliest, lake = platform.settings().start_date, platform.lake()
    wanted = [(key, one) for one in tenants if (key := routine.run_key(one, tick)) and key not in done]
    for key, tenant in _in_time(wanted):
        written = complete_nights(lake, tenant) if routine.catches_up else ()
        if span := routine.span(tenant, tick, earliest, written):
            if routine.settles:
                span = (max(earliest, tenant.start_date, oldest_unsettled(lake, tenant.id, span[0], tick)), span[1])
                yield from _of_changed_places(routine, key, tenant, span[0], tick, platform)
            for early in spans_read_early(lake, tenant, routine.restated, span, earliest):
                yield _routine_request(routine, f"{key} early {early[0]}", tenant, early)
            yield _routine_request(routine, key, tenant, span)


def _of_changed_places(
    routine: Routine, key: str, tenant: Tenant, before: date, tick: datetime, platform: Platform
) -> Iterator[dg.RunRequest]:
    """Yield runs of their own for the days `before` whose places have changed: all of the days between would be too many."""
    first = max(platform.settings().start_date, tenant.start_date)
    for span in spans_of_changed_places(platform.lake(), tenant, first, before - timedelta(days=1), tick):
        yield _routine_request(routine, f"{key} places {span[0]}", tenant, span)


def _routine_request(routine: Routine, key: str, tenant: Tenant, span: tuple[date, date]) -> dg.RunRequest:
    tags = range_tags(tenant.id, *(day_key(tenant.id, day) for day in span))
    return dg.RunRequest(run_key=key, tags={**tags, PRIORITY_TAG: str(routine.priority)})


def _yearly_schedules(status: dg.DefaultScheduleStatus) -> list[tuple[dg.JobDefinition, dg.ScheduleDefinition]]:
    """Return the job of the normals with its schedules: of a year that begins, and of cells that came since."""
    says = "The normals of the year that begins, from the years before it."
    job = _job("normals", dg.AssetSelection.assets(*graph.YEARLY), says)

    def of_the_year(
        tick: datetime, tenants: Sequence[Tenant], platform: Platform, done: Collection[str]
    ) -> Iterator[dg.RunRequest]:
        for tenant in tenants:
            request = _normals_request(tenant, tenant.today(tick), tenant.today(tick).year)
            if request.run_key in done or not has_struck(tenant, NORMALS_HOUR, tick):
                continue
            if normals_are_due(tenant, tick) or normals_lack_december(platform.lake(), tenant, tick):
                yield request

    def of_new_cells(
        tick: datetime, tenants: Sequence[Tenant], platform: Platform, done: Collection[str]
    ) -> Iterator[dg.RunRequest]:
        # in another order each time: those at the end must not wait for ever
        for tenant in _in_time(random.sample(tenants, len(tenants))):
            today = tenant.today(tick)
            if (
                has_struck(tenant, NEW_CELLS_HOUR, tick)
                and _normals_request(tenant, today, today.year).run_key not in done
            ):
                for year in _years_of_new_cells(tenant, today, platform):
                    yield _normals_request(tenant, today, year)

    told = f"{says} On January 1, 7 and 8 at {NORMALS_HOUR:02}:00 of the tenant's clock; later, where the daemon was off then."
    new = "The normals of places that were shipped to for the first time: their anomalies are null until then."
    at = f"{NEW_CELLS_HOUR:02}:00"
    none = f"it is {at} for none of {{}} tenants, or every place has its normals"
    return [
        (job, _hourly("normals", job, told, status, of_the_year, "not the day for it")),
        (job, _hourly(NEW_CELLS, job, f"{new} At {at} of the tenant's clock.", status, of_new_cells, none)),
    ]


def _years_of_new_cells(tenant: Tenant, today: date, platform: Platform) -> list[int]:
    lake = platform.lake()
    old = years_of_changed_places(lake, tenant, today - timedelta(days=WEATHER_DAYS + 1))
    years = {*years_without_normals(lake, tenant, today), *old}
    return sorted(year for year in years if year >= platform.settings().start_date.year)


def normals_are_due(tenant: Tenant, tick: datetime) -> bool:
    """Return whether today is a day of the normals, and the tenant's clock has struck their hour."""
    today = tenant.today(tick)
    return (today.month, today.day) in NORMALS_DAYS and has_struck(tenant, NORMALS_HOUR, tick)


def _normals_request(tenant: Tenant, today: date, year: int) -> dg.RunRequest:
    key = year_key(tenant.id, year)
    return dg.RunRequest(run_key=f"normals {tenant.id} {year} {today}", tags=range_tags(tenant.id, key, key))
