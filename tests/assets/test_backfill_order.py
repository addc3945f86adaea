"""Backfills of days that lie before others which are there already, and backfills that stop half-way."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.assets.conftest import Installation
from weathervane_assets.backfill import Outcome, Step, plan_later_days, plan_steps, run_backfill
from weathervane_assets.graph import NODES
from weathervane_resources.clock import Clock
from weathervane_resources.partition_keys import split_key

FIRST, LATER, LAST = date(2026, 10, 1), date(2026, 10, 20), date(2026, 10, 22)
NOW = "2026-11-20T15:00:00+00:00"
MATRIX = ("orders", "climatology", "weather_daily", "features")


def backfill(here: Installation, first: date, last: date) -> Outcome:
    """Bring in days as `weathervane backfill` does."""
    wanted = "acme", first, last, MATRIX
    steps = [*plan_steps(*wanted), *plan_later_days(*wanted, here.lake.ledger("acme"))]
    return run_backfill(here.instance, "acme", steps, resource_overrides={"clock": Clock(fixed=NOW)})


def test_days_before_those_that_are_there_make_their_matrix_again(installation: Installation) -> None:
    """October came first and then the year before it: October's matrix knew no place that was not shipped to in October."""
    backfill(installation, LATER, LAST)
    alone = installation.rows("acme", "features")
    outcome = backfill(installation, FIRST, LATER - timedelta(days=1))
    assert outcome.is_good
    after = installation.rows("acme", "features")
    later = after.filter(after["date"] >= LATER)
    assert later.height > alone.height
    assert not later["is_weather_missing"].any()
    installation.backfill("acme", FIRST, LAST, "weather_daily", "features", now=NOW)
    again, values = installation.rows("acme", "features"), [name for name in after.columns if name != "as_of_utc"]
    assert again.select(values).sort("date", "geohash").equals(after.select(values).sort("date", "geohash"))


def spans(steps: list[Step]) -> list[tuple[date, date]]:
    return [(split_key(s.first_key)[1], split_key(s.last_key)[1]) for s in steps if "features" in s.assets]


def test_only_days_that_were_made_within_a_year_after_are_made_again(installation: Installation) -> None:
    """A gap between two backfills is not filled with days that nobody read, and a day that is read again costs itself."""
    for day in (LATER, LAST):
        backfill(installation, day, day)
    ledger = installation.lake.ledger("acme")
    before = LATER - timedelta(days=1)
    assert spans(plan_later_days("acme", FIRST, before, tuple(NODES), ledger)) == [(LATER, LATER), (LAST, LAST)]
    old = LAST - timedelta(days=364)
    assert spans(plan_later_days("acme", old, old, tuple(NODES), ledger)) == [(LATER, LATER), (LAST, LAST)]
    assert spans(plan_later_days("acme", old - timedelta(days=1), old - timedelta(days=1), tuple(NODES), ledger)) == [
        (LATER, LATER)
    ]
    years = [
        step for step in plan_later_days("acme", old, old, tuple(NODES), ledger) if step.assets == ("climatology",)
    ]
    assert [split_key(step.first_key)[1].year for step in years] == [2026]
    assert plan_later_days("acme", LATER, LATER, tuple(NODES), ledger) == []
    assert plan_later_days("acme", FIRST, before, ("orders",), ledger) == []
    assert plan_later_days("acme", FIRST, before, tuple(NODES), ledger.clear()) == []


@pytest.mark.slow
def test_a_backfill_that_broke_off_is_finished_by_the_same_command(installation: Installation) -> None:
    """Its orders had come, so the second time all days had been read, and the later days' matrix was never made again."""
    wanted = "acme", FIRST, LATER - timedelta(days=1), MATRIX
    backfill(installation, LATER, LAST)
    installation.backfill(*wanted[:3], "orders", now=NOW)
    assert spans(plan_later_days(*wanted, installation.lake.ledger("acme"))) == [(LATER, LAST)]
    assert backfill(installation, *wanted[1:3]).is_good
    assert plan_later_days(*wanted, installation.lake.ledger("acme")) == []


def test_what_a_failed_run_leaves_undone_is_said(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The normals had to wait for tomorrow's quota and went on by themselves; the matrix that was to follow never began."""
    monkeypatch.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
    outcome = backfill(installation, LATER, LATER)
    assert not outcome.is_good
    assert outcome.failures[-1] == (
        "not started: climatology, weather_daily, features; run the same command again when that is mended"
    )


def test_a_report_that_cannot_be_made_does_not_hide_what_came_of_the_runs(installation: Installation) -> None:
    """The days were in the lake, and the command ended in a traceback of the report after them."""
    installation.lake.files.write("_reports/acme/dq_monitoring.json", "{")
    outcome = installation.backfill("acme", LAST, LAST, "promos")
    assert (outcome.is_good, outcome.partitions["promos"]) == (True, 1)
    (warning,) = [said for said in outcome.warnings if "dq_monitoring.json" in said]
    assert "move it away" in warning
