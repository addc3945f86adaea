"""What Dagster's storage holds of one tenant, and its removal: partition, runs, events, ticks, cursors, backfills, logs.

Belongs here: everything of a purge that knows Dagster's tables. That is not public API; tests/assets/test_purge.py holds
it against the bytes on the disk. Does not belong here: the lake and our own state database.

A run of the tenant goes with all that hangs on it. A run of the whole installation that names the tenant in its events
(freshness, compaction) goes too: what it says is judged anew within a day. Where a document concerns other tenants as
well (a tick, a backfill, a cursor), only the tenant's id is taken out of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log import schema as events
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs import schema as runs
from dagster._core.storage.schedules import SqlScheduleStorage
from dagster._core.storage.schedules import schema as schedules

from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_resources.lake_files import write_atomically
from weathervane_resources.partition_keys import PARTITION_TAG, RANGE_TAGS, TENANT_TAG, tenant_of_key
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenant_text import names, without

PARTITION_TAGS = (TENANT_TAG, PARTITION_TAG, *RANGE_TAGS)
Connect = Callable[[], AbstractContextManager[sa.Connection]]
Document = tuple[str, Connect, sa.Table, str, str]
"""What it is, how to reach it, its table, its key column and the column of its text."""


@dataclass(frozen=True)
class DagsterHoldings:
    """What is there: runs, documents that name the tenant beside others, backfills, and whether it has a partition."""

    run_ids: tuple[str, ...]
    shared_run_ids: tuple[str, ...]
    documents: dict[str, int]
    backfills: tuple[str, ...]
    has_partition: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of the tenant."""
        return not (self.run_ids or self.has_partition or self.backfills or any(self.documents.values()))

    def lines(self) -> Iterator[str]:
        """Say it."""
        if self.has_partition:
            yield "dagster: the partition"
        if self.run_ids:
            yield f"dagster: {len(self.run_ids)} runs with their events, materialisations, checks and logs"
        if self.shared_run_ids:
            yield f"dagster: {len(self.shared_run_ids)} runs of the whole installation that name it (freshness, compaction)"
        if self.backfills:
            yield f"dagster: {len(self.backfills)} backfills"
        for name, count in self.documents.items():
            if count:
                yield f"dagster: its name in {count} {name}"


@dataclass(frozen=True)
class DagsterStorage:
    """The three storages of an instance, all of them SQL."""

    instance: dg.DagsterInstance
    events: SqlEventLogStorage
    runs: SqlRunStorage
    schedules: SqlScheduleStorage

    @property
    def documents(self) -> Sequence[Document]:
        """The texts that may concern several tenants."""
        return (
            ("ticks", self.schedules.connect, schedules.JobTickTable, "id", "tick_body"),
            ("states of sensors and schedules", self.schedules.connect, schedules.InstigatorsTable, "id", "instigator_body"),
            ("states of sensors and schedules ", self.schedules.connect, schedules.JobTable, "id", "job_body"),
            ("evaluations of conditions", self.schedules.connect, schedules.AssetDaemonAssetEvaluationsTable, "id", "asset_evaluation_body"),
            ("backfills of several tenants", self.runs.connect, runs.BulkActionsTable, "id", "body"),
            ("cursors of daemons", self.runs.connect, runs.KeyValueStoreTable, "id", "value"),
        )  # fmt: skip

    def sqlite_files(self) -> Iterator[Path]:
        """Yield the SQLite files that all runs share; on a server there are none."""
        for connect in (self.events.index_connection, self.runs.connect, self.schedules.connect):
            with connect() as connection:
                url = connection.engine.url
            if url.get_backend_name() == "sqlite" and url.database:
                yield Path(url.database)


def open_storage(instance: dg.DagsterInstance) -> DagsterStorage:
    """Return the storages of an instance.

    Raises: ConfigurationError: one of them is of a kind that we cannot purge.
    """
    found = (instance.event_log_storage, instance.run_storage, instance.schedule_storage)
    log, run, schedule = (getattr(one, "_storage", one) for one in found)
    if not (
        isinstance(log, SqlEventLogStorage)
        and isinstance(run, SqlRunStorage)
        and isinstance(schedule, SqlScheduleStorage)
    ):
        raise ConfigurationError("Dagster's storage is no SQL database; purge it with its own means")
    return DagsterStorage(instance, log, run, schedule)


def find_in_dagster(storage: DagsterStorage, tenant: str) -> DagsterHoldings:
    """Return what Dagster holds of a tenant."""
    own, shared = _own_runs(storage, tenant), list(_shared_runs(storage, tenant))
    backfills = _own_backfills(storage, tenant)
    documents = {document[0].strip(): len(list(_naming(document, tenant, backfills))) for document in storage.documents}
    return DagsterHoldings(
        tuple(own),
        tuple(shared),
        documents | {"logs of ticks": len(list(_logs(storage, tenant, {*own, *shared})))},
        tuple(backfills),
        tenant in storage.instance.get_dynamic_partitions(TENANT_PARTITIONS),
    )


