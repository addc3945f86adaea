"""Days on which a tenant's silence means nothing: weekdays, days of each year, and single dates.

Belongs here: reading them and saying whether a day is one. Does not belong here: what a check makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WANTED = 'a weekday like "sunday", a day of each year like "12-25", or a date like 2026-11-26'
LEAP_YEAR = 2024


@dataclass(frozen=True)
class QuietDays:
    """A tenant's quiet days: weekdays (Monday is 0), (month, day) of each year, and dates."""

    weekdays: frozenset[int] = frozenset()
    yearly: frozenset[tuple[int, int]] = frozenset()
    dates: frozenset[date] = frozenset()

    def __contains__(self, day: date) -> bool:
        return day.weekday() in self.weekdays or self.is_holiday(day)

    def is_holiday(self, day: date) -> bool:
        """Return whether the day is quiet by its date, not only by its weekday."""
        return (day.month, day.day) in self.yearly or day in self.dates


def read_quiet_days(entries: Iterable[object]) -> QuietDays:
    """Return the quiet days of a list of tenants.toml.

    Raises: ValueError: an entry is none of the three kinds; the message names it.
    """
    weekdays: set[int] = set()
    yearly: set[tuple[int, int]] = set()
    dates: set[date] = set()
    for entry in entries:
        if isinstance(entry, date) and not isinstance(entry, datetime):
            dates.add(entry)
        elif isinstance(entry, str) and entry.lower() in WEEKDAYS:
            weekdays.add(WEEKDAYS.index(entry.lower()))
        else:
            _add_text(entry, yearly, dates)
    return QuietDays(frozenset(weekdays), frozenset(yearly), frozenset(dates))


def _add_text(entry: object, yearly: set[tuple[int, int]], dates: set[date]) -> None:
    """Add `MM-DD` or `YYYY-MM-DD` to its set."""
    text = entry if isinstance(entry, str) else ""
    is_yearly = len(text) == len("MM-DD")
    try:
        day = date.fromisoformat(f"{LEAP_YEAR}-{text}" if is_yearly else text)
    except ValueError:
        raise ValueError(f"holds {entry!r}; each must be {WANTED}") from None
    if is_yearly:
        yearly.add((day.month, day.day))
    else:
        dates.add(day)
