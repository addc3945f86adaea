"""Reading Dagster's event log: check evaluations and ended runs since a cursor, as observations.

Belongs here: everything that knows Dagster's storage. Does not belong here: what a run's end (`alert_runs.py`) or an evaluation
(`alert_evaluations.py`) says, and what follows from it (`alerts.py`).

Check events are read from the index of the event log by their global id. That is not public API (a contract test pins
it); where the storage is another kind, or it stops working, the public way reads a run's events once the run has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import dagster as dg
import sqlalchemy as sa
from dagster._core.event_api import EventLogCursor
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable
from dagster._serdes import deserialize_value
from weathervane_resources.partition_keys import tenant_of

from weathervane_checks.alert_evaluations import Judged, observe_evaluations
from weathervane_checks.alert_guard import Unread, fitted
from weathervane_checks.alert_runs import ENDS, EVALUATED, awaiting_retry, backfill_of, is_asked, observe_end
from weathervane_checks.alerts import Observation

OVERLAP = 500
"""Events are read again so far behind the cursor: on PostgreSQL a smaller id can become visible after a larger one."""
MOST_EVENTS, MOST_RUNS = 500, 50
FIRST_LOOK = timedelta(days=1)
"""How far back the first tick looks; a lost cursor must not alert of all history."""
KINDS = [kind.value for kind in (EVALUATED, *ENDS)]
WRITING = timedelta(seconds=30)
"""So long a check's evaluations wait for the summary that ends them, lest a message names half of the days."""


@dataclass(frozen=True)
class Batch:
    """What one read brought: observations, the events they came from, and how far the cursor may move."""

    observations: list[Observation]
    event_ids: frozenset[int]
    cursor: int
    newest_at: datetime | None
    is_full: bool
    ends: tuple[dg.EventLogRecord, ...] = ()
    """Of runs that ended since the last read."""
    unread: tuple[str, ...] = ()
    """What was wrong with the events that cannot be read; these are passed over."""


def read_events(instance: dg.DagsterInstance, cursor: int | None, seen: Collection[int], now: datetime) -> Batch:
    """Return what is new since `cursor`; None looks back a day."""
    read = read_index if isinstance(instance.event_log_storage, SqlEventLogStorage) else read_by_runs
    return read(instance, cursor, seen, now)


def read_index(instance: dg.DagsterInstance, cursor: int | None, seen: Collection[int], now: datetime) -> Batch:
    """Read check evaluations and run ends by their ids in the index of the event log."""
    start = _newest_before(instance, now - FIRST_LOOK) if cursor is None else cursor
    unread = Unread()
    new, is_full = _unseen(instance, max(start - OVERLAP, 0), seen, unread)
    known, fresh = _split(new, cursor, now)
    judged = _evaluations_of(instance, fresh, unread)
    return _observe(instance, known, fresh, judged, start, now, unread, is_full=is_full)


def read_by_runs(instance: dg.DagsterInstance, cursor: int | None, seen: Collection[int], now: datetime) -> Batch:
    """Do the same by public API alone: the evaluations of a run count once the run has ended, under the end's id."""
    start = _newest_end_before(instance, now - FIRST_LOOK) if cursor is None else cursor
    found: list[dg.EventLogRecord] = []
    is_full = False
    for kind in ENDS:
        limit = MOST_RUNS + len(seen)
        after = EventLogCursor.from_storage_id(max(start - OVERLAP, 0)).to_string()
        records = instance.fetch_run_status_changes(kind, limit=limit, cursor=after, ascending=True).records
        is_full |= len(records) == limit
        found += [r for r in records if r.storage_id not in seen]
    known, fresh = _split(found, cursor, now)
    unread = Unread()
    judged = [
        one
        for end in fresh
        for one in unread.guard(end.storage_id, _named(end), partial(_evaluations_of_run, instance, end))
    ]
    return _observe(instance, known, fresh, judged, start, now, unread, is_full=is_full)


