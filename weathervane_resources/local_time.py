"""The days of a place's clock, by one database of time zones: Python's (`zoneinfo`: the system's, else the package tzdata).

polars brings a database of its own, which is as old as its release. Where a country changed its rules since, an order would be asked for
on one day and kept on another, so no instant is brought to a local day by `dt.convert_time_zone`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

_AROUND = (-1, 0, 1, 2)
"""The days that may hold an instant of a UTC day, by any clock on earth, and the one after."""


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant (UTC) at which the local `day` begins. Raises: OverflowError: beyond the calendar."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def local_date(instants: str | pl.Expr, timezone: str) -> pl.Expr:
    """Return the local day of each instant (a datetime in UTC), null where it is null.

    `timezone`: an IANA name. An instant is of the last day that has begun (`day_start`), up to the calendar's last one.
    """
    expr = pl.col(instants) if isinstance(instants, str) else instants
    return expr.map_batches(lambda series: _local_dates(series, ZoneInfo(timezone)), pl.Date, is_elementwise=True)


def _local_dates(instants: pl.Series, zone: ZoneInfo) -> pl.Series:
    """Return the local days of instants, by the starts of the days that may hold them."""
    micros = instants.dt.epoch("us")
    starts = _starts(instants.dt.date().drop_nulls().unique(), zone)
    place = starts["start"].search_sorted(micros, side="right").cast(pl.Int64) - 1
    held = pl.Series(place).set(micros.is_null() | (place < 0), None)
    return starts["day"].gather(held).alias(instants.name)


def _starts(utc_days: pl.Series, zone: ZoneInfo) -> pl.DataFrame:
    """Return the days around those of UTC, each with the microseconds since 1970 at which it begins, in order."""
    near = {day.toordinal() + n for day in utc_days for n in _AROUND}
    days = [date.fromordinal(n) for n in sorted(near) if 1 < n <= date.max.toordinal()]
    begun = [(day_start(day, zone) - _EPOCH) // _MICROSECOND for day in days]
    return pl.DataFrame({"day": days, "start": begun}, {"day": pl.Date, "start": pl.Int64})


_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
