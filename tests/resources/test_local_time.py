"""The local day of an instant, by Python's time zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from weathervane_resources.local_time import local_date
from weathervane_resources.tenants import Tenant

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def frame(instants: list[datetime | None]) -> pl.DataFrame:
    return pl.DataFrame({"at": instants}, {"at": pl.Datetime("us", "UTC")})


@pytest.mark.parametrize(
    "zone", ["UTC", "America/New_York", "America/Havana", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Niue"]
)
def test_the_local_day_of_each_hour_of_two_years_is_pythons(zone: str) -> None:
    hours: list[datetime | None] = [NOON + timedelta(minutes=47 * n) for n in range(24 * 730)]
    found = frame([*hours, None]).lazy().select(day=local_date("at", zone)).collect()["day"].to_list()
    assert found == [at.astimezone(ZoneInfo(zone)).date() for at in hours if at] + [None]


def test_an_instant_at_the_edge_of_a_day_is_of_the_day_that_begins() -> None:
    tenant = Tenant(id="acme", name="Acme", timezone="America/New_York", currency="USD", start_date=NOON.date())
    start = tenant.day_start(date(2026, 11, 1))
    before = start - timedelta(microseconds=1)
    assert frame([before, start]).select(local_date("at", tenant.timezone))["at"].to_list() == [
        date(2026, 10, 31),
        date(2026, 11, 1),
    ]


def test_the_ends_of_the_calendar_are_days_like_others() -> None:
    ends = frame([datetime(1, 1, 2, 20, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)])
    assert ends.select(local_date("at", "Asia/Tokyo"))["at"].to_list() == [date(1, 1, 3), date(9999, 12, 31)]
    assert frame([]).select(local_date("at", "Asia/Tokyo")).schema == {"at": pl.Date}
