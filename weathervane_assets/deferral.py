"""Starting deferred runs again.

A run whose vendor asks for a longer wait than a run sits through ends as deferred: failed for Dagster, but marked with
the time at which it can go on (`weathervane_resources.failures`), and holding no slot meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG

from weathervane_resources.clock import Clock
from weathervane_resources.failures import (
    DEFERRED_TAG,
    DEFERRED_UNTIL_TAG,
    RESUMED,
    RETRIES_BEFORE_TAG,
    WAITING,
)
from weathervane_resources.partition_keys import (
    BACKFILL_TAG,
    PARTITION_TAG,
    PRIORITY_TAG,
    backfill_named,
    is_backfill,
    tenant_of,
)
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError

CHECK_SECONDS = 60
MOST_PER_TICK = 10
"""Runs that were deferred to the same minute (00:00 UTC, say) do not all start at once."""
SCANNED_PER_TICK = 1_000
RESUMES_TAG = "weathervane/resumes"
_KEPT_SYSTEM_TAGS = (
    PARTITION_TAG,
    "dagster/asset_partition_range_",
    PRIORITY_TAG,
    "dagster/concurrency_key",
)
_NOT_INHERITED = {DEFERRED_TAG, DEFERRED_UNTIL_TAG, RESUMES_TAG, RETRIES_BEFORE_TAG}


@dg.sensor(
    asset_selection=dg.AssetSelection.all(),
    minimum_interval_seconds=CHECK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts runs again that a vendor told to wait, once their time has come.",
)
def deferred_runs(
    context: dg.SensorEvaluationContext, platform: Platform, clock: Clock
) -> dg.SensorResult | dg.SkipReason:
    """Start runs again that a vendor's long wait has ended, once that time has come: same assets, same partitions."""
    try:
        paused = {tenant.id for tenant in platform.tenants().values() if tenant.paused}
    except ConfigurationError as error:
        return dg.SkipReason(str(error))
    waiting: Sequence[dg.DagsterRun] = context.instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={DEFERRED_TAG: WAITING}),
        limit=SCANNED_PER_TICK,
        ascending=True,
    )
    shard = platform.settings().shard
    waiting = [run for run in waiting if shard.has(tenant_of(run.tags)) and _may_go_on(run, paused)]
    due = sorted((run for run in waiting if due_at(run) <= clock.now()), key=due_at)
    requests: list[dg.RunRequest] = []
    for run in due:
        if _is_resumed(context.instance, run):
            context.instance.add_run_tags(run.run_id, {DEFERRED_TAG: RESUMED})
        elif len(requests) < MOST_PER_TICK:
            requests.append(_again(context, run))
    if not requests:
        return dg.SkipReason(f"{len(waiting)} deferred runs are waiting, none is due")
    return dg.SensorResult(run_requests=requests)


def _may_go_on(run: dg.DagsterRun, paused: Collection[str]) -> bool:
    """Return whether a run may start by itself: nothing does of a paused tenant but what someone asked for."""
    return tenant_of(run.tags) not in paused or is_backfill(run.tags)


def due_at(run: dg.DagsterRun) -> datetime:
    """Return when a deferred run can go on; an unreadable time is long past, since starting again does no harm."""
    try:
        at = datetime.fromisoformat(run.tags.get(DEFERRED_UNTIL_TAG, ""))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _is_resumed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """The new run itself is the proof, so that a crash of the daemon neither loses a run nor starts it twice.

    One that a person started in the UI before the time is such a run too: if the vendor is not ready yet, it waits itself.
    """
    tags = (RESUMES_TAG, PARENT_RUN_ID_TAG)
    return any(instance.get_runs_count(dg.RunsFilter(tags={tag: run.run_id})) for tag in tags)


def _again(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> dg.RunRequest:
    selection: Iterable[dg.AssetKey] | None = run.asset_selection
    if selection is None and context.repository_def is not None:
        selection = context.repository_def.get_job(run.job_name).asset_layer.executable_asset_keys
    return dg.RunRequest(
        run_key=f"resumes {run.run_id}",
        tags={**_inherited(run), RESUMES_TAG: run.run_id},
        asset_selection=sorted(selection or (), key=lambda key: tuple(key.path)),
        run_config=run.run_config,
    )


def _inherited(run: dg.DagsterRun) -> dict[str, str]:
    """Return the tags that say what a run does, and that it is a backfill's; not how else it came about or ended."""
    backfill = backfill_named(run.tags)
    kept = {
        name: value
        for name, value in run.tags.items()
        if name.startswith(_KEPT_SYSTEM_TAGS)
        or not (name.startswith(("dagster/", ".dagster/")) or name in _NOT_INHERITED)
    }
    return kept if backfill is None else {**kept, BACKFILL_TAG: backfill}
