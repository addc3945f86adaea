"""Reading Dagster's event log: check evaluations and ended runs since a cursor, as observations.

Belongs here: everything that knows Dagster's storage. Does not belong here: what follows from an observation (`alerts.py`).

Check events are read from the index of the event log by their global id. That is not public API (a contract test pins
it); where the storage is another kind, or it stops working, the public way reads a run's events once the run has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import dagster as dg
import sqlalchemy as sa
from dagster._core.event_api import EventLogCursor
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable
from dagster._serdes import deserialize_value
from weathervane_resources.alert_records import Facts, Subject
from weathervane_resources.failures import DEFERRED_TAG, WAITING
from weathervane_resources.http.errors import parted
from weathervane_resources.partition_keys import BACKFILL_TAGS, days_of, tenant_of

from weathervane_checks.alert_evaluations import Judged, are_old, observe_evaluations
from weathervane_checks.alert_text import CURE_MOST, NOTE_MOST, clean
from weathervane_checks.alerts import FAILED_RUN, NOT_RUN, STUCK_RUN, Observation

OVERLAP = 500
"""Events are read again so far behind the cursor: on PostgreSQL a smaller id can become visible after a larger one."""
MOST_EVENTS, MOST_RUNS = 500, 50
FIRST_LOOK = timedelta(days=1)
"""How far back the first tick looks; a lost cursor must not alert of all history."""
WRITING = timedelta(seconds=30)
"""So long a check's evaluations wait for the summary that ends them, lest a message names half of the days."""
STUCK_AFTER = timedelta(hours=3)
WILL_RETRY_TAG = "dagster/will_retry"
ALERT_TAG = "weathervane/alert"
"""On a backfill's run: judge it like a night's."""
EVALUATED, PLANNED = dg.DagsterEventType.ASSET_CHECK_EVALUATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
ENDS = (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE)
BLOCKED = "DagsterAssetCheckFailedError"


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


def read_events(instance: dg.DagsterInstance, cursor: int | None, seen: Collection[int], now: datetime) -> Batch:
    """Return what is new since `cursor`; None looks back a day."""
    read = read_index if isinstance(instance.event_log_storage, SqlEventLogStorage) else read_by_runs
    return read(instance, cursor, seen, now)


def read_index(instance: dg.DagsterInstance, cursor: int | None, seen: Collection[int], now: datetime) -> Batch:
    """Read check evaluations and run ends by their ids in the index of the event log."""
    start = _a_day_ago(lambda kind, until: _newest_before(instance, kind, until), now) if cursor is None else cursor
    new, is_full = _unseen(instance, max(start - OVERLAP, 0), seen)
    known, fresh = _split(new, cursor, now)
    return _observe(instance, known, fresh, _evaluations_of(instance, fresh), start, now, is_full=is_full)


def read_by_runs(instance: dg.DagsterInstance, cursor: int | None, seen: Collection[int], now: datetime) -> Batch:
    """Do the same by public API alone: the evaluations of a run count once the run has ended, under the end's id."""
    start = _a_day_ago(lambda kind, until: _end_before(instance, kind, until), now) if cursor is None else cursor
    found: list[dg.EventLogRecord] = []
    is_full = False
    for kind in ENDS:
        limit = MOST_RUNS + len(seen)
        after = EventLogCursor.from_storage_id(max(start - OVERLAP, 0)).to_string()
        records = instance.fetch_run_status_changes(kind, limit=limit, cursor=after, ascending=True).records
        is_full |= len(records) == limit
        found += [r for r in records if r.storage_id not in seen]
    known, fresh = _split(found, cursor, now)
    judged = [one for end in fresh for one in _evaluations_of_run(instance, end)]
    return _observe(instance, known, fresh, judged, start, now, is_full=is_full)


def _unseen(instance: dg.DagsterInstance, after: int, seen: Collection[int]) -> tuple[list[dg.EventLogRecord], bool]:
    """Return the events after an id that concern us and were not taken in, oldest first, and whether there are more.

    What lies in the overlap is mostly known: ids are asked for first, and only what is new is decoded. Both are asked on
    one connection, since Dagster makes a new one for each, and on PostgreSQL that is most of a tick.
    """
    events = SqlEventLogStorageTable.c
    kinds, most = [kind.value for kind in (EVALUATED, *ENDS)], len(seen) + MOST_EVENTS
    ids = sa.select(events.id, events.dagster_event_type).where(events.id > after, events.dagster_event_type.in_(kinds))
    with _index_of(instance).index_connection() as connection:
        found = connection.execute(ids.order_by(events.id).limit(most)).all()
        new = [(row.id, row.dagster_event_type) for row in found if row.id not in seen]
        ends = [one for one, kind in new if kind != EVALUATED.value]
        wanted = [one for one, _ in new if len(ends) <= MOST_RUNS or one < ends[MOST_RUNS]]
        rows = _rows(connection, wanted)
    records = [dg.EventLogRecord(row.id, deserialize_value(row.event, dg.EventLogEntry)) for row in rows]
    return records, len(found) == most or len(wanted) < len(new)


