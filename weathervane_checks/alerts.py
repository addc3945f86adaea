"""From what was seen to what is said: observations open, extend and close incidents, and incidents give notices.

Belongs here: the rules of alerting, pure, the clock an argument. Does not belong here: reading Dagster's event log
(`alert_events.py`), the words of a message (`alert_text.py`), who gets it (`alert_routing.py`) and where it is kept.

An incident is a subject (tenant, dataset, check or cause) that is not ok, over any number of days. It is told once, again
when it becomes critical, reminded of, and its end is told. A day that was told of is no news until it was ok in between:
restatements judge the last month again every night. It ends when each of its days is ok, or a day after all of them is; that of a
failed run with its own days, since the next night reads others. A lesser matter of the same check (stub rows, a null value) does
not keep it open: that is the next incident. Nor does it hide a greater one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from weathervane_resources.alert_records import (
    SEVERITY_RANK,
    AlertSeverity,
    Facts,
    Incident,
    Ledger,
    NoticeKind,
    Subject,
    Verdict,
    short_id,
)

REMIND_AFTER = (timedelta(days=1), timedelta(days=7))
"""The first reminder, and each that follows."""
SETTLES_AFTER = timedelta(minutes=2)
"""A backfill's digest waits so long after its last event, and until its runs have ended."""
BACKFILL = "(backfill)"
FAILED_RUN, NOT_RUN, STUCK_RUN = "failed_run", "check_did_not_run", "stuck_run"
GIVEN_UP = "changes_not_read"
"""The last of the runs that were to read changed days again has failed."""
OF_RUNS = frozenset({FAILED_RUN, GIVEN_UP})
"""What only a run that reads the same days mends."""
STANDING = frozenset({"stub_source"})
"""Codes of a state that someone chose: shown in the UI and by `doctor`, told to nobody."""
EXPLAINS_NOTHING = frozenset({"weather_values_missing"})
"""Codes from which nothing follows: a value is null, for good where a model lacks it, but the rows are there."""
COVERED: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("ads", "row_count_drop"): (("meta_ads", "row_count_drop"), ("google_ads", "row_count_drop")),
    ("orders", "completeness"): (("orders", "row_count_drop"),),
    ("features", "weather_join_coverage"): (("weather_daily", "coverage"),),
}
"""What follows from another incident of the tenant is not told beside it (dataset, cause -> its causes)."""
COVERED_BY_FAILED_RUN = frozenset({"freshness", NOT_RUN})
"""After a failed run of the dataset, or of what it is made from, these say the same again."""
UPSTREAM: Mapping[str, frozenset[str]] = {
    "ads": frozenset({"meta_ads", "google_ads"}),
    "climatology": frozenset({"orders"}),
    "weather_daily": frozenset({"orders", "climatology"}),
    "weather_forecast": frozenset({"orders"}),
    "features": frozenset(
        {"orders", "meta_ads", "google_ads", "ads", "promos", "climatology", "weather_daily", "weather_forecast"}
    ),
}
"""What a dataset is made from, at any distance."""
LOOKED_AT_AGAIN = frozenset({"freshness"})
"""Seen again every hour. When what covered it is over, it is told only if it is then seen: the night may just have mended it."""


@dataclass(frozen=True)
class Observation:
    """One judgement of one subject. `days` are partition labels (a day, or a year of normals); none: no day in particular.

    `event_id` orders them; `backfill` names the backfill or run it belongs to, and is empty for a night's run.
    """

    subject: Subject
    severity: AlertSeverity
    days: tuple[str, ...]
    event_id: int
    facts: Facts = field(default_factory=Facts)
    backfill: str = ""
    is_routine: bool = True
    """Whether it may be a night's or a restatement's, whose days move on by themselves; not of a run for days that changed, or a backfill."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The days, or the one label of an observation without days."""
        return self.days or ("",)


