"""What the ledger says of changes: since when some may have been missed, and which days were read again since.

Belongs here: holding changes and runs against the days that were written. Pure: the ledger's frame comes in. Does not belong here:
asking a vendor (`changes.py`), what runs read now (`change_reading.py`), and which runs failed (`change_repeats.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta

import polars as pl

from weathervane_assets.change_cursor import Change
from weathervane_resources.lake_ledger import IS_OWN

READING = timedelta(hours=2)
"""A ledger says when rows were written. They were read before, by at most this: a vendor's pages, and clocks that differ."""
FARTHEST = timedelta(days=90)
"""So far back a sensor begins at most. It works through a day at each tick, and finds nothing new until it is through."""


def missed_since(ledger: pl.DataFrame, now: datetime) -> datetime:
    """Return since when nobody asked for changes: since the first of the tenant's own rows was read, or now where it has none.

    At most 90 days back: what changed before is a backfill's.

    `ledger`: the rows of one dataset. Every day notes its last write, so the oldest is the day that waits longest.
    """
    oldest = ledger.filter(IS_OWN)["written_at_utc"].min()
    return max(now - FARTHEST, min(now, oldest - READING)) if isinstance(oldest, datetime) else now


def has_earlier(changes: Iterable[Change], ledger: pl.DataFrame) -> bool:
    """Return whether a change is of a day before the tenant's oldest, as `to_be_read` leaves out."""
    oldest = ledger.filter(IS_OWN)["date"].min()
    return isinstance(oldest, date) and any(day < oldest for change in changes for day in change.days)


def to_be_read(changes: Iterable[Change], ledger: pl.DataFrame, under_way: Collection[str] = ()) -> list[Change]:
    """Return the changes without the days that were read after them, and without those before the tenant's oldest day.

    A sensor that begins far back finds mostly days read since; a day that no backfill asked for would stand alone, without
    the orders and normals before it. `ledger`: the rows of one dataset; where it has none of the tenant's own, all remain.
    `under_way`: the days that a run reads now. It may have read them before the change, and they are not in the ledger yet.
    """
    written = dict(ledger.filter(IS_OWN).select("date", "written_at_utc").iter_rows())
    oldest = min(written, default=date.min)

    def waits(day: date, change: Change) -> bool:
        is_asked_for = day >= oldest or day.isoformat() in under_way
        return is_asked_for and (day not in written or written[day] - READING <= change.updated_at)

    left = (replace(one, days=frozenset(day for day in one.days if waits(day, one))) for one in changes)
    return [one for one in left if one.days]


def are_written_since(ledger: pl.DataFrame, datasets: Collection[str], days: Collection[date], at: datetime) -> bool:
    """Return whether every one of `datasets` was written later than `at` for every one of `days`."""
    newer = ledger.filter(
        pl.col("dataset").is_in(list(datasets)), pl.col("date").is_in(list(days)), pl.col("written_at_utc") > at
    )
    return newer.select("dataset", "date").n_unique() == len(set(datasets)) * len(set(days))