def _unseen(
    instance: dg.DagsterInstance, after: int, seen: Collection[int], unread: Unread
) -> tuple[list[dg.EventLogRecord], bool]:
    """Return the events after an id that concern us and were not taken in, oldest first, and whether there are more.

    What lies in the overlap is mostly known: ids are asked for first, and only what is new is decoded. Both are asked on
    one connection, since Dagster makes a new one for each, and on PostgreSQL that is most of a tick.
    """
    events = SqlEventLogStorageTable.c
    most = len(seen) + MOST_EVENTS
    ids = sa.select(events.id, events.dagster_event_type).where(events.id > after, events.dagster_event_type.in_(KINDS))
    with _index_of(instance).index_connection() as connection:
        found = connection.execute(ids.order_by(events.id).limit(most + 1)).all()
        new = [(row.id, row.dagster_event_type) for row in found[:most] if row.id not in seen]
        ends = [one for one, kind in new if kind != EVALUATED.value]
        wanted = [one for one, _ in new if len(ends) <= MOST_RUNS or one < ends[MOST_RUNS]]
        rows = _rows(connection, wanted)
    kind_of = dict(new)
    records = [one for row in rows for one in unread.guard(row.id, kind_of[row.id], partial(_decoded, row))]
    return records, len(found) > most or len(wanted) < len(new)


def _rows(connection: sa.Connection, ids: Sequence[int]) -> Sequence[Any]:
    if not ids:
        return ()
    events = SqlEventLogStorageTable.c
    chosen = sa.select(events.id, events.event).where(events.id.in_(ids)).order_by(events.id)
    return connection.execute(chosen).all()


def _decoded(row: Any) -> list[dg.EventLogRecord]:
    return [dg.EventLogRecord(row.id, deserialize_value(row.event, dg.EventLogEntry))]


def _named(record: dg.EventLogRecord) -> str:
    entry = record.event_log_entry
    kind = entry.dagster_event_type
    return f"{kind.value if kind else 'no event'} of run {entry.run_id}"


def _index_of(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"{type(storage).__name__} has no index of events")
    return storage


def _newest_before(instance: dg.DagsterInstance, until: datetime) -> int:
    events = SqlEventLogStorageTable.c
    earlier = events.timestamp < until.astimezone(UTC).replace(tzinfo=None)
    newest = (
        sa.select(events.id).where(events.dagster_event_type.in_(KINDS), earlier).order_by(events.id.desc()).limit(1)
    )
    with _index_of(instance).index_connection() as connection:
        return connection.execute(newest).scalar() or 0


def _newest_end_before(instance: dg.DagsterInstance, until: datetime) -> int:
    filters = [dg.RunStatusChangeRecordsFilter(cast("Any", k), before_timestamp=until.timestamp()) for k in ENDS]
    found = [end for one in filters for end in instance.fetch_run_status_changes(one, limit=1).records]
    return max((record.storage_id for record in found), default=0)


def _split(
    records: Sequence[dg.EventLogRecord], cursor: int | None, now: datetime
) -> tuple[list[dg.EventLogRecord], list[dg.EventLogRecord]]:
    """Return what a first look only remembers, and what it tells of."""
    since = (now - FIRST_LOOK).timestamp() if cursor is None else float("-inf")
    old = [r for r in records if r.event_log_entry.timestamp < since]
    return old, [r for r in records if r.event_log_entry.timestamp >= since]


def _observe(
    instance: dg.DagsterInstance,
    known: Sequence[dg.EventLogRecord],
    fresh: Sequence[dg.EventLogRecord],
    judged: Sequence[Judged],
    start: int,
    now: datetime,
    unread: Unread,
    *,
    is_full: bool,
) -> Batch:
    held = _still_written(judged, now) | _not_retried_yet(instance, fresh, now, unread)
    taken = sorted((r for r in fresh if r.storage_id not in held), key=lambda r: r.storage_id)
    observations = observe_evaluations([j for j in judged if j.event_id not in held], now, unread)
    ends = _ends(taken)
    for end in ends:
        observations += unread.guard(end.storage_id, _named(end), partial(_observe_end, instance, end, now))
    done = frozenset((*(r.storage_id for r in (*known, *taken)), *unread.said))
    newest = max(done, default=start)
    cursor = max(start, newest if not held else min(newest, min(held) - 1))
    at = datetime.fromtimestamp(taken[-1].event_log_entry.timestamp, UTC) if taken else None
    return Batch(observations, done, cursor, at, is_full, ends, tuple(unread.said.values()))


