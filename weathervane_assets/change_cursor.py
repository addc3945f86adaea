"""How far a change sensor has read: pure, so that a crash at any point can be played through.

Belongs here: the cursor, what is new on a page, and the days that changes touch. Does not belong here: asking a vendor
and requesting runs (`changes.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from weathervane_assets.quarantine import Page

Row = TypeVar("Row")
VERSION = 1
OVERLAP = timedelta(minutes=10)
"""Read again at every tick: our clock may be so far ahead of the vendor's, whose changes up to ours are still to come."""
LAG = timedelta(minutes=1)
"""A change shows at the vendor so long after the time it carries; of older times, not more is read again."""
MOST_NEW_PAGES = 20
"""Pages with something new that a tick reads of one list; the rest is the next tick's."""
LONGEST_SPAN = timedelta(days=1)
"""Of a sensor that was off for weeks, a tick reads this much."""
WAITING = timedelta(days=1)
"""A run that was asked for before a back-up may have waited that long behind others, and is not in the copy of the lake."""


class BadCursor(Exception):
    """The stored cursor is not one of ours."""


@dataclass(frozen=True)
class Change:
    """A row that changed, when, and the tenant-local days that it stands or stood on."""

    key: str
    updated_at: datetime
    days: frozenset[date]


@dataclass(frozen=True)
class Position:
    """How far one list has been read, and what of the overlap before that was seen: key -> `updated_at`.

    What is before the overlap will not be read again; where a tick stopped early, some of the overlap has yet to be read.
    """

    until: datetime
    seen: Mapping[str, datetime] = field(default_factory=dict)
    left_at: datetime | None = None
    """Where the reading was when it was last set back: what was asked for until then is asked for under another key."""

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the half-open span to read next."""
        return self.until - OVERLAP, max(self.until, min(now, self.until + LONGEST_SPAN))

    def advanced(self, changes: Iterable[Change], until: datetime) -> Position:
        """Return the position after `changes` were read."""
        known = {**self.seen, **{change.key: change.updated_at for change in changes}}
        return replace(self, until=until, seen={key: at for key, at in known.items() if at >= until - OVERLAP})

    def not_after(self, noted: datetime | None, earliest: datetime) -> Position:
        """Return the position, or where `noted` is older one before that, but not before `earliest`.

        `noted`: what the state database says, whose copy may have been put back with the lake's. What was seen counts no more:
        the runs that it was asked for may be undone.
        """
        if noted is None or noted >= self.until:
            return self
        return Position(min(self.until, max(earliest, noted - WAITING)), left_at=self.until)


Positions = Mapping[str, Mapping[str, Position]]
"""By tenant and list."""


def not_after(positions: Positions, noted: Mapping[tuple[str, str], datetime], earliest: datetime) -> Positions:
    """Return each position, or where what is noted of its tenant and list is older one before that (`Position.not_after`)."""
    return {
        tenant: {name: position.not_after(noted.get((tenant, name)), earliest) for name, position in lists.items()}
        for tenant, lists in positions.items()
    }


async def read_changes(
    pages: AsyncGenerator[Page[Row]],
    as_change: Callable[[Row], Change | None],
    start: Position,
    until: datetime,
    is_late: Callable[[], bool] = lambda: False,
    lag: timedelta = LAG,
) -> tuple[list[Change], int, Position]:
    """Read pages sorted by `updated_at`; return what is new, how many rows could not be read, and the new position.

    `lag`: how far behind a later one a change may be listed.

    Rows seen at an earlier tick are passed over. After `MOST_NEW_PAGES` pages with something new, or one when it `is_late`, it
    stops there; pages without anything new do not count, so that many changes of one second cannot hold it up for ever. When it
    `is_late`, such a page is enough too where the next tick begins later for it: an overlap that no tick has time for would.
    """
    new: list[Change] = []
    unreadable = new_pages = 0
    async with aclosing(pages):
        async for page in pages:
            changes = [as_change(row) for row in page.rows]
            fresh = [change for change in changes if change and start.seen.get(change.key) != change.updated_at]
            unreadable += len(page.bad) + changes.count(None)
            new += fresh
            new_pages += bool(fresh)
            reached = min(until, _latest(changes, start.until - OVERLAP) - lag + OVERLAP)
            is_enough = new_pages >= MOST_NEW_PAGES or is_late()
            if is_enough and (fresh or reached > start.until):
                until = reached
                break
    return new, unreadable, start.advanced(new, max(start.until, until))


def _latest(changes: Iterable[Change | None], otherwise: datetime) -> datetime:
    return max((change.updated_at for change in changes if change), default=otherwise)


def ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Return the days as contiguous ranges, in order."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def digest(changes: Iterable[Change], first: date, last: date) -> str:
    """Return what tells these changes of these days from any others: the same changes, read again, give the same."""
    mine = sorted(f"{c.key} {c.updated_at.isoformat()}" for c in changes if any(first <= d <= last for d in c.days))
    return hashlib.sha256("\n".join(mine).encode()).hexdigest()[:16]


def write_cursor(positions: Positions) -> str:
    """Return the cursor's text."""
    tenants = {
        tenant: {name: _plain(position) for name, position in lists.items()} for tenant, lists in positions.items()
    }
    return json.dumps({"version": VERSION, "tenants": tenants}, separators=(",", ":"))


def _plain(position: Position) -> dict[str, Any]:
    seen = {key: at.isoformat() for key, at in position.seen.items()}
    left = {"left_at": position.left_at.isoformat()} if position.left_at else {}
    return {"until": position.until.isoformat(), "seen": seen, **left}


def read_cursor(text: str | None) -> Positions:
    """Return the positions; none where there is no cursor yet.

    Raises: BadCursor: it is of another version, or not a cursor. Starting anew in silence would read a year again.
    """
    if not text:
        return {}
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise BadCursor(f"the cursor is of version {document['version']}, this is version {VERSION}; {_CURE}")
        return {
            tenant: {name: _position(plain) for name, plain in lists.items()}
            for tenant, lists in document["tenants"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCursor(f"the cursor cannot be read; {_CURE}") from error


_CURE = "reset it in the UI; the sensor then looks for what changed since the days were last read"


def _position(plain: Mapping[str, Any]) -> Position:
    seen = {key: datetime.fromisoformat(at) for key, at in plain["seen"].items()}
    left_at = datetime.fromisoformat(plain["left_at"]) if "left_at" in plain else None
    return Position(datetime.fromisoformat(plain["until"]), seen, left_at)


def touched(changes: Sequence[Change], first: date, last: date) -> list[tuple[date, date]]:
    """Return the ranges of days that changes touch, within first..last."""
    return ranges(day for change in changes for day in change.days if first <= day <= last)
