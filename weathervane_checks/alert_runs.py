"""What runs say to the alerter: how one ended, and that one goes on for too long.

Belongs here: from a run and its events to observations; which runs are a backfill's. Does not belong here: finding what is new in the
event log (`alert_events.py`), and a check's evaluations (`alert_evaluations.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from weathervane_resources.alert_records import Facts, Subject
from weathervane_resources.failures import DEFERRED_TAG, WAITING, is_refused
from weathervane_resources.http.errors import parted
from weathervane_resources.partition_keys import (
    BACKFILL_TAGS,
    CHANGED_TAG,
    MOST_REPEATS,
    days_of,
    is_last_repeat,
    tenant_of,
)

from weathervane_checks.alert_evaluations import are_old
from weathervane_checks.alert_text import CURE_MOST, NOTE_MOST, clean
from weathervane_checks.alerts import FAILED_RUN, GIVEN_UP, NOT_RUN, STUCK_RUN, Observation

STUCK_AFTER = timedelta(hours=3)
RETRIED_WITHIN = timedelta(minutes=5)
"""Dagster runs again within seconds what failed. What it announced and did not begin by then it gave up: the run's backfill is over,
or the code location cannot be reached."""
ALERT_TAG = "weathervane/alert"
"""On a backfill's run: judge it like a night's."""
EVALUATED, PLANNED = dg.DagsterEventType.ASSET_CHECK_EVALUATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
ENDS = (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE)
BLOCKED = "DagsterAssetCheckFailedError"


def is_asked(tags: Mapping[str, str]) -> bool:
    """Return whether a run asks to be judged like a night's."""
    return tags.get(ALERT_TAG, "").lower() in ("true", "on")


def backfill_of(run_id: str, tags: Mapping[str, str]) -> str:
    """Return the backfill that a run belongs to, empty for a run that is none, or that asked to be judged like a night's."""
    if is_asked(tags):
        return ""
    return next((tags[tag] or run_id for tag in BACKFILL_TAGS if tag in tags), "")


def awaiting_retry(instance: dg.DagsterInstance, end: dg.EventLogRecord, now: datetime) -> dg.DagsterRun | None:
    """Return a run that failed just now and is to be run again, which has not begun: what its end says is not known yet."""
    entry = end.event_log_entry
    if entry.dagster_event_type == ENDS[0] or now.timestamp() - entry.timestamp > RETRIED_WITHIN.total_seconds():
        return None
    run = instance.get_run_by_id(entry.run_id)
    is_announced = run is not None and run.tags.get(WILL_RETRY_TAG, "").lower() == "true"
    return run if run and is_announced and AUTO_RETRY_RUN_ID_TAG not in run.tags else None


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
    if AUTO_RETRY_RUN_ID_TAG in run.tags or run.tags.get(DEFERRED_TAG) == WAITING:
        return []  # the last attempt, or the run that resumes it, speaks for all of them
    if is_refused(run):
        return []
    failed = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    said = list(about.failed_steps([r.event_log_entry.get_dagster_event() for r in failed]))
    if not failed:
        why = clean(end.event_log_entry.user_message or "the run failed")
        said = [about.observe("run", FAILED_RUN, "critical", why)]
    return [*said, *about.given_up()]


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
        is_routine = CHANGED_TAG not in self.run.tags and not any(tag in self.run.tags for tag in BACKFILL_TAGS)
        subject = Subject(self.tenant, dataset, cause)
        return Observation(subject, severity, days, self.event_id, facts, backfill, is_routine)  # type: ignore[arg-type]

    def datasets(self) -> list[str]:
        """Return what the run was asked for by name; of a schedule's job only its steps say what it made."""
        return sorted(key.path[-1] for key in self.run.asset_selection or ())

    def all_well(self, steps: Sequence[str], but: Sequence[Subject]) -> Iterator[Observation]:
        """Not every step is a dataset's: compaction and freshness have one of their own, which may have failed before."""
        for dataset in dict.fromkeys((*self.datasets(), *steps, "run")):
            for cause in (FAILED_RUN, NOT_RUN, GIVEN_UP):
                if Subject(self.tenant, dataset, cause) not in but:
                    yield self.observe(dataset, cause, "ok")

    def given_up(self) -> Iterator[Observation]:
        """The last repeat of what changed: its days stay as they were, and nothing asks for them again."""
        if not is_last_repeat(self.run.tags):
            return
        asset, days = self.run.tags[CHANGED_TAG], days_of(self.run.tags)
        note = f"{asset} of these days changed, and {MOST_REPEATS + 1} runs for it failed, the last one now"
        command = f"weathervane backfill --tenant {self.tenant} --from {days[0]} --to {days[-1]}"
        yield self.observe(asset, GIVEN_UP, "critical", note, f"mend what the runs fail of, then: {command}")

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
