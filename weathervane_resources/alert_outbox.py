"""Messages on their way: one row for each message and target, tried until it arrives or is parked.

Belongs here: enqueueing in the tick's transaction, sending what is due, backing off. Does not belong here: the text.

A row is marked as sent after the receiver took it: a crash in between sends it again, under the same key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from weathervane_resources.alert_records import Notice
from weathervane_resources.alert_store import Session
from weathervane_resources.notifier import Target, deliver
from weathervane_resources.state import State
from weathervane_resources.state_tables import alert_outbox as outbox

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
MOST_TRIES = 12
"""About five hours; then the message is parked."""
MOST_SENDS, MOST_SECONDS = 50, 20.0
"""A tick sends no more than this and begins no send after so long: Dagster ends a sensor after a minute."""
KEPT = timedelta(days=30)
Send = Callable[[Target, Mapping[str, Any]], str]


@dataclass(frozen=True)
class Sent:
    """What a tick's sending came to."""

    delivered: int = 0
    failed: int = 0


def enqueue(session: Session, notice: Notice, targets: Sequence[Target], now: datetime) -> int:
    """Write one row for each target; one that is there already stays as it is. Return how many are new."""
    keys = {f"{notice.key}-{target.id[:6]}": target for target in targets}
    query = sa.select(outbox.c.key).where(outbox.c.key.in_(sorted(keys)))
    known = set(session.connection.execute(query).scalars())
    rows = [
        {
            "key": key, "target": target.id, "tenant": notice.tenant, "kind": notice.kind, "severity": notice.severity,
            "title": notice.title, "body": notice.body, "created_at": now, "due_at": now,
        }
        for key, target in keys.items() if key not in known
    ]  # fmt: skip
    if rows:
        session.connection.execute(sa.insert(outbox), rows)
    return len(rows)


def send_by_apprise(target: Target, row: Mapping[str, Any]) -> str:
    """Send one row; return what is wrong, or ""."""
    return deliver(target, row["title"], row["body"], key=row["key"], kind=row["kind"], severity=row["severity"])


def send_due(
    state: State, targets: Mapping[str, Target], now: datetime, send: Send = send_by_apprise, *, are_all: bool = True
) -> Sent:
    """Send what is due, each in a moment without a transaction. A target that fails waits for the next tick.

    What is due for none of `targets` is given up, unless these are not all that are configured.
    """
    delivered, failing, begun = 0, set[str](), time.monotonic()
    for row in _due(state, now, None if are_all else targets):
        if time.monotonic() - begun > MOST_SECONDS:
            break
        if row["target"] in failing:
            continue
        target = targets.get(row["target"])
        error = send(target, row) if target else "the target is not configured any more"
        with state.begin(durable=False) as connection:
            if error:
                failing.add(row["target"])
                _put_off(connection, row, error, now, is_last=target is None)
            else:
                delivered += 1
                _note_sent(connection, row, now)
    return Sent(delivered, len(failing))


def _due(state: State, now: datetime, only: Collection[str] | None) -> list[Mapping[str, Any]]:
    """Return what is due, the first of every target before the second of any: a dead one must not starve the others.

    `only`: the targets to look at, if not all; what waits for others takes no place among those that are sent.
    """
    turn = sa.func.row_number().over(partition_by=outbox.c.target, order_by=outbox.c.id).label("turn")
    is_meant = sa.true() if only is None else outbox.c.target.in_(sorted(only))
    mine = sa.select(outbox, turn).where(outbox.c.due_at <= now, is_meant).subquery()
    query = sa.select(mine).order_by(mine.c.turn, mine.c.id).limit(MOST_SENDS)
    with state.begin(durable=False) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _note_sent(connection: sa.Connection, row: Mapping[str, Any], now: datetime) -> None:
    """A target that takes messages again gets those that wait for it at once."""
    mine = outbox.c.id == row["id"]
    connection.execute(
        sa.update(outbox).where(mine).values(sent_at=now, due_at=None, tries=row["tries"] + 1, last_error="")
    )
    waiting = sa.and_(outbox.c.target == row["target"], outbox.c.due_at > now)
    connection.execute(sa.update(outbox).where(waiting).values(due_at=now))


def _put_off(connection: sa.Connection, row: Mapping[str, Any], error: str, now: datetime, *, is_last: bool) -> None:
    tries = row["tries"] + 1
    is_parked = is_last or tries >= MOST_TRIES
    pause = min(FIRST_PAUSE * 2 ** row["tries"], LONGEST_PAUSE)
    values = {"tries": tries, "last_error": error[:300], "due_at": None if is_parked else now + pause}
    mine = outbox.c.id == row["id"]
    connection.execute(sa.update(outbox).where(mine).values(**values, parked_at=now if is_parked else None))


def parked_targets(session: Session) -> dict[str, tuple[int, str]]:
    """Return the targets with parked messages that took none since: how many, and why the last was refused."""
    since = (
        sa.select(sa.func.max(outbox.c.sent_at))
        .where(outbox.c.target == sa.literal_column("p.target"))
        .scalar_subquery()
    )
    p = outbox.alias("p")
    lost = sa.select(p.c.target, p.c.last_error).where(
        p.c.parked_at.is_not(None), sa.or_(since.is_(None), p.c.parked_at >= since)
    ).order_by(p.c.id)  # fmt: skip
    found: dict[str, tuple[int, str]] = {}
    for target, error in session.connection.execute(lost):
        found[target] = (found.get(target, (0, ""))[0] + 1, error)
    return found


@dataclass(frozen=True)
class Waiting:
    """The outbox in figures."""

    waiting: int
    parked: int
    oldest_at: datetime | None


def count_waiting(session: Session) -> Waiting:
    """Return how many messages wait and how many are parked."""
    row = session.connection.execute(sa.select(sa.func.count(outbox.c.due_at), sa.func.count(outbox.c.parked_at))).one()
    oldest = session.connection.execute(
        sa.select(outbox.c.created_at).where(outbox.c.due_at.is_not(None)).order_by(outbox.c.id).limit(1)
    ).scalar()
    return Waiting(row[0], row[1], oldest)


def prune_outbox(session: Session, now: datetime) -> None:
    """Forget what was sent or parked long ago."""
    old = sa.and_(outbox.c.due_at.is_(None), outbox.c.created_at < now - KEPT)
    session.connection.execute(sa.delete(outbox).where(old))
