"""Bringing a tenant's table back to what it was in an earlier version, as a new commit: history stays.

Belongs here: what would change, the commit, and what the ledger says afterwards. Does not belong here: looking back
(`lake_history.py`) and asking (`weathervane_assets.cli_lake`).

Only days that differ are written. Their rows come back as they were, `as_of_utc` included: nothing new was learnt. The
ledger says of them again what it said then, so that a day that had not been read is one that was not read, and one read
before it was over is not complete. Days that say the same in both versions keep what was noted of them since.
The table's commit comes first and bears a mark. If the ledger's does not follow, the next call finds it and catches up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
from deltalake import DeltaTable

from weathervane_resources.drift import row_changes
from weathervane_resources.lake import UNCLAIMED_SOURCES, guard_live_rows, rows_of
from weathervane_resources.lake_days import MONTH, day_predicate, with_month
from weathervane_resources.lake_history import RESTORED_MARK, History
from weathervane_resources.lake_ledger import LEDGER_SCHEMA

KEPT = ("source", "run_id", "written_at_utc", "expected_rows", "expected_days", "flag_limits")
"""What the ledger says of a day as it did then; counts and version are those of the commit that brings it back."""
UNNOTED_RUN = "restore"
"""Stands for the run of rows of which the ledger of that time says nothing any more."""
SHOWN_DAYS = 20


@dataclass(frozen=True)
class Restoration:
    """What a restore would do.

    `days`: of each day that differs `date`, `row_count` (then), `previous_row_count` (now), `new_rows`, `updated_rows`,
    `removed_rows`. `unnoted`: commits of interrupted restores that the ledger does not know of yet.
    """

    table: str
    current: int
    version: int
    rows_now: int
    rows_then: int
    days: pl.DataFrame
    unnoted: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.days.is_empty() and not self.unnoted

    def lines(self) -> Iterator[str]:
        """Say it."""
        for commit in self.unnoted:
            yield f"{self.table}: the restore that made version {commit} was interrupted; the ledger catches up on it"
        yield f"{self.table}: {self.rows_now:,} rows now (version {self.current}), {self.rows_then:,} then (version {self.version})"
        for row in self.days.head(SHOWN_DAYS).iter_rows(named=True):
            counts = f"{row['previous_row_count']:,} rows now, {row['row_count']:,} then"
            changes = f"{row['new_rows']:,} come back, {row['updated_rows']:,} change, {row['removed_rows']:,} go"
            yield f"  {row['date']}: {counts} ({changes})"
        if self.days.height > SHOWN_DAYS:
            yield f"  and {self.days.height - SHOWN_DAYS} days more, the last of them {self.days['date'][-1]}"

    def plain(self) -> dict[str, Any]:
        """Return it for a machine."""
        days = self.days.with_columns(pl.col("date").cast(pl.String)).to_dicts()
        return {**vars(self), "days": days, "unnoted": list(self.unnoted)}


def plan_restore(history: History, version: int) -> Restoration:
    """Return what bringing back `version` would change; nothing is written.

    Raises: LakeError: there is no such table or version, or its files are gone.
    """
    current = history.current
    days = history.changed_days(current, version)
    changes = row_changes(history.rows(version, days), history.rows(current, days), history.shape.keys, days)
    now, then = (history.row_count(one) for one in (current, version))
    unnoted = tuple(commit for commit, _ in history.unnoted_restores())
    return Restoration(history.name, current, version, now, then, changes, unnoted)


def restore(history: History, plan: Restoration) -> int:
    """Bring back the days of `plan`, and note those of interrupted restores; return the table's version afterwards.

    Raises: LakeError: the version cannot be read, or the table cannot be written.
            StubWouldReplaceLive: made-up rows would replace a vendor's.
    """
    for commit, restored in history.unnoted_restores():
        _note(history, commit, restored)
    if plan.days.is_empty():
        return plan.current
    days = plan.days["date"].to_list()
    then = history.rows(plan.version, days)
    made_up = then.filter(pl.col("source").is_in(list(UNCLAIMED_SOURCES)))["date"].unique().to_list()

    def build(table: DeltaTable | None) -> tuple[pl.DataFrame, None]:
        if made_up:
            guard_live_rows(rows_of(table, history.name, history.shape, made_up).collect(), "stub", history.name)
        return with_month(then), None

    commit, _ = history.lake.commit(
        history.lake.uri(history.tenant, history.dataset),
        build,
        shape=history.shape,
        predicate=day_predicate(days),
        partition_by=[MONTH],
        marks={RESTORED_MARK: str(plan.version)},
    )
    _note(history, commit, plan.version)
    return commit


def _note(history: History, commit: int, restored: int) -> None:
    """Write the ledger of the days that `commit` brought back; what was written and noted since stays."""
    lake, tenant, dataset = history.lake, history.tenant, history.dataset
    since = lake.ledger(tenant, dataset).filter(pl.col("table_version") > commit)["date"].to_list()
    days = [day for day in history.changed_days(commit - 1, commit) if day not in since]
    if not days:
        return
    after, before = history.rows(commit, days), history.rows(commit - 1, days)
    known = history.ledger(restored).select("date", *KEPT)
    counts = row_changes(after, before, history.shape.keys, days).with_columns(pl.exclude("date").cast(pl.Int64))
    said = pl.concat([known, _said_by_rows(after).join(known, on="date", how="anti")], how="diagonal")
    notes = counts.join(said, on="date", how="inner", validate="1:1").with_columns(
        dataset=pl.lit(dataset), table_version=pl.lit(commit, dtype=pl.Int64)
    )
    columns = [pl.col(name).cast(dtype) for name, dtype in LEDGER_SCHEMA.items()]
    lake.note(tenant, dataset, notes.select(columns), days=days, version=commit)


def _said_by_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what the rows of each day themselves say of their writing, where the ledger of that time is gone."""
    return rows.group_by("date").agg(
        pl.col("source").unique().sort().str.join("+"),
        pl.lit(UNNOTED_RUN).alias("run_id"),
        pl.col("as_of_utc").max().alias("written_at_utc"),
    )
