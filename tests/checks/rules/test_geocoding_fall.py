"""A ratio of geocoded orders that falls below what the shop itself usually has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from math import comb
from random import Random

import polars as pl
import pytest

from weathervane_checks.findings import Finding
from weathervane_checks.rules.geocoding import chance_of_at_least, days_needed, judge_geocoding
from weathervane_checks.thresholds import Thresholds

DAY = date(2025, 6, 20)
LIMITS = Thresholds()


def orders(by_age: Mapping[int, tuple[int, int]]) -> pl.DataFrame:
    """Return orders by days before DAY: (found, of)."""
    rows = [
        (DAY - timedelta(days=age), f"{age}-{n}", "u33d8" if n < found else None)
        for age, (found, of) in by_age.items()
        for n in range(of)
    ]
    return pl.DataFrame(rows, schema={"date": pl.Date, "order_id": pl.String, "ship_geohash": pl.String}, orient="row")


def judge(today: tuple[int, int], before: tuple[int, int] = (196, 200), days: int = 30) -> Finding:
    (finding,) = judge_geocoding(orders({**dict.fromkeys(range(1, days + 1), before), 0: today}), [DAY], LIMITS)
    return finding


def test_a_fall_within_the_fixed_limits_is_named() -> None:
    """From 0.98 to 0.90: no limit was touched, and a postal table had gone."""
    found = judge((180, 200))
    assert (found.severity, found.alerts) == ("warning", ("geocoded_ratio_drop",))
    assert found.threshold == pytest.approx(0.95)
    assert found.note == "180 of 200 orders have a cell; usually 0.980 (28 days, 5600 orders)"
    assert len(found.sample_keys) == 5
    assert judge((191, 200)).severity == "ok"


def test_what_chance_does_to_a_small_shop_is_no_fall() -> None:
    """Five orders a day, one bad address a week: an alarm a week."""
    assert judge((9, 10), before=(10, 10)).severity == "ok"
    rng = Random(7)
    days = {age: (sum(rng.random() < 0.93 for _ in range(8)), 8) for age in range(400)}
    wanted = [DAY - timedelta(days=age) for age in range(300)]
    fallen = [f for f in judge_geocoding(orders(days), wanted, LIMITS) if "geocoded_ratio_drop" in f.alerts]
    assert len(fallen) <= 1


QUARTER = 90


def warned(ratios: list[float], of: int, seed: int) -> list[bool]:
    """Return whether each day of the last quarter warns of a shop whose orders find a place by so many chances a day."""
    rng = Random(seed)
    days = {len(ratios) - 1 - n: (sum(rng.random() < ratio for _ in range(of)), of) for n, ratio in enumerate(ratios)}
    wanted = [DAY - timedelta(days=age) for age in range(QUARTER)]
    return [not finding.is_ok for finding in judge_geocoding(orders(days), wanted, LIMITS)]


def test_a_healthy_shop_of_thirty_orders_a_day_is_left_alone() -> None:
    """26 of 30 are below 0.88: a shop that places 0.95 of its orders warned on one day of sixteen, though nothing was wrong."""
    shops = [warned([0.95] * 2 * QUARTER, 30, seed) for seed in range(20)]
    assert sum(map(sum, shops)) / len(shops) <= 1


@pytest.mark.parametrize("fallen", [0.75, 0.82])
def test_a_real_fall_of_a_small_shop_is_told_within_two_weeks(fallen: float) -> None:
    """What chance may do on one day must not hide what has happened for a fortnight."""
    shops = [warned([0.95] * (2 * QUARTER - 14) + [fallen] * 14, 30, seed) for seed in range(20)]
    assert all(any(shop[-14:]) for shop in shops)


def test_a_ratio_below_the_limit_is_chance_only_where_the_shop_usually_has_more() -> None:
    """87 of 100 is no chance where 95 are usual, and where 86 are usual it is no chance either: it is as bad as ever."""
    assert judge((87, 100), before=(95, 100)).alerts[0] == "geocoded_ratio_warning"
    assert judge((26, 30), before=(57, 60)).is_ok
    assert judge((26, 30), before=(52, 60)).alerts == ("geocoded_ratio_warning",)
    assert judge((26, 30), before=(57, 60), days=6).alerts == ("geocoded_ratio_warning",)
    assert judge((22, 30), before=(57, 60)).severity == "critical"


def test_too_little_history_compares_with_nothing() -> None:
    """The second day of a shop was measured against its first."""
    assert judge((180, 200), days=6).severity == "ok"
    assert judge((180, 200), days=7).severity == "warning"


def test_a_fall_does_not_become_what_is_usual_until_it_has_lasted() -> None:
    """After ten days the fall was the baseline; after ten months it still alarmed."""
    days = {age: (180, 200) if age < 40 else (196, 200) for age in range(80)}
    wanted = [DAY - timedelta(days=age) for age in range(40)]
    found = {f.day: f.is_ok for f in judge_geocoding(orders(days), wanted, LIMITS)}
    assert [found[DAY - timedelta(days=age)] for age in range(39, 25, -1)] == [False] * 14
    assert all(found[DAY - timedelta(days=age)] for age in range(25))


def test_a_fall_below_a_fixed_limit_has_both_codes_and_the_limits_severity() -> None:
    """The regression's warning hid that the ratio was critical."""
    found = judge((100, 200))
    assert (found.severity, found.alerts) == ("critical", ("geocoded_ratio_critical", "geocoded_ratio_drop"))


@pytest.mark.parametrize(("count", "trials", "ratio"), [(3, 10, 0.1), (2, 30, 0.01), (10, 10, 0.5), (40, 200, 0.1)])
def test_the_chance_is_the_binomial_one(count: int, trials: int, ratio: float) -> None:
    """Against the sum written out."""
    exact = sum(comb(trials, n) * ratio**n * (1 - ratio) ** (trials - n) for n in range(count, trials + 1))
    assert chance_of_at_least(count, trials, ratio) == pytest.approx(exact)
    assert chance_of_at_least(0, trials, ratio) == 1


def test_a_day_is_judged_alike_alone_and_among_sixty() -> None:
    """The night asked of one day and the report of sixty; their walks began elsewhere, had learnt other things and disagreed."""
    random = Random(0)
    shift = random.randint(10, 90)
    by_age = {n: (sum(random.random() < (0.93 if n > shift else 0.88) for _ in range(100)), 100) for n in range(130)}
    rows, days = orders(by_age), [DAY - timedelta(days=n) for n in reversed(range(60))]
    since = timedelta(days=days_needed(LIMITS))
    alone = [judge_geocoding(rows.filter(pl.col("date") >= day - since), [day], LIMITS)[0] for day in days]
    assert judge_geocoding(rows, days, LIMITS) == alone
