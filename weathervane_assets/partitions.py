"""Partitions: tenant x day for every dataset, tenant x year for the normals.

Belongs here: the partition definitions, the mapping between them, and a run's window.
Keys print as `2025-03-01|acme` and `acme|2025`. The day is the tenant's own; the newest partition is today's, so that a
shop east of Greenwich can bring in the day it has just finished.
"""

from __future__ import annotations

from datetime import date

import dagster as dg

from weathervane_resources.partition_keys import RANGE_END, RANGE_START, TENANT_TAG

TENANT_PARTITIONS = "tenant"
tenants = dg.DynamicPartitionsDefinition(name=TENANT_PARTITIONS)
BACKFILL_POLICY = dg.BackfillPolicy.single_run()

"""On a run that brings in history: its findings are recorded, and wake nobody."""


def tenant_day(start: date) -> dg.MultiPartitionsDefinition:
    """Return the partitions of every daily dataset, from `start` on."""
    daily = dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1)
    return dg.MultiPartitionsDefinition({"tenant": tenants, "date": daily})


def tenant_year(start: date) -> dg.MultiPartitionsDefinition:
    """Return the partitions of the normals, from the year of `start` on."""
    yearly = dg.TimeWindowPartitionsDefinition(start=str(start.year), cron_schedule="0 0 1 1 *", fmt="%Y", end_offset=1)
    return dg.MultiPartitionsDefinition({"tenant": tenants, "year": yearly})


def _across(upstream: str, downstream: str) -> dg.MultiPartitionMapping:
    time = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
    return dg.MultiPartitionMapping(
        {
            "tenant": dg.DimensionPartitionMapping("tenant", dg.IdentityPartitionMapping()),
            upstream: dg.DimensionPartitionMapping(downstream, time),
        }
    )


def days_of_year() -> dg.MultiPartitionMapping:
    """Map a tenant-year to the days upstream that lie in it."""
    return _across("date", "year")


def year_of_day() -> dg.MultiPartitionMapping:
    """Map a tenant-day to the year upstream that it lies in."""
    return _across("year", "date")


def day_key(tenant_id: str, day: date) -> str:
    """Return a daily partition's key."""
    return f"{day.isoformat()}|{tenant_id}"


def year_key(tenant_id: str, year: int) -> str:
    """Return a yearly partition's key."""
    return f"{tenant_id}|{year}"


def range_tags(tenant_id: str, first_key: str, last_key: str) -> dict[str, str]:
    """Return the tags of a run over a range of one tenant's partitions."""
    return {RANGE_START: first_key, RANGE_END: last_key, TENANT_TAG: tenant_id}