def in_progress(storage: DagsterStorage, tenant: str) -> list[str]:
    """Return the runs of the tenant, and the backfills that name it, that have not ended."""
    own = set(_own_runs(storage, tenant))
    running = sa.select(runs.RunsTable.c.run_id).where(
        runs.RunsTable.c.status.in_([status.value for status in NOT_FINISHED_STATUSES])
    )
    ended = [status.value for status in BULK_ACTION_TERMINAL_STATUSES]
    backfills = sa.select(runs.BulkActionsTable.c.key, runs.BulkActionsTable.c.body).where(
        runs.BulkActionsTable.c.status.not_in(ended)
    )
    with storage.runs.connect() as connection:
        going = [one for one in connection.execute(running).scalars() if one in own]
        return going + [row.key for row in connection.execute(backfills) if names(row.body, tenant)]


def remove_from_dagster(storage: DagsterStorage, tenant: str, held: DagsterHoldings) -> int:
    """Remove it, and return the newest event's id that is left.

    Runs are found by their tags, so these go last: an interrupted purge's next would find nothing of what hangs on them.
    """
    run_ids = (*held.run_ids, *held.shared_run_ids)
    _claim(storage, tenant, held.shared_run_ids)
    for run_id in run_ids:
        _empty_run(storage, run_id)
    _forget_checks(storage, tenant, run_ids)
    _mend_assets(storage, tenant, run_ids)
    for run_id in run_ids:
        _forget_run(storage, run_id)
    _remove_backfills(storage, held.backfills)
    for document in storage.documents:
        _rewrite(document, tenant)
    for file in _logs(storage, tenant):
        write_atomically(file, without(file.read_text(errors="replace"), tenant))
    if held.has_partition:
        storage.instance.delete_dynamic_partition(TENANT_PARTITIONS, tenant)
    with storage.events.index_connection() as connection:
        return connection.execute(sa.select(sa.func.max(events.SqlEventLogStorageTable.c.id))).scalar() or 0


def _logs(storage: DagsterStorage, tenant: str, without_runs: Collection[str] = ()) -> Iterator[Path]:
    """Yield the logs on the disk that name a tenant beside others: what a tick of a sensor or schedule said."""
    folder = Path(storage.instance.storage_directory())
    for file in (one for pattern in ("*.err", "*.out") for one in folder.rglob(pattern)):
        if file.relative_to(folder).parts[0] not in without_runs and names(file.read_text(errors="replace"), tenant):
            yield file


def _may_be_of(column: sa.Column[Any], tenant: str) -> sa.ColumnElement[bool]:
    """Return what every partition key of a tenant is, and the year of another's if the tenant's id is four digits."""
    ends, begins = column.endswith(f"|{tenant}", autoescape=True), column.startswith(f"{tenant}|", autoescape=True)
    return sa.or_(column == tenant, ends, begins)


def _is_of(value: str, tenant: str) -> bool:
    """Return whether a tenant, or a partition key, is of this tenant."""
    return tenant in (value, tenant_of_key(value))


def _own_runs(storage: DagsterStorage, tenant: str) -> list[str]:
    """Return the runs whose tags are of the tenant: its own tag, or its partitions."""
    tag = runs.RunTagsTable.c
    may_be = sa.and_(tag.key.in_(PARTITION_TAGS), _may_be_of(tag.value, tenant))
    with storage.runs.connect() as connection:
        found = connection.execute(sa.select(tag.run_id, tag.value).where(may_be)).all()
    return sorted({row.run_id for row in found if _is_of(row.value, tenant)})


def _shared_runs(storage: DagsterStorage, tenant: str) -> Iterator[str]:
    """Return the runs of no tenant that name this one in an event."""
    tag = runs.RunTagsTable.c
    owned = sa.select(tag.run_id).where(tag.key.in_(PARTITION_TAGS))
    with storage.runs.connect() as connection:
        nobodys = connection.execute(sa.select(runs.RunsTable.c.run_id).where(runs.RunsTable.c.run_id.not_in(owned)))
        ids = list(nobodys.scalars())
    event = events.SqlEventLogStorageTable.c
    for run_id in ids:
        said = sa.select(event.event).where(event.run_id == run_id, event.event.contains(tenant, autoescape=True))
        with storage.events.run_connection(run_id) as connection:
            if any(names(text, tenant) for text in connection.execute(said).scalars()):
                yield run_id