@dataclass
class Progress:
    """What observations made of the ledger: incidents touched, and verdicts to write."""

    ledger: Ledger
    now: datetime
    touched: dict[str, Incident] = field(default_factory=dict)
    verdicts: dict[tuple[Subject, str], Verdict] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    outgrown: set[str] = field(default_factory=set)
    """The incidents that ended because there is more: the next one of the subject says so."""

    def take(self, observations: Iterable[Observation]) -> None:
        """Take observations in: of one run and subject first what is wrong, then what is ok."""
        groups: dict[tuple[Subject, str], list[Observation]] = {}
        for one in sorted(observations, key=lambda o: o.event_id):
            groups.setdefault((one.subject, one.facts.run_id), []).append(one)
        for group in groups.values():
            for one in group:
                if not self._is_well(one):
                    self._take_bad(one)
            for one in group:
                if self._is_well(one):
                    self._take_ok(one)

    def _is_well(self, seen: Observation) -> bool:
        """Whether what the open incident is about is not so: all is ok, or what is left is only a lesser matter."""
        incident = self.ledger.incidents.get(seen.subject)
        lesser = (codes for codes in (STANDING, EXPLAINS_NOTHING) if incident and not _is_only(incident.facts, codes))
        return seen.severity == "ok" or any(_is_only(seen.facts, codes) for codes in lesser)

    def _take_bad(self, seen: Observation) -> None:
        if seen.backfill and _is_standing(seen.facts):
            return
        if not seen.backfill:
            self._end_lesser(seen)
        news = [day for day in seen.labels if self._is_news(seen, day)]
        left = self._end_older(seen, news)
        if seen.backfill and (held := self._held_open(seen.subject, news)):
            self._take_bad(replace(seen, days=held, backfill=""))
            news = [day for day in news if day not in held]
        subject = Subject(seen.subject.tenant, BACKFILL, seen.backfill) if seen.backfill else seen.subject
        incident = self.ledger.incidents.get(subject)
        if not news and (incident is None or seen.backfill):
            return
        seen = _named(seen) if seen.backfill else seen
        if incident is None:
            instant = [self.now] if not seen.event_id else []
            # with the run: another log has the same numbers
            incident_id = short_id(*subject, seen.event_id, seen.facts.run_id, *instant)
            incident = Incident(incident_id, subject, seen.severity, seen.facts, self.now, self.now)
            self.ledger.incidents[subject] = incident
            self.opened.add(incident.id)
        elif SEVERITY_RANK[seen.severity] > SEVERITY_RANK[incident.severity]:
            incident.severity, incident.facts = seen.severity, seen.facts
        elif set(seen.facts.codes) > set(incident.facts.codes) and not seen.backfill:
            incident.facts = seen.facts  # all that was told and more: reminders say it
        incident.last_at = self.now
        self.touched[incident.id] = incident
        for day in news:
            self._write(seen.subject, day, Verdict(seen.severity, seen.event_id, incident.id))
        for day, known in left.items():
            self._write(seen.subject, day, known._replace(incident_id=incident.id))

    def _end_lesser(self, seen: Observation) -> None:
        """End an incident of only a lesser matter where there is more: that is the next one, told anew, whose days these are.

        Joined to it, it would be told to nobody: what someone chose is silent, a value that is always null was told or snoozed.
        """
        incident = self.ledger.incidents.get(seen.subject)
        if incident is None or not _is_more(seen.facts, incident.facts):
            return
        known = {day: self.ledger.days.get((seen.subject, day)) for day in seen.labels}
        current = [day for day, one in known.items() if one is None or not 0 < seen.event_id < one.event_id]
        if current:
            self._close(incident)
            self.opened.discard(incident.id)
            self.outgrown.add(incident.id)
        for day in current:
            self.ledger.days.pop((seen.subject, day), None)

    def _end_older(self, seen: Observation, news: Sequence[str]) -> Mapping[str, Verdict]:
        """End an incident of runs that failed long before, and return what is left of it: the next one takes that over, and is told.

        An old day whose reading failed stays open until it is read; joined to it, a night that fails would be told to nobody.
        """
        incident = self.ledger.incidents.get(seen.subject)
        if incident is None or not seen.is_routine or seen.backfill or not news or seen.subject.cause not in OF_RUNS:
            return {}
        left = {day: self.ledger.days[seen.subject, day] for day in self.bad_days(incident)}
        is_late = 0 < seen.event_id < self._newest_event(incident)
        if not left or is_late or not _is_apart(max(left), min(seen.labels)):
            return {}
        self._close(incident)
        self.opened.discard(incident.id)
        self.outgrown.add(incident.id)
        return left

    def _held_open(self, subject: Subject, days: Sequence[str]) -> tuple[str, ...]:
        """Return those of the days that the subject's open incident is about: it would end if a backfill took them from it."""
        incident = self.ledger.incidents.get(subject)
        known = {day: self.ledger.days.get((subject, day)) for day in days}
        return tuple(day for day, one in known.items() if incident and one and one.incident_id == incident.id)

    def _is_news(self, seen: Observation, day: str) -> bool:
        """An older event that comes late says nothing, nor does what is known of the day; that a run failed is known while it is open."""
        known = self.ledger.days.get((seen.subject, day))
        if known is None:
            return True
        if 0 < seen.event_id < known.event_id:
            return False
        incident = self.ledger.incidents.get(seen.subject)
        is_over = incident is None or known.incident_id != incident.id
        is_anew = is_over and not seen.backfill and seen.subject.cause in OF_RUNS and seen.event_id != known.event_id
        return is_anew or SEVERITY_RANK[seen.severity] > SEVERITY_RANK[known.severity]

    def _take_ok(self, seen: Observation) -> None:
        mended: dict[int, str] = {}
        for day in sorted(seen.labels):
            known = self.ledger.days.get((seen.subject, day))
            if known and known.severity != "ok" and not 0 < seen.event_id < known.event_id:
                mended[known.event_id] = day
                self._write(seen.subject, day, Verdict("ok", seen.event_id, known.incident_id))
        incident = self.ledger.incidents.get(seen.subject)
        if incident is None:
            return
        bad = self.bad_days(incident)
        over = self._overtaken(incident, bad, seen, mended)
        if len(over) == len(bad):
            incident.ended_by = seen.facts.run_id
            self._close(incident)
            return
        for day in over:
            self._write(seen.subject, day, Verdict("ok", seen.event_id, incident.id))

    def _overtaken(
        self, incident: Incident, bad: Sequence[str], seen: Observation, mended: Mapping[int, str]
    ) -> Sequence[str]:
        """Return the days that are not ok of which a newer good one is the end: of a check all, of failed runs those left behind.

        A restatement's window moves on by a day each night, so that its first days are not read again: the rest of them is, and
        newer ones. `mended` has by the event of a failed run the newest of its days that was read now. No run but a routine's has such
        a window, and what was given up is not over before each of its days was read.
        """
        newest = max(seen.labels)
        if incident.subject.cause not in OF_RUNS:
            is_newer = bool(bad) and newest > max(bad) and seen.event_id >= self._newest_event(incident)
            return bad if is_newer else ()
        if incident.subject.cause == GIVEN_UP or not seen.is_routine:
            return ()
        failed_in = {day: self.ledger.days[incident.subject, day].event_id for day in bad}
        return [day for day in bad if newest > max(day, mended.get(failed_in[day], newest))]

    def _close(self, incident: Incident) -> None:
        incident.closed_at = incident.last_at = self.now
        self.touched[incident.id] = incident
        del self.ledger.incidents[incident.subject]

    def bad_days(self, incident: Incident) -> list[str]:
        """Return the days of an incident that are not ok."""
        return sorted(
            day for (subject, day), v in self.ledger.days.items()
            if v.incident_id == incident.id and v.severity != "ok" and subject == incident.subject
        )  # fmt: skip

    def _newest_event(self, incident: Incident) -> int:
        return max((v.event_id for v in self.ledger.days.values() if v.incident_id == incident.id), default=0)

    def _write(self, subject: Subject, day: str, verdict: Verdict) -> None:
        self.ledger.days[subject, day] = self.verdicts[subject, day] = verdict

    def hold(self, conditions: Iterable[Observation], causes: Collection[str]) -> None:
        """Take in what lasts right now: conditions of `causes` open their incidents, and end those that no longer hold."""
        lasting = {one.subject: one for one in conditions}
        over = [s for s in self.ledger.incidents if s.cause in causes and s not in lasting]
        self.take([*lasting.values(), *(Observation(subject, "ok", (), 0) for subject in over)])


