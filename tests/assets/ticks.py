"""What a schedule asks for at a tick."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import dagster as dg

from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.partitions import RANGE_END, RANGE_START, TENANT_TAG
from weathervane_assets.schedules import build_schedules, has_struck
from weathervane_resources.platform import Platform
from weathervane_resources.tenants import Tenant

JOBS, SCHEDULES = build_schedules()
BY_NAME = {schedule.name.removesuffix("_schedule"): schedule for schedule in SCHEDULES}


def tenant(timezone: str, start: date = date(2024, 1, 1)) -> Tenant:
    return Tenant("acme", "Acme", timezone, "USD", start)


def tick(instance: dg.DagsterInstance, name: str, at: datetime) -> list[dg.RunRequest]:
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    resources = {"platform": platform}
    # as a context manager, and with its resources: else it opens the instance and never closes it
    with dg.build_schedule_context(instance, scheduled_execution_time=at, resources=resources) as context:
        result = BY_NAME[name](context)
    return result if isinstance(result, list) else []


def of_acme(instance: dg.DagsterInstance, name: str, at: datetime) -> list[dg.RunRequest]:
    """Return what a tick asks for of acme; the other tenant's clock is elsewhere."""
    return [request for request in tick(instance, name, at) if request.tags[TENANT_TAG] == "acme"]


def start(instance: dg.DagsterInstance, name: str, at: datetime) -> list[dg.RunRequest]:
    """Let a tick start its runs, as the daemon does."""
    requests = tick(instance, name, at)
    for request in requests:
        add_run(instance, name, request)
    return requests


def add_run(
    instance: dg.DagsterInstance,
    name: str,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
) -> None:
    tags = {**request.tags, "dagster/run_key": request.run_key or "", "dagster/schedule_name": f"{name}_schedule"}
    instance.run_storage.add_run(dg.DagsterRun(job_name=name, tags=tags, status=status))


def spans(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requests]


def first_ticks(tenant: Tenant, hour: int, begin: datetime, days: int) -> dict[date, datetime]:
    """Return for each of the tenant's days the first hourly tick at which its clock has struck."""
    struck: dict[date, datetime] = {}
    for at in (begin + timedelta(hours=n) for n in range(24 * days)):
        if has_struck(tenant, hour, at):
            struck.setdefault(tenant.today(at), at)
    return struck