def _rows(connection: sa.Connection, ids: Sequence[int]) -> Sequence[Any]:
    if not ids:
        return ()
    events = SqlEventLogStorageTable.c
    chosen = sa.select(events.id, events.event).where(events.id.in_(ids)).order_by(events.id)
    return connection.execute(chosen).all()


def _fetch(
    instance: dg.DagsterInstance, filters: dg.EventRecordsFilter, limit: int, *, ascending: bool = True
) -> Sequence[dg.EventLogRecord]:
    return SqlEventLogStorage.get_event_records(_index_of(instance), filters, limit=limit, ascending=ascending)


def _index_of(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"{type(storage).__name__} has no index of events")
    return storage


def _newest_before(
    instance: dg.DagsterInstance, kind: dg.DagsterEventType, until: float
) -> Sequence[dg.EventLogRecord]:
    return _fetch(instance, dg.EventRecordsFilter(kind, before_timestamp=until), 1, ascending=False)


def _end_before(instance: dg.DagsterInstance, kind: dg.DagsterEventType, until: float) -> Sequence[dg.EventLogRecord]:
    if kind not in ENDS:
        return ()
    filters = dg.RunStatusChangeRecordsFilter(cast("Any", kind), before_timestamp=until)
    return instance.fetch_run_status_changes(filters, limit=1).records


def _a_day_ago(newest: Callable[[dg.DagsterEventType, float], Sequence[dg.EventLogRecord]], now: datetime) -> int:
    until = (now - FIRST_LOOK).timestamp()
    return max((r.storage_id for kind in (EVALUATED, *ENDS) for r in newest(kind, until)), default=0)


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
    *,
    is_full: bool,
) -> Batch:
    held = _still_written(judged, now)
    taken = sorted((r for r in fresh if r.storage_id not in held), key=lambda r: r.storage_id)
    observations = observe_evaluations([j for j in judged if j.event_id not in held], now)
    for record in taken:
        if record.event_log_entry.dagster_event_type in ENDS:
            observations += observe_end(instance, record, now)
    newest = max((r.storage_id for r in (*known, *taken)), default=start)
    cursor = max(start, newest if not held else min(newest, min(held) - 1))
    at = datetime.fromtimestamp(taken[-1].event_log_entry.timestamp, UTC) if taken else None
    return Batch(observations, frozenset(r.storage_id for r in (*known, *taken)), cursor, at, is_full, _ends(taken))


def _ends(records: Sequence[dg.EventLogRecord]) -> tuple[dg.EventLogRecord, ...]:
    return tuple(r for r in records if r.event_log_entry.dagster_event_type in ENDS)


def _evaluations_of(instance: dg.DagsterInstance, records: Sequence[dg.EventLogRecord]) -> list[Judged]:
    mine = [r for r in records if r.event_log_entry.dagster_event_type == EVALUATED]
    run_ids = sorted({r.event_log_entry.run_id for r in mine})
    runs = {run.run_id: run.tags for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids))} if run_ids else {}
    return [_judged(r, r.storage_id, runs.get(r.event_log_entry.run_id, {})) for r in mine]


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
    )


def is_asked(tags: Mapping[str, str]) -> bool:
    """Return whether a run asks to be judged like a night's."""
    return tags.get(ALERT_TAG, "").lower() in ("true", "on")


def backfill_of(run_id: str, tags: Mapping[str, str]) -> str:
    """Return the backfill that a run belongs to, empty for a run that is none, or that asked to be judged like a night's."""
    if is_asked(tags):
        return ""
    return next((tags[tag] or run_id for tag in BACKFILL_TAGS if tag in tags), "")


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


def observe_end(instance: dg.DagsterInstance, end: dg.EventLogRecord, now: datetime) -> list[Observation]:
    """Return what the end of a run says: failed steps, checks that gave no verdict, or that all is well with its assets."""
    run = instance.get_run_by_id(end.event_log_entry.run_id)
    if run is None:
        return []
    about = _RunFacts(run, end.storage_id, now)
    if end.event_log_entry.dagster_event_type == ENDS[0]:
        done = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS).records
        steps = [_dataset_of(r.event_log_entry.step_key) for r in done]
        silent = list(_not_run(instance, about))
        return [*about.all_well(steps, [one.subject for one in silent]), *silent]
    if run.tags.get(WILL_RETRY_TAG, "").lower() == "true" or run.tags.get(DEFERRED_TAG) == WAITING:
        return []  # the last attempt, or the run that resumes it, speaks for all of them
    failed = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    said = list(about.failed_steps([r.event_log_entry.get_dagster_event() for r in failed]))
    return (
        said
        if failed
        else [about.observe("run", FAILED_RUN, "critical", clean(end.event_log_entry.user_message or "the run failed"))]
    )


