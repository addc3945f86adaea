"""Failed runs of the change sensors are asked for again: the cursor has moved past the changes, so nothing else would.

Belongs here: which of a sensor's runs failed for good, and when their days are requested again. Does not belong here: retries, which are
Dagster's (`run_retries` of dagster.yaml), runs that wait for a vendor (`deferral.py`), and telling people that the last one failed, which
the alerter does when it reads its end (`changes_not_read`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from weathervane_assets import graph
from weathervane_assets.change_ledger import are_written_since
from weathervane_resources.failures import DEFERRED_TAG, NOT_DEFERRED
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.partition_keys import (
    CHANGED_TAG,
    MOST_REPEATS,
    RANGE_END,
    RANGE_START,
    RANGE_TAGS,
    REPEAT_TAG,
    TENANT_TAG,
    days_of,
    is_last_repeat,
    tenant_of,
    times_repeated,
)

LOOKED_BACK = timedelta(days=7)
SCANNED_PER_TICK = 1_000
FIRST_WAIT = timedelta(hours=1)
"""Before the first repeat; each one after waits twice as long, so that five outlast an outage of a day."""
_NOT_SUCCEEDED = [status for status in dg.DagsterRunStatus if status is not dg.DagsterRunStatus.SUCCESS]


def repeats(
    context: dg.SensorEvaluationContext, lake: Lake, tenants: Collection[str], asset: str, now: datetime
) -> Iterator[dg.RunRequest]:
    """Yield the runs to ask for again, of `tenants`: those that failed for good, and whose days nothing has written since."""
    for record in _newest(context.instance, asset, now):
        run, tenant = record.dagster_run, tenant_of(record.dagster_run.tags)
        if tenant not in tenants or not _has_failed_for_good(run) or now < _due_at(record):
            continue
        span = f"{run.tags[RANGE_START]}..{run.tags[RANGE_END]}"
        try:
            is_written = _is_written(lake, tenant, record, asset)
        except LakeError as error:
            context.log.warning(
                f"{span}: a run failed; whether its days were written since is looked at again: {error}"
            )
            continue
        if not is_written and not is_last_repeat(run.tags):
            yield _again(run, asset)
        elif not is_written:
            context.log.warning(f"{span}: {asset} changed, and {MOST_REPEATS + 1} runs failed; backfill it")


def _newest(instance: dg.DagsterInstance, asset: str, now: datetime) -> Collection[dg.RunRecord]:
    """Return of each range of days that was asked for lately the newest run that has not succeeded."""
    lately = dg.RunsFilter(tags={CHANGED_TAG: asset}, statuses=_NOT_SUCCEEDED, created_after=now - LOOKED_BACK)
    newest: dict[tuple[str, str], dg.RunRecord] = {}
    for record in instance.get_run_records(lately, limit=SCANNED_PER_TICK):
        tags = record.dagster_run.tags
        newest.setdefault((tags[RANGE_START], tags[RANGE_END]), record)
    return newest.values()


def _has_failed_for_good(run: dg.DagsterRun) -> bool:
    """Return whether a run failed and nothing takes its place: no retry of Dagster's, and no run after a vendor's wait."""
    is_retried = run.tags.get(WILL_RETRY_TAG) == "true" or AUTO_RETRY_RUN_ID_TAG in run.tags
    is_deferred = run.tags.get(DEFERRED_TAG, NOT_DEFERRED) != NOT_DEFERRED
    return run.status is dg.DagsterRunStatus.FAILURE and not (is_retried or is_deferred)


def _due_at(record: dg.RunRecord) -> datetime:
    """Return when a failed run is to be looked at; one that is not repeated any more is complained of at once."""
    tags = record.dagster_run.tags
    wait = timedelta() if is_last_repeat(tags) else FIRST_WAIT * (1 << times_repeated(tags))
    return record.create_timestamp + wait


def _is_written(lake: Lake, tenant: str, record: dg.RunRecord, asset: str) -> bool:
    """Return whether everything that the run was to write was written after it began, by whomever."""
    began = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), UTC)
    days = [date.fromisoformat(day) for day in days_of(record.dagster_run.tags)]
    return are_written_since(lake.ledger(tenant), graph.downstream(asset), days, began)


def _again(run: dg.DagsterRun, asset: str) -> dg.RunRequest:
    span = {name: run.tags[name] for name in (*RANGE_TAGS, TENANT_TAG)}
    return dg.RunRequest(
        run_key=f"repeats {run.run_id}",
        asset_selection=[dg.AssetKey(name) for name in graph.downstream(asset)],
        tags={**span, CHANGED_TAG: asset, REPEAT_TAG: str(times_repeated(run.tags) + 1)},
    )
