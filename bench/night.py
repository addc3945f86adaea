"""One night of one tenant on the instance of DAGSTER_HOME: `python -m bench.night JOB TENANT LABEL`. What `bench.scale` starts and measures."""

from __future__ import annotations

import os
import sys
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from weathervane_assets.definitions import build_defs
from weathervane_assets.partitions import day_key, range_tags, year_key
from weathervane_resources.clock import Clock

FIRST_NIGHT = date(2026, 11, 1)


def run_night(job: str, tenant: str, label: str) -> int:
    """Run a night (`label` is a day) or the normals (a year) on the instance of DAGSTER_HOME."""
    key = year_key(tenant, int(label)) if len(label) == 4 else day_key(tenant, date.fromisoformat(label))
    night = FIRST_NIGHT if len(label) == 4 else date.fromisoformat(label)
    now = datetime(night.year, night.month, night.day, 8, tzinfo=UTC) + timedelta(days=1)
    defs = build_defs(os.environ, {"clock": Clock(fixed=now.isoformat())})
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_job_def(job).execute_in_process(instance=instance, tags=range_tags(tenant, key, key))
    return int(not result.success)


if __name__ == "__main__":
    sys.exit(run_night(*sys.argv[1:]))