@dataclass(frozen=True)
class _RunFacts:
    """A run that has ended: whose it is, which days, and how it is judged."""

    run: dg.DagsterRun
    event_id: int
    now: datetime

    @property
    def tenant(self) -> str:
        return tenant_of(self.run.tags)

    def observe(self, dataset: str, cause: str, severity: str, note: str = "", cure: str = "") -> Observation:
        days = days_of(self.run.tags)
        backfill = backfill_of(self.run.run_id, self.run.tags) or (self.run.run_id if are_old(days, self.now) else "")
        facts = Facts(note=note, run_id=self.run.run_id, cure=cure)
        return Observation(Subject(self.tenant, dataset, cause), severity, days, self.event_id, facts, backfill)  # type: ignore[arg-type]

    def datasets(self) -> list[str]:
        """Return what the run was asked for by name; of a schedule's job only its steps say what it made."""
        return sorted(key.path[-1] for key in self.run.asset_selection or ())

    def all_well(self, steps: Sequence[str], but: Sequence[Subject]) -> Iterator[Observation]:
        """Not every step is a dataset's: compaction and freshness have one of their own, which may have failed before."""
        for dataset in dict.fromkeys((*self.datasets(), *steps, "run")):
            for cause in (FAILED_RUN, NOT_RUN):
                if Subject(self.tenant, dataset, cause) not in but:
                    yield self.observe(dataset, cause, "ok")

    def failed_steps(self, events: Sequence[dg.DagsterEvent]) -> Iterator[Observation]:
        """A blocking check that fails ends its step too; its own evaluation tells of it."""
        for event in events:
            data = event.step_failure_data
            if data.error is None or data.error.cls_name != BLOCKED:
                yield self.observe(_dataset_of(event.step_key), FAILED_RUN, "critical", *failure_said(event))


def _dataset_of(step_key: str | None) -> str:
    return (step_key or "run").removesuffix("_checks")


def failure_said(event: dg.DagsterEvent) -> tuple[str, str]:
    """Return why a step failed, in one line and without credentials, and what to do, where the error says it."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        said, cure = parted(data.user_failure_data.description)
        return clean(said, NOTE_MOST), clean(cure, CURE_MOST)
    root = data.error
    while root and root.cause:
        root = root.cause
    return clean(root.message.strip().partition("\n")[0] if root else "the step failed"), ""


def _not_run(instance: dg.DagsterInstance, about: _RunFacts) -> Iterator[Observation]:
    records = instance.get_records_for_run(about.run.run_id, of_type={PLANNED, EVALUATED}).records
    planned: set[tuple[str, str]] = set()
    evaluated: set[tuple[str, str]] = set()
    for record in records:
        event = record.event_log_entry.get_dagster_event()
        if event.event_type == PLANNED:
            data = event.asset_check_planned_data
            planned.add((data.asset_key.path[-1], data.check_name))
        else:
            found = event.asset_check_evaluation_data
            evaluated.add((found.asset_key.path[-1], found.check_name))
    missing: dict[str, list[str]] = {}
    for dataset, check in sorted(planned - evaluated):
        missing.setdefault(dataset, []).append(check)
    for dataset, checks in missing.items():
        yield about.observe(dataset, NOT_RUN, "warning", f"no verdict of {', '.join(checks)}")


def stuck_runs(instance: dg.DagsterInstance, now: datetime) -> list[Observation]:
    """Return the runs that have been running for longer than any of ours should."""
    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
    found: dict[str, Observation] = {}
    for record in instance.get_run_records(dg.RunsFilter(statuses=statuses), limit=200, ascending=True):
        since = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), UTC)
        if now - since > STUCK_AFTER:
            run = record.dagster_run
            hours = int((now - since).total_seconds() // 3600)
            facts = Facts(
                f"{hours} h",
                f"at most {STUCK_AFTER.total_seconds() / 3600:.0f} h",
                (),
                f"started {since:%Y-%m-%d %H:%M} UTC",
                run.run_id,
            )
            found.setdefault(
                tenant_of(run.tags),
                Observation(Subject(tenant_of(run.tags), "run", STUCK_RUN), "critical", (), 0, facts),
            )
    return list(found.values())


def unfinished_backfills(instance: dg.DagsterInstance, ids: Collection[str]) -> set[str]:
    """Return those backfills and runs that go on."""
    going = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    return {one for one in ids if _goes_on(instance, one, going)}


def _goes_on(instance: dg.DagsterInstance, one: str, going: list[dg.DagsterRunStatus]) -> bool:
    run = instance.get_run_by_id(one)
    if run is not None:
        return run.status in going
    return any(instance.get_runs_count(dg.RunsFilter(tags={tag: one}, statuses=going)) for tag in BACKFILL_TAGS)
