"""How many orders have a cell."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import polars as pl
import pytest

from weathervane_checks.findings import Finding
from weathervane_checks.rules.geocoding import judge_geocoding
from weathervane_checks.thresholds import Thresholds

DAY = date(2025, 6, 20)
LIMITS = Thresholds()


def orders(found: int, of: int, day: date = DAY) -> pl.DataFrame:
    rows = [(day, f"{day:%d}-{n:03}", "u33d8" if n < found else None) for n in range(of)]
    return pl.DataFrame(rows, schema={"date": pl.Date, "order_id": pl.String, "ship_geohash": pl.String}, orient="row")


def judge(frame: pl.DataFrame, limits: Thresholds = LIMITS) -> Finding:
    (finding,) = judge_geocoding(frame, [DAY], limits)
    return finding


@pytest.mark.parametrize(
    ("found", "severity", "threshold"),
    [
        (100, "ok", 0.88),
        (88, "ok", 0.88),
        (87, "warning", 0.88),
        (75, "warning", 0.88),
        (74, "critical", 0.75),
        (0, "critical", 0.75),
    ],
)
def test_the_share_of_orders_with_a_cell_is_held_against_its_limits(
    found: int, severity: str, threshold: float
) -> None:
    """A postal table was missing for a month: a third of the revenue had no weather, and every light was green."""
    finding = judge(orders(found, 100))
    assert (finding.severity, finding.observed, finding.threshold) == (severity, found / 100, threshold)
    assert finding.alerts == (() if severity == "ok" else (f"geocoded_ratio_{severity}",))
    assert finding.extra == {"orders": 100, "geocoded": found}


def test_one_bad_address_of_few_is_chance() -> None:
    """A shop with five orders a day was in alarm every other day."""
    assert judge(orders(4, 5)).severity == "ok"
    assert judge(orders(3, 5)).severity == "ok"
    assert judge(orders(1, 2)).severity == "ok"
    assert judge(orders(5, 10)).severity == "warning"


@pytest.mark.parametrize(
    ("found", "of", "severity"),
    [
        (0, 19, "critical"), (9, 19, "critical"), (10, 19, "warning"), (3, 10, "critical"), (4, 10, "warning"),
        (0, 4, "critical"), (1, 4, "warning"), (2, 4, "ok"), (0, 3, "warning"), (0, 2, "ok"), (0, 1, "ok"), (14, 20, "critical"),
        (17, 20, "warning"), (18, 20, "ok"),
    ],
)  # fmt: skip
def test_few_orders_are_critical_where_chance_does_not_explain_them(found: int, of: int, severity: str) -> None:
    """The postal table of a shop of nineteen orders a day was gone, none of them had a cell, and that was a warning."""
    assert judge(orders(found, of)).severity == severity


def test_few_orders_without_a_history_warn_only_beyond_chance() -> None:
    """The first week of a shop of eight orders a day, of which nine in ten find a place, warned on one day of five."""
    days = [DAY + timedelta(days=n) for n in range(6)]
    rng = Random(11)
    told = []
    for _ in range(50):
        frame = pl.concat([orders(sum(rng.random() < 0.9 for _ in range(8)), 8, day) for day in days])
        told += [f.severity for f in judge_geocoding(frame, days, LIMITS)]
    assert told.count("ok") >= 0.98 * len(told)
    assert "critical" not in told


def test_a_small_shop_at_the_critical_limit_is_critical_on_one_day_of_a_hundred_at_most() -> None:
    """What is as bad as ever warns each day; critical wakes somebody."""
    days = [DAY + timedelta(days=n) for n in range(400)]
    for seed in range(5):
        rng = Random(seed)
        frame = pl.concat([orders(sum(rng.random() < 0.75 for _ in range(12)), 12, day) for day in days])
        found = [f.severity for f in judge_geocoding(frame, days, LIMITS)]
        assert found.count("critical") <= 8
        assert found.count("warning") >= 100


def test_a_day_without_orders_has_no_ratio() -> None:
    """0 of 0 was 1.0: perfectly geocoded."""
    finding = judge(orders(0, 0))
    assert (finding.severity, finding.observed) == ("ok", "no orders")


def test_each_day_is_judged_by_itself() -> None:
    """Averaged over the window, one broken day hides among thirty good ones."""
    days = [DAY + timedelta(days=n) for n in range(3)]
    frame = pl.concat([orders(100, 100, days[0]), orders(10, 100, days[1]), orders(100, 100, days[2])])
    assert [f.severity for f in judge_geocoding(frame, days, LIMITS)] == ["ok", "critical", "ok"]


def test_the_sample_names_orders_and_nothing_else() -> None:
    """Addresses in an alert: customer data in a chat room."""
    finding = judge(orders(0, 100))
    assert finding.sample_keys == ("20-000", "20-001", "20-002", "20-003", "20-004")
    assert judge(orders(100, 100)).sample_keys == ()


def test_a_tenants_own_limits_count() -> None:
    """A shop that sells to islands without postal codes sets its own."""
    assert judge(orders(80, 100), LIMITS.for_tenant({"geocoded_ratio_warning": 0.7})).severity == "ok"
