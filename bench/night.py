"""Nights on the instance of DAGSTER_HOME, for `bench.scale`, which measures them.

`python -m bench.night JOB TENANT LABEL` runs one; `python -m bench.night` takes such lines from its input, runs one after the other in
the same process, and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from datetime import UTC, date, datetime, timedelta
from functools import cache

import dagster as dg

from weathervane_assets.definitions import build_defs
from weathervane_assets.partitions import day_key, range_tags, year_key
from weathervane_resources.clock import Clock

FIRST_NIGHT = date(2026, 10, 1)
ANSWER = "night: "


@cache
def definitions(night: date) -> dg.Definitions:
    """Return the code location as it is at eight in the morning (UTC) after the night's day."""
    now = datetime(night.year, night.month, night.day, 8, tzinfo=UTC) + timedelta(days=1)
    return build_defs(os.environ, {"clock": Clock(fixed=now.isoformat())})


def run_night(job: str, tenant: str, label: str) -> bool:
    """Run a night (`label` is a day) or the normals (a year); return whether it succeeded."""
    is_day = len(label) > 4
    key = day_key(tenant, date.fromisoformat(label)) if is_day else year_key(tenant, int(label))
    defs = definitions(date.fromisoformat(label) if is_day else FIRST_NIGHT)
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance, tags=range_tags(tenant, key, key), raise_on_error=False
        )
    return result.success


def serve() -> None:
    """Run what the input asks for, line by line, and say what each took: seconds, CPU seconds, peak MiB so far."""
    for line in sys.stdin:
        begun, cpu = time.monotonic(), time.process_time()
        success = run_night(*line.split())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        costs = {"seconds": time.monotonic() - begun, "cpu_s": time.process_time() - cpu, "peak_mib": peak}
        print(ANSWER + json.dumps({"success": success, **costs}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(not run_night(*sys.argv[1:]))
    serve()
