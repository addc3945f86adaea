"""What the alerter's tick says of runs and incidents as metrics.

Belongs here: from a run's end to its labels, none of which anyone can make up. Does not belong here: sending (`weathervane_resources.metrics`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG
from weathervane_resources import metrics
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.failures import DEFERRED_TAG, WAITING
from weathervane_resources.partition_keys import is_backfill, tenant_of

OTHER = "other"
SEVERITIES = ("warning", "critical")


def publish_runs(instance: dg.DagsterInstance, ends: Sequence[dg.EventLogRecord], tenants: Collection[str]) -> None:
    """Count the runs that ended, and how long they took; asks nothing of the instance where metrics are off."""
    if not ends or not metrics.is_on(os.environ):
        return
    run_ids = sorted({end.event_log_entry.run_id for end in ends})
    for record in instance.get_run_records(dg.RunsFilter(run_ids=run_ids)):
        run = record.dagster_run
        status = _status(run)
        metrics.count(metrics.RUNS, 1, tenant=_known(tenant_of(run.tags), tenants), status=status)
        if record.start_time and record.end_time:
            kind = "backfill" if is_backfill(run.tags) else "night"
            metrics.observe(metrics.RUN_DURATION, record.end_time - record.start_time, kind=kind, status=status)


def publish_incidents(store: AlertStore, tenants: Collection[str]) -> None:
    """Say how many incidents are open, of every tenant, so that the end of one is seen as well."""
    if not metrics.is_on(os.environ):
        return
    with store.session() as session:
        counts = session.open_counts()
    for (tenant, severity), number in _by_known(counts, tenants).items():
        metrics.level(metrics.INCIDENTS, number, tenant=tenant, severity=severity)


def _by_known(counts: Mapping[tuple[str, str], int], tenants: Collection[str]) -> dict[tuple[str, str], int]:
    found = {(tenant, severity): 0 for tenant in ("", OTHER, *tenants) for severity in SEVERITIES}
    for (tenant, severity), number in counts.items():
        found[_known(tenant, tenants), severity] += number
    return found


def _known(tenant: str, tenants: Collection[str]) -> str:
    return tenant if not tenant or tenant in tenants else OTHER


def _status(run: dg.DagsterRun) -> str:
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return "success"
    if run.tags.get(DEFERRED_TAG) == WAITING:
        return "deferred"
    return "retried" if AUTO_RETRY_RUN_ID_TAG in run.tags else "failure"
