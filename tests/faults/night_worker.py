"""A tenant's night in a process of its own, which a test may kill: each of its events is a line on a pipe.

A forkserver that has imported this module once gives a fresh process in a few milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection

import dagster as dg

from weathervane_assets.backfill import Step, plan_steps, run_backfill
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import NODES
from weathervane_assets.partitions import range_tags
from weathervane_resources.clock import Clock


@dataclass(frozen=True)
class Night:
    """A tenant's days, what of them is brought in, and what the clock says; alone: one asset a run, without its checks."""

    tenant: str
    first: date
    last: date
    now: str
    assets: tuple[str, ...] = tuple(NODES)
    alone: bool = False


def run_night(instance: dg.DagsterInstance, night: Night) -> list[str]:
    """Bring in the night's assets; return what failed."""
    resources = {"clock": Clock(fixed=night.now)}
    if night.alone:
        return _run_alone(instance, night, build_defs(os.environ, resources))
    steps = plan_steps(night.tenant, night.first, night.last, night.assets)
    return run_backfill(instance, night.tenant, steps, resource_overrides=resources).failures


def _run_alone(instance: dg.DagsterInstance, night: Night, defs: dg.Definitions) -> list[str]:
    steps: Sequence[Step] = [
        step for name in night.assets for step in plan_steps(night.tenant, night.first, night.last, (name,))
    ]
    for step in steps:
        job = defs.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey(name) for name in step.assets}, asset_check_selection=set()
        )
        tags = range_tags(night.tenant, step.first_key, step.last_key)
        done = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
        if not done.success:
            failed = [event for event in done.all_events if event.is_step_failure]
            return [str(event.step_failure_data.error) for event in failed]
    return []


def main(home: str, env: Mapping[str, str], night: Night, told: Connection) -> None:
    """Run the night; Dagster's own handler, which the home's dagster.yaml names, writes to standard output."""
    os.environ.clear()
    os.environ.update(env)
    os.dup2(told.fileno(), 1)
    with dg.DagsterInstance.from_config(home) as instance:
        failures = run_night(instance, night)
    raise SystemExit("; ".join(failures) or 0)
