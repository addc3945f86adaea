"""From a check's evaluations in the event log to observations.

Belongs here: which of a run's evaluations count, for which days, and how they are judged. Does not belong here: reading
the log (`alert_events.py`).

A check says something of each partition and then sums up (`findings.py`). The summary of such a check is only read for the
days that it says nothing else of: in a long range those that are ok have no evaluation of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, cast

import dagster as dg
from weathervane_resources.alert_records import AlertSeverity, Facts, Subject
from weathervane_resources.partition_keys import is_day, label_of, span_of, tenant_of_key
from weathervane_resources.spelling import counted

from weathervane_checks.alert_guard import Unread, fitted
from weathervane_checks.alert_text import clean
from weathervane_checks.alerts import Observation
from weathervane_checks.rules.freshness import YEARLY

OLD_AFTER = timedelta(days=33)
"""Days that are older are judged as a backfill's; the longest restatement reads 33 days again, unless a tenant says otherwise."""


@dataclass(frozen=True)
class Judged:
    """One evaluation with its place in the event log; `backfill` as in `Observation`."""

    event_id: int
    timestamp: float
    run_id: str
    evaluation: dg.AssetCheckEvaluation
    backfill: str
    is_asked: bool = False
    """Whether its run asked to be judged like a night's, whatever its days."""
    job_name: str = ""

    @property
    def is_of_own_job(self) -> bool:
        """Whether it comes from the job that bears its check's name; the UI adds such a check to each run of its asset."""
        return self.job_name == self.evaluation.check_name

    @property
    def is_of_report(self) -> bool:
        """Whether it is one of ours, which are followed by a summary."""
        return "window" in self.evaluation.metadata and "severity" in self.evaluation.metadata

    @property
    def named(self) -> str:
        """What it is and whose, for a log."""
        about = self.evaluation
        return f"ASSET_CHECK_EVALUATION of {about.asset_key.to_user_string()} {about.check_name}, run {self.run_id}"

    def said(self, name: str) -> str:
        """Return a text or number of the metadata as text, empty where it is not there."""
        value = self.evaluation.metadata.get(name)
        return "" if value is None else str(value.value)


def observe_evaluations(judged: Sequence[Judged], now: datetime, unread: Unread) -> list[Observation]:
    """Return an observation for each evaluation that counts; of one that cannot be read only that goes into `unread`."""
    groups: dict[tuple[str, dg.AssetKey, str], list[Judged]] = {}
    for one in judged:
        groups.setdefault((one.run_id, one.evaluation.asset_key, one.evaluation.check_name), []).append(one)
    found: list[Observation] = []
    for group in groups.values():
        told = {day for one in group for day in _days(one)}
        for one in group:
            found += unread.guard(one.event_id, one.named, partial(_of_event, one, told, now))
    return found


def _of_event(one: Judged, told: Collection[str], now: datetime) -> Iterator[Observation]:
    if one.evaluation.partition is not None:
        yield fitted(_observe(one, _days(one), now))
    if "by_tenant" in one.evaluation.metadata:
        yield from map(fitted, _of_tenants(one))
    elif one.evaluation.partition is None:
        yield from map(fitted, _of_summary(one, told, now))


def _days(one: Judged) -> tuple[str, ...]:
    """Return the day or year of an evaluation's partition; a report's partition is a tenant and has none, as a check without."""
    label = label_of(one.evaluation.partition or "")
    return (label,) if label else ()


def _of_tenants(one: Judged) -> Iterator[Observation]:
    """Read a check that judges all tenants at once: how each stands, and up to which day; of normals, which year.

    Only its own job says what is wrong: in a run of one tenant that someone started in the UI it is nobody's business that another is
    late. What is well there is well.
    """
    dataset = one.evaluation.asset_key.path[-1]
    is_yearly = dataset in YEARLY
    standing = cast("dict[str, dict[str, Any]]", one.evaluation.metadata["by_tenant"].value)
    for tenant, said in standing.items():
        if said["severity"] != "ok" and not one.is_of_own_job:
            continue
        newest, due = ((said[name] or "none")[: 4 if is_yearly else None] for name in ("newest", "due"))
        late, unit = counted(said["days_late"], "day"), "year" if is_yearly else "day"
        observed = f"{late} without normals" if is_yearly else f"{late} late"
        facts = Facts(observed, "0", tuple(said["alerts"]), clean(f"newest {unit} {newest}, due {due}"), one.run_id)
        subject = Subject(tenant, dataset, one.evaluation.check_name)
        yield Observation(subject, said["severity"], (due,), one.event_id, facts)


def _of_summary(one: Judged, told: Collection[str], now: datetime) -> Iterator[Observation]:
    days = _window(one)
    if "days_checked" not in one.evaluation.metadata:  # not a summary of days: all that its check says
        if not told:
            yield _observe(one, days[-1:], now)
        return
    offending = _offending(one)
    if not told:
        yield from (_observe(one, (day,), now, row) for day, row in offending.items())
    fine = tuple(day for day in days if day not in told and day not in offending)
    if fine and len(offending) == int(one.said("days_not_ok") or 0):
        yield _observe(one, fine, now, {"severity": "ok"})


def _window(one: Judged) -> tuple[str, ...]:
    first, _, last = one.said("window").partition("/")
    try:
        return span_of(first, last or first) if first else ()
    except ValueError:
        return ()


def _offending(one: Judged) -> dict[str, Mapping[str, Any]]:
    table = one.evaluation.metadata.get("offending_days")
    records = table.records if isinstance(table, dg.TableMetadataValue) else ()
    return {str(record.data["day"]): record.data for record in records}


def _observe(one: Judged, days: tuple[str, ...], now: datetime, row: Mapping[str, Any] | None = None) -> Observation:
    evaluation = one.evaluation
    said = (
        {name: str(row.get(name, "")) for name in FACTS}
        if row is not None
        else {name: one.said(name) for name in FACTS}
    )
    tenant = one.said("tenant") or tenant_of_key(evaluation.partition or "")
    note = said["note"] or (evaluation.description or "" if row is None else "")
    facts = Facts(clean(said["observed"]), clean(said["threshold"]), _codes(said["alerts"]), clean(note), one.run_id)
    subject = Subject(tenant, evaluation.asset_key.path[-1], evaluation.check_name)
    return Observation(
        subject, _severity(evaluation, said["severity"]), days, one.event_id, facts, _backfill(one, days, now)
    )


FACTS = ("observed", "threshold", "alerts", "note", "severity")


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code for code in text.replace(",", " ").split() if code)


def _severity(evaluation: dg.AssetCheckEvaluation, said: str) -> AlertSeverity:
    if said in ("ok", "warning", "critical"):
        return said  # type: ignore[return-value]
    if evaluation.passed:
        return "ok"
    return "critical" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "warning"


def _backfill(one: Judged, days: tuple[str, ...], now: datetime) -> str:
    if one.backfill or one.is_asked:
        return one.backfill
    return one.run_id if are_old(days, now) or one.said("judged_as") == "backfill" else ""


def are_old(days: Sequence[str], now: datetime) -> bool:
    """Return whether the newest of the days is history, which pages nobody; years of normals never are."""
    return bool(days) and is_day(days[-1]) and date.fromisoformat(days[-1]) < now.date() - OLD_AFTER
