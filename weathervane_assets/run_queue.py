"""The run queue: whose a run is, and what may wait.

Belongs here: the tags that the limits of dagster.yaml count by, and one tenant for each run. Runs that the UI starts carry
only their partitions; without the tenant's tag two of one tenant would run side by side, and with a night's priority a
backfill would hold up the nights of the others. Named in dagster.yaml, so it is loaded by the webserver and the daemon too.

Dagster makes its runs along the dimension with fewer keys in the selection: of one day of twenty tenants it makes one run,
not twenty. Such a run is split here.

A run that is executed again in the UI has all tags of the old one: what that one's failure said of it (wait, do not retry) is
taken back here, where each run comes by before it begins, and a backfill's stays a backfill's.

A run also gets a tag for each vendor that its assets read from, so that a limit can say how many runs ask one vendor at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_resources.failures import without_verdicts
from weathervane_resources.logs import configure_logs
from weathervane_resources.partition_keys import (
    BACKFILL_TAG,
    PRIORITY_TAG,
    RANGE_TAGS,
    TENANT_TAG,
    UI_BACKFILL_TAG,
    backfill_named,
    is_backfill,
    tenant_of,
    tenant_of_key,
)

BACKFILL_PRIORITY = "-10"
VENDOR_TAG = "weathervane/vendor-{}"
NO_VENDOR = "derived"


class TenantRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue, which also sees to it that each run is one tenant's, is tagged so, and waits if it is a backfill's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The daemon and the webserver load this and no other code of ours: log as the environment says."""
        configure_logs(os.environ)
        super().__init__(*args, **kwargs)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Put a run in the queue, and beside it one for every other tenant in its range."""
        run = context.dagster_run
        own, *others = split_by_tenant(run.tags, self._instance.get_dynamic_partitions(TENANT_PARTITIONS))
        given = {**self._not_inherited(run), **vendor_tags(self._sources_of(context))}
        for tags in others:
            super().submit_run(SubmitRunContext(self._copy(context, {**run.tags, **tags, **given}), context.workspace))
        if changed := {**own, **given, **missing_tags({**run.tags, **own})}:
            self._instance.add_run_tags(run.run_id, changed)
        return super().submit_run(context)

    def _not_inherited(self, run: dg.DagsterRun) -> dict[str, str]:
        """Return what to set right in the tags that a run has from the one that it executes again; Dagster drops a backfill's that is over."""
        parent = self._instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
        backfill = backfill_named(parent.tags) if parent and not is_backfill(run.tags) else None
        verdicts = without_verdicts(run.tags, self._instance.run_retries_max_retries)
        return verdicts if backfill is None else {**verdicts, BACKFILL_TAG: backfill}

    def _sources_of(self, context: SubmitRunContext) -> set[str]:
        """Return the sources of a run's assets, as their tags say; each asset's op bears its name."""
        run, graph = context.dagster_run, context.workspace.asset_graph
        job = self._instance.get_job_snapshot(run.job_snapshot_id) if run.job_snapshot_id else None
        keys = run.asset_selection or {dg.AssetKey(name) for name in (job.node_names if job else ())}
        return {graph.get(key).tags.get("source", NO_VENDOR) for key in keys if graph.has(key)}

    def _copy(self, context: SubmitRunContext, tags: Mapping[str, str]) -> dg.DagsterRun:
        run, instance = context.dagster_run, self._instance
        plan, job = run.execution_plan_snapshot_id, run.job_snapshot_id
        return instance.create_run(
            job_name=run.job_name,
            run_id=None,
            run_config=run.run_config,
            status=run.status,
            tags={**tags, **missing_tags(tags)},
            root_run_id=run.root_run_id,
            parent_run_id=run.parent_run_id,
            step_keys_to_execute=run.step_keys_to_execute,
            execution_plan_snapshot=instance.get_execution_plan_snapshot(plan) if plan else None,
            job_snapshot=instance.get_job_snapshot(job) if job else None,
            parent_job_snapshot=None,
            asset_selection=run.asset_selection,
            asset_check_selection=run.asset_check_selection,
            resolved_op_selection=run.resolved_op_selection,
            op_selection=run.op_selection,
            remote_job_origin=run.remote_job_origin,
            job_code_origin=run.job_code_origin,
            asset_graph=context.workspace.asset_graph,
        )


def split_by_tenant(tags: Mapping[str, str], tenants: Sequence[str]) -> list[dict[str, str]]:
    """Return the range tags of each tenant's part of a run; one empty mapping for a run of a single tenant or none.

    `tenants` are all, in the order of their partitions: a range that begins with one and ends with another has those between.
    """
    first, last = (tags.get(tag, "") for tag in RANGE_TAGS)
    begins, ends = tenant_of_key(first), tenant_of_key(last)
    if begins == ends or begins not in tenants or ends not in tenants:
        return [{}]
    within = tenants[tenants.index(begins) : tenants.index(ends) + 1]
    return [_range_of(first, last, begins, ends, tenant) for tenant in within]


def _range_of(first: str, last: str, begins: str, ends: str, tenant: str) -> dict[str, str]:
    keys = (
        "|".join(tenant if part == old else part for part in key.split("|"))
        for key, old in ((first, begins), (last, ends))
    )
    return {**dict(zip(RANGE_TAGS, keys, strict=True)), TENANT_TAG: tenant}


def vendor_tags(sources: Iterable[str]) -> dict[str, str]:
    """Return a tag for each vendor among the sources of a run's assets."""
    return {VENDOR_TAG.format(source): "reads" for source in sorted(sources) if source != NO_VENDOR}


def missing_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a run lacks; what someone set is left alone."""
    wanted = {TENANT_TAG: tenant_of(tags)} if tenant_of(tags) else {}
    if UI_BACKFILL_TAG in tags:
        wanted[PRIORITY_TAG] = BACKFILL_PRIORITY
    return {name: value for name, value in wanted.items() if name not in tags}
