"""Nights that were missed at the end of a day's window: what the vendor restated since is read all the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
import pytest

from tests.assets.conftest import Installation
from tests.assets.ticks import of_acme, spans
from weathervane_assets.tables import CONTRACTS, shape_of

ADS = ("meta_ads", "google_ads")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""07:00 in New York: the ads and the promos of the night are due."""
ADS_NIGHT = ("2026-10-18|acme", "2026-11-19|acme")
"""The 33 days that a night reads by itself."""


def read(
    installation: Installation, days: Sequence[date], on: date, tables: Sequence[str] = ADS, source: str = "live"
) -> None:
    """Let the ledger say that days were read at 04:30 of a day in New York."""
    for name in tables:
        shape = shape_of(CONTRACTS[name])
        installation.lake.replace(
            "acme", name, shape.schema.to_frame(), shape=shape, days=days, source=source, run_id="r",
            now=datetime.combine(on, time(8, 30), UTC),
        )  # fmt: skip


def nights(installation: Installation, last: date, tables: Sequence[str] = ADS, age: int = 33) -> None:
    """Let there have been a night each day up to one on `last`: older days were read for the last time at `age`."""
    window = [last - timedelta(days=n) for n in range(1, age + 1)]
    read(installation, window, last, tables)
    for night in (last - timedelta(days=n) for n in range(1, 4)):
        read(installation, [night - timedelta(days=age)], night, tables)


def test_days_that_fell_out_of_the_window_while_nothing_ran_are_read_once_more(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """The daemon was off for three weeks: days of October kept a quarter of their conversions for good, and no check warned."""
    nights(installation, date(2026, 10, 28))
    found = of_acme(daemon, "restate_ads", NOW)
    assert spans(found) == [("2026-09-26|acme", "2026-10-17|acme"), ADS_NIGHT]
    assert len({request.run_key for request in found}) == 2
    read(installation, [date(2026, 9, 26) + timedelta(days=n) for n in range(22)], NOW.date())
    assert spans(of_acme(daemon, "restate_ads", NOW)) == [ADS_NIGHT]


def test_where_no_night_was_missed_nothing_is_read_twice(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """Each night a day becomes too old to be read again, and was read at that age."""
    nights(installation, date(2026, 11, 20))
    assert spans(of_acme(daemon, "restate_ads", NOW)) == [ADS_NIGHT]


def test_one_missed_night_of_one_platform_is_enough(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """Google was down on the night that was its last for October 17."""
    nights(installation, date(2026, 11, 20))
    read(installation, [date(2026, 10, 17)], date(2026, 11, 18), ["google_ads"])
    assert spans(of_acme(daemon, "restate_ads", NOW)) == [("2026-10-17|acme", "2026-10-17|acme"), ADS_NIGHT]


def test_a_history_that_was_brought_in_late_is_final(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """A backfill of a year was asked for again, whole, in the first night after it."""
    read(installation, [date(2026, 11, 18) - timedelta(days=n) for n in range(365)], date(2026, 11, 19))
    assert spans(of_acme(daemon, "restate_ads", NOW)) == [ADS_NIGHT]


@pytest.mark.parametrize("source", ["not_configured", "not_kept"])
def test_what_no_vendor_has_is_not_asked_for_each_night(
    installation: Installation, daemon: dg.DagsterInstance, source: str
) -> None:
    """Days without credentials were asked for in every night to come."""
    read(installation, [date(2026, 10, 1)], date(2026, 10, 5), source=source)
    assert spans(of_acme(daemon, "restate_ads", NOW)) == [ADS_NIGHT]


def test_a_source_that_was_given_up_is_left_alone(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """Meta's account was closed: what was read before stays as it is, however early it was read."""
    read(installation, [date(2026, 10, 1)], date(2026, 10, 5))
    read(installation, [date(2026, 11, 19)], date(2026, 11, 20), source="not_configured")
    assert spans(of_acme(daemon, "restate_ads", NOW)) == [ADS_NIGHT]


def test_no_day_before_the_installations_first(
    installation: Installation, daemon: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WEATHERVANE_START_DATE was moved forward: the days before it have no partition, and the whole tick failed."""
    nights(installation, date(2026, 10, 28))
    monkeypatch.setenv("WEATHERVANE_START_DATE", "2026-10-10")
    assert spans(of_acme(daemon, "restate_ads", NOW)) == [("2026-10-10|acme", "2026-10-17|acme"), ADS_NIGHT]
    monkeypatch.setenv("WEATHERVANE_START_DATE", "2026-11-01")
    assert spans(of_acme(daemon, "restate_ads", NOW)) == [("2026-11-01|acme", "2026-11-19|acme")]


def test_campaigns_that_were_read_before_they_were_final_are_read_too(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """A campaign that was deleted while nothing ran stayed in the matrix."""
    nights(installation, date(2026, 10, 28), ["promos"], age=14)
    assert spans(of_acme(daemon, "restate_promos", NOW)) == [
        ("2026-10-15|acme", "2026-10-27|acme"),
        ("2026-11-06|acme", "2026-11-19|acme"),
    ]
