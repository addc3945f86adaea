"""Jobs, schedules and sensors.

Belongs here: when runs start and for which partitions. Does not belong here: what a run does.
"""

import dagster as dg

from weathervane_assets.changes import build_change_sensors
from weathervane_assets.compaction import Optimize, build_compaction
from weathervane_assets.deferral import deferred_runs
from weathervane_assets.partitions import TENANT_PARTITIONS, tenants
from weathervane_assets.schedules import build_schedules
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError

TENANT_SYNC_SECONDS = 60


def build_automation(
    *, is_on: bool, optimize: Optimize | None = None
) -> tuple[list[dg.JobDefinition], list[dg.ScheduleDefinition], list[dg.SensorDefinition]]:
    """Return the jobs, schedules and sensors of the code location.

    `is_on`: they run unless someone switches one off in the UI. Else only those run that start nothing by themselves: the
    tenants' partitions, and runs that a vendor put off. `optimize` is what the weekly compaction calls; without it there
    is none.
    """
    status = dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED
    jobs, schedules = build_schedules(status)
    if optimize is not None:
        job, schedule = build_compaction(optimize, status)
        jobs, schedules = [*jobs, job], [*schedules, schedule]
    watching = build_change_sensors(dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED)
    return jobs, schedules, [tenant_sync, deferred_runs, *watching]


@dg.sensor(
    minimum_interval_seconds=TENANT_SYNC_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes the partition of each tenant that is new in tenants.toml.",
)
def tenant_sync(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
    """Make a partition of every tenant in tenants.toml. A tenant that leaves the file keeps its partition and data."""
    try:
        wanted = set(platform.tenants())
    except ConfigurationError as error:
        return dg.SkipReason(str(error))
    missing = sorted(wanted - set(context.instance.get_dynamic_partitions(TENANT_PARTITIONS)))
    if not missing:
        return dg.SkipReason("every tenant of tenants.toml has its partition")
    return dg.SensorResult(dynamic_partitions_requests=[tenants.build_add_request(missing)])
