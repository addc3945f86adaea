"""What was read of a tenant's days, and what a run reads at this moment: the ledger hears of that only when the run writes.

Belongs here: what a change sensor may pass over, by the ledger and the runs under way together. Does not belong here: what the
ledger alone says (`change_ledger.py`), and runs that failed (`change_repeats.py`).

A run that has read a day before a change is either under way or has written it. So the runs are asked for first and the ledger
after them. What is asked for meanwhile is read later: the queue starts no run of a tenant beside another (dagster.yaml).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
import polars as pl
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from weathervane_assets.change_cursor import Change
from weathervane_assets.change_ledger import has_earlier, missed_since, to_be_read
from weathervane_resources.lake import Lake
from weathervane_resources.partition_keys import days_of, tenant_of


@dataclass(frozen=True)
class ReadDays:
    """The days of one asset, of any tenant."""

    asset: str
    lake: Lake
    instance: dg.DagsterInstance

    def begin(self, tenant: str, now: datetime) -> datetime | None:
        """Return since when changes may have been missed; None while that is not known: the tenant's first run is under way."""
        is_reading = bool(self._under_way(tenant))
        since = missed_since(self._ledger(tenant), now)
        return None if is_reading and since == now else since

    def left(self, tenant: str, changes: Collection[Change]) -> list[Change]:
        """Return the changes without the days that need not be read again (`to_be_read`).

        Runs are asked for only where a day lies before all that was read; the ledger is then looked at anew, or a run
        that has written in between would be in neither.
        """
        ledger = self._ledger(tenant)
        if not has_earlier(changes, ledger):
            return to_be_read(changes, ledger)
        under_way = self._under_way(tenant)
        return to_be_read(changes, self._ledger(tenant), under_way)

    def _ledger(self, tenant: str) -> pl.DataFrame:
        return self.lake.ledger(tenant, self.asset)

    def _under_way(self, tenant: str) -> set[str]:
        """Return the days of the tenant's runs that the queue counts as going on; one that waits there has read nothing yet."""
        runs = self.instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))
        mine = (run for run in runs if tenant_of(run.tags) == tenant and self._writes(run))
        return {day for run in mine for day in days_of(run.tags)}

    def _writes(self, run: dg.DagsterRun) -> bool:
        """Return whether a run makes the asset. One of a schedule or of `weathervane backfill` names none: its job's ops bear their names."""
        if run.asset_selection:
            return dg.AssetKey(self.asset) in run.asset_selection
        job = self.instance.get_job_snapshot(run.job_snapshot_id) if run.job_snapshot_id else None
        return job is None or self.asset in job.node_names
