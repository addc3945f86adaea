"""One tick of the alerter: read, decide, enqueue in one transaction, then send. And the sensor that ticks.

Belongs here: the order of the steps. Whatever dies in between: what was not committed is read again, what was committed is
sent, and what may have been sent is sent again under the same key.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import dagster as dg
from weathervane_resources import metrics
from weathervane_resources.alert_outbox import (
    Send,
    Sent,
    enqueue,
    parked_targets,
    prune_outbox,
    send_by_apprise,
    send_due,
)
from weathervane_resources.alert_records import Facts, Ledger, Snooze, Subject
from weathervane_resources.alert_store import AlertStore, Session, Watch
from weathervane_resources.clock import Clock
from weathervane_resources.notifier import Target
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.spelling import counted
from weathervane_resources.state import open_state

from weathervane_checks.alert_events import OVERLAP, Batch, read_events
from weathervane_checks.alert_metrics import publish_incidents, publish_runs
from weathervane_checks.alert_place import Place, find_place
from weathervane_checks.alert_routing import address, configured_targets
from weathervane_checks.alert_runs import stuck_runs, unfinished_backfills
from weathervane_checks.alert_text import NOTE_MOST, clean, compose
from weathervane_checks.alerts import BACKFILL, STUCK_RUN, Observation, Progress, due

TICK_SECONDS = 30
MOST_READS = 20
"""A tick reads so often, each time at most `MOST_EVENTS`: a backfill's are thousands, and a first start reads a day's."""
MOST_SECONDS = 20.0
"""It begins no read after so long: Dagster ends a sensor after a minute, and what is to be sent comes after the reads."""
LAGS_AFTER = timedelta(minutes=15)
UNREAD_FOR = timedelta(days=1)
"""So long an event that was passed over stays an incident; nothing would end it."""
UNREACHABLE, BEHIND, MISCONFIGURED = "target_unreachable", "alerter_behind", "configuration_wrong"
UNREAD = "event_unreadable"
LASTING = frozenset({STUCK_RUN, UNREACHABLE, BEHIND, MISCONFIGURED, UNREAD})


@dataclass(frozen=True)
class Ticked:
    """What a tick did."""

    events: int = 0
    notices: int = 0
    enqueued: int = 0
    sent: Sent = field(default_factory=Sent)
    unread: tuple[str, ...] = ()
    """What was wrong with the events that were passed over."""
    are_more: bool = False
    """Whether there are more events to read."""

    def __add__(self, later: Ticked) -> Ticked:
        """Return both in one: what was read later says whether there are more."""
        return Ticked(
            self.events + later.events,
            self.notices + later.notices,
            self.enqueued + later.enqueued,
            self.sent,
            (*self.unread, *later.unread),
            later.are_more,
        )

    def __str__(self) -> str:
        passed = f", {counted(len(self.unread), 'event')} passed over" if self.unread else ""
        return f"{self.events} events, {self.notices} notices, {self.sent.delivered} sent, {self.sent.failed} targets failing{passed}"


@dataclass(frozen=True)
class Alerter:
    """What a tick needs; the clock is an argument of the tick."""

    instance: dg.DagsterInstance
    store: AlertStore
    targets: Sequence[Target]
    names: Mapping[str, str]
    ui_url: str
    send: Send = send_by_apprise
    paused: frozenset[str] = frozenset()
    """Tenants of whom nothing is said, as of any that `names`, if it has some, lacks; what still lasts when one goes on is told then."""
    misconfigured: str = ""
    """Why tenants.toml cannot be read: no run starts until it can."""

    def tick(self, now: datetime) -> Ticked:
        """Take in what is new, say what is due, send what waits."""
        stuck = () if self.misconfigured else stuck_runs(self.instance, now)
        took, begun = Ticked(are_more=True), time.monotonic()
        for left in reversed(range(MOST_READS)):
            is_last = not left or time.monotonic() - begun > MOST_SECONDS
            took += self._take_in(stuck, now, is_last=is_last)
            if not took.are_more:
                break
        targets = {target.id: target for target in self.targets}
        sent = send_due(self.store.state, targets, now, self.send, are_all=not self.misconfigured)
        ticked = replace(took, sent=sent)
        _publish(ticked)
        if not self.misconfigured:
            publish_incidents(self.store, self.names)
        return ticked

    def _take_in(self, stuck: Sequence[Observation], now: datetime, *, is_last: bool) -> Ticked:
        """Read once and write what follows from it. `is_last`: what is not read now waits for the next tick."""
        with self.store.session() as session:
            before = session.watch()
            already = session.seen(_after(before))
        if not self.misconfigured:
            place = find_place(self.instance, before)
            known = already if place.newest is None else ()
            batch = read_events(self.instance, place.cursor, known, now)
        elif before is not None:
            place = Place(before.store, before.cursor)
            batch = Batch([], frozenset(), before.cursor, None, is_full=False)
        else:
            return Ticked()  # the first look goes a day back, once it is known whose events these are
        is_behind = batch.is_full and (is_last or not batch.event_ids)
        with self.store.session() as session:
            decided = self._decide(session, place, batch, stuck, already, before, now, is_behind=is_behind)
        if decided is None:
            return Ticked(len(batch.event_ids), unread=batch.unread)
        publish_runs(self.instance, batch.ends, self.names)
        are_more = batch.is_full and not is_behind
        return Ticked(len(batch.event_ids), *decided, unread=batch.unread, are_more=are_more)

    def _decide(
        self, session: Session, place: Place, batch: Batch, stuck: Sequence[Observation], already: Collection[int],
        before: Watch | None, now: datetime, *, is_behind: bool,
    ) -> tuple[int, int] | None:  # fmt: skip
        """Everything a tick writes before it sends; None where a second alerter that came first leaves nothing to do."""
        if session.watch() != before or session.seen(_after(before)) != already:
            return None
        if place.newest is not None:
            session.forget_place(place.newest)
        lag_s = (now - batch.newest_at).total_seconds() if is_behind and batch.newest_at else 0.0
        labels = sorted({label for one in batch.observations for label in one.labels})
        span = (labels[0], labels[-1]) if labels else ("", "")
        ledger = session.ledger(now, {one.subject.tenant for one in batch.observations}, span)
        progress = Progress(ledger, now)
        progress.take(batch.observations)
        if self.misconfigured:
            progress.hold([self._unreadable()], frozenset({MISCONFIGURED}))
        else:
            passed = _passed_over(batch.unread, ledger, now)
            lasting = LASTING - {BEHIND} if batch.is_full and not is_behind else LASTING
            progress.hold([*stuck, *passed, *self._own_troubles(session, lag_s)], lasting)
        ledger.snoozes += [Snooze(now + timedelta(days=1), tenant=tenant) for tenant in self._silent(ledger)]
        waiting = [s.cause for s in progress.ledger.incidents if s.dataset == BACKFILL]
        found = due(progress, unfinished_backfills(self.instance, waiting))
        notices = compose(found, self.names, self.ui_url)
        enqueued = sum(enqueue(session, n, to, now) for notice in notices for n, to in address(notice, self.targets))
        session.save(progress.touched.values(), progress.verdicts, now)
        session.mark_seen(batch.event_ids, now, batch.cursor - OVERLAP)
        session.beat(Watch(batch.cursor, now, lag_s, place.store))
        if before is None or before.beat_at.date() != now.date():
            session.prune(now)
            prune_outbox(session, now)
        return len(notices), enqueued

    def _silent(self, ledger: Ledger) -> set[str]:
        """Return the paused tenants, and those that left tenants.toml: nothing judges these again, so nothing would ever end.

        While the file cannot be read these are all: whom a message is for is not known.
        """
        if self.misconfigured:
            return {subject.tenant for subject in ledger.incidents} - {""}
        left = {subject.tenant for subject in ledger.incidents} - {"", *self.names} if self.names else ()
        return {*self.paused, *left}

    def _own_troubles(self, session: Session, lag_s: float) -> list[Observation]:
        """Return what is wrong with the alerter itself."""
        known = {target.id: target for target in self.targets}
        found = [
            Observation(
                Subject(known[one].tenant, one, UNREACHABLE), "critical", (), 0,
                Facts(f"{count} messages parked", "", (), clean(f"{known[one].label}: {error}")),
            )
            for one, (count, error) in parked_targets(session).items() if one in known
        ]  # fmt: skip
        if lag_s > LAGS_AFTER.total_seconds():
            facts = Facts(f"{lag_s / 60:.0f} min behind", f"at most {LAGS_AFTER.total_seconds() / 60:.0f} min")
            found.append(Observation(Subject("", "alerts", BEHIND), "warning", (), 0, facts))
        return found

    def _unreadable(self) -> Observation:
        facts = Facts("cannot be read", "", (), clean(self.misconfigured, NOTE_MOST))
        return Observation(Subject("", "tenants.toml", MISCONFIGURED), "critical", (), 0, facts)


def _after(before: Watch | None) -> int:
    """Return the event from which on those that were taken in are remembered."""
    return max((before.cursor if before else 0) - OVERLAP, -1)


def _passed_over(unread: Sequence[str], ledger: Ledger, now: datetime) -> list[Observation]:
    """Return that events were passed over: now, or within the last day."""
    subject = Subject("", "alerts", UNREAD)
    if unread:
        return [Observation(subject, "warning", (), 0, Facts(counted(len(unread), "event"), "none", note=unread[0]))]
    known = ledger.incidents.get(subject)
    lasts = known is not None and now - known.opened_at < UNREAD_FOR
    return [Observation(subject, "warning", (), 0, known.facts)] if known and lasts else []


def _publish(ticked: Ticked) -> None:
    metrics.count(metrics.ALERT_TICKS, 1)
    metrics.count(metrics.ALERT_NOTICES, ticked.notices)
    metrics.count(metrics.ALERT_MESSAGES, ticked.sent.delivered, result="delivered")
    metrics.count(metrics.ALERT_MESSAGES, ticked.sent.failed, result="failed")


def open_alerter(instance: dg.DagsterInstance, platform: Platform) -> tuple[Alerter, list[str]]:
    """Return the alerter of the installation, and what is wrong with its configured targets.

    A tenants.toml that cannot be read starts no run of any tenant, so just that is told, to the installation's own targets; all
    else waits until it can be read.
    Raises: ConfigurationError, StateError: the environment or the state database cannot be used.
    """
    settings, wrong = platform.settings(), ""
    try:
        tenants = platform.tenants()
    except ConfigurationError as error:
        tenants, wrong = {}, str(error)
    targets, complaints = configured_targets(settings, tenants.values())
    store = AlertStore(open_state(settings.state_url))
    names = {tenant.id: tenant.name for tenant in tenants.values()}
    paused = frozenset(tenant.id for tenant in tenants.values() if tenant.paused)
    alerter = Alerter(instance, store, targets, names, settings.ui_url, paused=paused, misconfigured=wrong)
    return alerter, [*complaints, *filter(None, [wrong])]


def build_alert_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Return the sensor that ticks."""

    @dg.sensor(
        minimum_interval_seconds=TICK_SECONDS,
        default_status=status,
        description="Tells people what is wrong with the data, once, and when it is over.",
    )
    def alerts(context: dg.SensorEvaluationContext, platform: Platform, clock: Clock) -> dg.SkipReason:
        """Tell people what is wrong with the data, once, and when it is over. Starts no runs."""
        alerter, complaints = open_alerter(context.instance, platform)
        for complaint in complaints:
            context.log.error(complaint)
        ticked = alerter.tick(clock.now())
        for passed_over in ticked.unread:
            context.log.error(f"passed over: {passed_over}")
        return dg.SkipReason(str(ticked))

    return alerts