def _own_backfills(storage: DagsterStorage, tenant: str) -> list[str]:
    """Return the backfills that name this tenant and none of the others."""
    others = [one for one in storage.instance.get_dynamic_partitions(TENANT_PARTITIONS) if one != tenant]
    query = sa.select(runs.BulkActionsTable.c.key, runs.BulkActionsTable.c.body)
    with storage.runs.connect() as connection:
        found = [(row.key, row.body) for row in connection.execute(query) if names(row.body, tenant)]
    return [key for key, body in found if not any(names(body, other) for other in others)]


def _claim(storage: DagsterStorage, tenant: str, run_ids: Sequence[str]) -> None:
    """Tag runs of the whole installation as the tenant's: once their events are gone, nothing else tells that they were found."""
    with storage.runs.connect() as connection:
        for run_id in run_ids:
            mark = {"run_id": run_id, "key": TENANT_TAG, "value": tenant}
            connection.execute(sa.insert(runs.RunTagsTable).values(mark))


def _empty_run(storage: DagsterStorage, run_id: str) -> None:
    """Remove all that hangs on a run, but not what it is found by."""
    storage.events.delete_events(run_id)
    storage.instance.compute_log_manager.delete_logs(prefix=[run_id])
    if isinstance(storage.events, SqliteEventLogStorage):
        shard = Path(storage.events.path_for_shard(run_id))
        for file in shard.parent.glob(f"{shard.name}*"):
            file.unlink(missing_ok=True)
    shutil.rmtree(Path(storage.instance.storage_directory()) / run_id, ignore_errors=True)


def _forget_run(storage: DagsterStorage, run_id: str) -> None:
    """Remove a run's row, then its tags, which go with the row on a server."""
    storage.runs.delete_run(run_id)
    with storage.runs.connect() as connection:
        connection.execute(sa.delete(runs.RunTagsTable).where(runs.RunTagsTable.c.run_id == run_id))


def _forget_checks(storage: DagsterStorage, tenant: str, run_ids: Sequence[str]) -> None:
    check = events.AssetCheckExecutionsTable
    may_be = sa.select(check.c.partition).where(_may_be_of(check.c.partition, tenant)).distinct()
    with storage.events.index_connection() as connection:
        keys = [key for key in connection.execute(may_be).scalars() if _is_of(key, tenant)]
        mine = sa.or_(check.c.partition.in_(keys), check.c.run_id.in_(run_ids))
        connection.execute(sa.delete(check).where(mine))


def _mend_assets(storage: DagsterStorage, tenant: str, run_ids: Sequence[str]) -> None:
    """Let each asset's newest materialisation be looked up among those left, and forget counts that included the tenant."""
    asset, event = events.AssetKeyTable.c, events.SqlEventLogStorageTable.c
    with storage.events.index_connection() as connection:
        rows = connection.execute(sa.select(asset.asset_key, asset.last_materialization, asset.last_run_id)).all()
        for row in rows:
            values: dict[str, Any] = {"cached_status_data": None}
            if row.last_materialization and names(row.last_materialization, tenant):
                values["last_materialization"] = None
            if row.last_run_id in run_ids:
                left = sa.select(event.run_id).where(event.asset_key == row.asset_key).order_by(event.id.desc())
                values["last_run_id"] = connection.execute(left.limit(1)).scalar()
            mine = asset.asset_key == row.asset_key
            connection.execute(sa.update(events.AssetKeyTable).where(mine).values(values))


def _remove_backfills(storage: DagsterStorage, keys: Sequence[str]) -> None:
    with storage.runs.connect() as connection:
        tags = runs.BackfillTagsTable
        connection.execute(sa.delete(tags).where(tags.c.backfill_id.in_(keys)))
        connection.execute(sa.delete(runs.BulkActionsTable).where(runs.BulkActionsTable.c.key.in_(keys)))


def _naming(document: Document, tenant: str, left_out: Sequence[str] = ()) -> Iterator[tuple[Any, str]]:
    """Return key and text of the documents that name the tenant."""
    _, connect, table, key, text = document
    query = sa.select(table.c[key], table.c[text], table.c.key if table is runs.BulkActionsTable else sa.null())
    with connect() as connection:
        rows = connection.execute(query.where(table.c[text].contains(tenant, autoescape=True))).all()
    yield from ((row[0], row[1]) for row in rows if names(row[1], tenant) and row[2] not in left_out)


def _rewrite(document: Document, tenant: str) -> None:
    """Take the tenant's id out of the documents that name it beside others."""
    _, connect, table, key, text = document
    for one, body in _naming(document, tenant):
        with connect() as connection:
            connection.execute(sa.update(table).where(table.c[key] == one).values({text: without(body, tenant)}))