def _not_retried_yet(
    instance: dg.DagsterInstance, records: Sequence[dg.EventLogRecord], now: datetime, unread: Unread
) -> set[int]:
    """Return the failures whose retry has not begun, and the good ends of their tenants after them.

    These come in together: a good end that was taken in first would not be known to the failure, which would open what is over.
    """
    waiting: set[str] = set()

    def told_later(end: dg.EventLogRecord) -> list[int]:
        if end.event_log_entry.dagster_event_type == ENDS[0]:
            run = instance.get_run_by_id(end.event_log_entry.run_id) if waiting else None
            return [end.storage_id] if run and tenant_of(run.tags) in waiting else []
        run = awaiting_retry(instance, end, now)
        waiting.update([tenant_of(run.tags)] if run else [])
        return [end.storage_id] if run else []

    in_order = sorted(_ends(records), key=lambda r: r.storage_id)
    return {one for r in in_order for one in unread.guard(r.storage_id, _named(r), partial(told_later, r))}


def _observe_end(instance: dg.DagsterInstance, end: dg.EventLogRecord, now: datetime) -> Iterator[Observation]:
    return map(fitted, observe_end(instance, end, now))


def _ends(records: Sequence[dg.EventLogRecord]) -> tuple[dg.EventLogRecord, ...]:
    return tuple(r for r in records if r.event_log_entry.dagster_event_type in ENDS)


def _evaluations_of(instance: dg.DagsterInstance, records: Sequence[dg.EventLogRecord], unread: Unread) -> list[Judged]:
    mine = [r for r in records if r.event_log_entry.dagster_event_type == EVALUATED]
    run_ids = sorted({r.event_log_entry.run_id for r in mine})
    runs = {run.run_id: run.tags for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids))} if run_ids else {}

    def judged(record: dg.EventLogRecord) -> list[Judged]:
        return [_judged(record, record.storage_id, runs.get(record.event_log_entry.run_id, {}))]

    return [one for r in mine for one in unread.guard(r.storage_id, _named(r), partial(judged, r))]


def _evaluations_of_run(instance: dg.DagsterInstance, end: dg.EventLogRecord) -> list[Judged]:
    run_id = end.event_log_entry.run_id
    run = instance.get_run_by_id(run_id)
    records = instance.get_records_for_run(run_id, of_type=EVALUATED).records
    return [_judged(record, end.storage_id, run.tags if run else {}) for record in records]


def _judged(record: dg.EventLogRecord, event_id: int, tags: Mapping[str, str]) -> Judged:
    entry = record.event_log_entry
    return Judged(
        event_id,
        entry.timestamp,
        entry.run_id,
        entry.get_dagster_event().asset_check_evaluation_data,
        backfill_of(entry.run_id, tags),
        is_asked(tags),
        entry.job_name or "",
    )


def _still_written(judged: Sequence[Judged], now: datetime) -> set[int]:
    """Return the events of checks whose summary has not come yet, unless they are so old that none will."""
    by_check: dict[tuple[object, ...], list[Judged]] = {}
    for one in judged:
        by_check.setdefault((one.run_id, one.evaluation.asset_key, one.evaluation.check_name), []).append(one)
    held: set[int] = set()
    for group in by_check.values():
        is_young = max(one.timestamp for one in group) > (now - WRITING).timestamp()
        if is_young and all(one.is_of_report and one.evaluation.partition is not None for one in group):
            held |= {one.event_id for one in group}
    return held