@dataclass(frozen=True)
class Due:
    """Something to be said of an incident."""

    kind: NoticeKind
    incident: Incident
    lines: tuple[tuple[Subject, str, AlertSeverity], ...] = ()
    """Subject, day and severity of what is not ok."""
    is_quiet: bool = False
    """Whether only a receiver that keeps incidents of its own needs it."""

    @property
    def key(self) -> str:
        """The same whenever the same thing is said."""
        number = f"{self.incident.reminders}" if self.kind == "reminder" else ""
        return f"{self.incident.id}-{self.kind}{number}"


def due(progress: Progress, unfinished: Collection[str] = ()) -> list[Due]:
    """Return what is to be said now, and note in the incidents that it was.

    `unfinished` are the backfills and runs whose digest has to wait.
    """
    ledger = progress.ledger
    everything = {**progress.touched, **{incident.id: incident for incident in ledger.incidents.values()}}
    found: list[Due] = []
    for incident in sorted(everything.values(), key=lambda i: (i.opened_at, -SEVERITY_RANK[i.severity], i.subject)):
        kinds = (
            _digest_kinds(incident, progress, unfinished)
            if incident.subject.dataset == BACKFILL
            else _kinds(incident, progress)
        )
        for kind in kinds:
            found.append(Due(kind, incident, _lines(ledger, incident), incident.id in progress.outgrown))
            progress.touched[incident.id] = incident
    return found


