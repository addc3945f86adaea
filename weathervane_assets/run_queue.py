"""The run queue: whose a run is, and what may wait.

Belongs here: the tags that the limits of dagster.yaml count by. Runs that the UI starts carry only their partitions; without
the tenant's tag two of one tenant would run side by side, and with a night's priority a backfill would hold up the nights
of the others. Named in dagster.yaml, so it is loaded by the webserver and the daemon too.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

from weathervane_resources.partition_keys import TENANT_TAG, tenant_of

PRIORITY_TAG, BACKFILL_TAG = "dagster/priority", "dagster/backfill"
BACKFILL_PRIORITY = "-10"


class TenantRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue, which also gives a run its tenant's tag and a backfill its low priority."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Put a run in the queue."""
        run = context.dagster_run
        if missing := missing_tags(run.tags):
            self._instance.add_run_tags(run.run_id, missing)
        return super().submit_run(context)


def missing_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a run lacks; what someone set is left alone."""
    wanted = {TENANT_TAG: tenant_of(tags)} if tenant_of(tags) else {}
    if BACKFILL_TAG in tags:
        wanted[PRIORITY_TAG] = BACKFILL_PRIORITY
    return {name: value for name, value in wanted.items() if name not in tags}