def _kinds(incident: Incident, progress: Progress) -> Sequence[NoticeKind]:
    now = progress.now
    if not incident.is_open:
        return _closing(incident, progress)
    if _is_silent(incident, progress):
        return ()
    if incident.told_at is None or incident.told_severity is None:
        if incident.subject.cause in LOOKED_AT_AGAIN and incident.last_at != now:
            return ()
        incident.told_at, incident.told_severity = now, incident.severity
        return ("alert",)
    if SEVERITY_RANK[incident.severity] > SEVERITY_RANK[incident.told_severity]:
        incident.told_at, incident.told_severity = now, incident.severity
        return ("worse",)
    if now - incident.told_at >= REMIND_AFTER[min(incident.reminders, 1)]:
        incident.told_at, incident.reminders = now, incident.reminders + 1
        return ("reminder",)
    return ()


def _closing(incident: Incident, progress: Progress) -> Sequence[NoticeKind]:
    """The end is told where the incident was; one that began and ended between two ticks is told as both."""
    if incident.told_at is not None:
        return ("recovery",)
    if incident.id not in progress.opened or _is_silent(incident, progress):
        return ()
    incident.told_at, incident.told_severity = progress.now, incident.severity
    return ("alert", "recovery")


def _digest_kinds(incident: Incident, progress: Progress, unfinished: Collection[str]) -> Sequence[NoticeKind]:
    now = progress.now
    if not incident.is_open or incident.subject.cause in unfinished or now - incident.last_at < SETTLES_AFTER:
        return ()
    if _is_snoozed(incident, progress):
        return ()
    incident.told_at, incident.told_severity, incident.closed_at = now, incident.severity, now
    return ("digest",)


def _is_silent(incident: Incident, progress: Progress) -> bool:
    """Whether nobody wants to hear of it: standing, snoozed, or a consequence of another incident that is open."""
    if _is_standing(incident.facts):
        return True
    if _is_snoozed(incident, progress):
        return True
    tenant, dataset, cause = incident.subject
    opened = progress.ledger.incidents
    explains = {dataset, "run", *UPSTREAM.get(dataset, ())} if cause in COVERED_BY_FAILED_RUN else ()
    failed = (opened.get(Subject(tenant, name, FAILED_RUN)) for name in explains)
    if any(one is not None and _reaches(one, incident, progress) for one in failed):
        return True
    causes = (opened.get(Subject(tenant, *other)) for other in COVERED.get((dataset, cause), ()))
    return any(one is not None and not _is_only(one.facts, EXPLAINS_NOTHING) for one in causes)


def _reaches(failed: Incident, late: Incident, progress: Progress) -> bool:
    """Whether runs that failed can be why something is late: an old day that could not be read explains nothing of today's."""
    since = min(progress.bad_days(late), default="")
    return any(day and day.ljust(10, "9") >= since for day in progress.bad_days(failed))  # a year of normals to its end


def _is_apart(last: str, first: str) -> bool:
    """Whether days that begin with `first` do not go on where those up to `last` end."""
    try:
        return date.fromisoformat(first) - date.fromisoformat(last) > timedelta(days=1)
    except ValueError:  # a year, or no day in particular
        return False


def _is_snoozed(incident: Incident, progress: Progress) -> bool:
    return any(snooze.covers(incident, progress.now) for snooze in progress.ledger.snoozes)


def _named(seen: Observation) -> Observation:
    """Say in the note whose it is: a digest is of many datasets, and tells what is wrong with the first of the worst."""
    note = f"{seen.subject.dataset} {seen.subject.cause}: {seen.facts.note}" if seen.facts.note else ""
    return replace(seen, facts=replace(seen.facts, note=note))


def _is_standing(facts: Facts) -> bool:
    return _is_only(facts, STANDING)


def _is_only(facts: Facts, codes: Collection[str]) -> bool:
    return bool(facts.codes) and all(code in codes for code in facts.codes)


def _is_more(seen: Facts, told: Facts) -> bool:
    """Whether what was told is only a lesser matter, and what is seen is not."""
    return any(_is_only(told, codes) and not _is_only(seen, codes) for codes in (STANDING, EXPLAINS_NOTHING))


def _lines(ledger: Ledger, incident: Incident) -> tuple[tuple[Subject, str, AlertSeverity], ...]:
    return tuple(sorted((s, day, v.severity) for (s, day), v in ledger.days.items() if v.incident_id == incident.id))
