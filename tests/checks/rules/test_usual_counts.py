"""What is usual for a day: weekdays, levels, peaks, incidents that must not be learnt and levels that must."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import date, timedelta

import polars as pl
import pytest

from weathervane_checks.findings import Finding
from weathervane_checks.rules.row_counts import judge_row_counts
from weathervane_checks.thresholds import Thresholds
from weathervane_resources.quiet_days import QuietDays

FIRST = date(2026, 1, 5)  # a Monday
LIMITS = Thresholds()
WEEKEND = {5: 40, 6: 45}


def usual(day: date) -> int:
    """A shop that sells 100 on working days and 40 on weekends, a little more or less each day."""
    return WEEKEND.get(day.weekday(), 100) + (day.toordinal() * 7) % 5


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(count)]


def ledger(count: int, change: Callable[[date, int], int] = lambda _, n: n) -> pl.DataFrame:
    schema = {"date": pl.Date, "row_count": pl.Int64, "previous_row_count": pl.Int64, "source": pl.String}
    rows = [(day, change(day, usual(day)), 0, "shopify_api") for day in days(count)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def judge(
    rows: pl.DataFrame, *, only: Collection[date] = (), quiet: QuietDays | None = None, old: Collection[date] = ()
) -> dict[date, Finding]:
    wanted = list(only or rows["date"])
    findings = judge_row_counts(rows, wanted, LIMITS, max(rows["date"]) + timedelta(days=1), quiet, old)
    return {f.day: f for f in findings}


def wrong(found: dict[date, Finding]) -> list[date]:
    return [day for day, finding in found.items() if not finding.is_ok]


def nth(week: int, weekday: int) -> date:
    return FIRST + timedelta(days=7 * week + weekday)


def test_weekends_are_held_against_weekends_from_the_first_week_on() -> None:
    """elementary #962: each Saturday was an anomaly, each Monday another."""
    assert wrong(judge(ledger(70))) == []


@pytest.mark.parametrize("weekday", [0, 2, 4, 5, 6])
def test_half_of_what_its_weekday_has_is_low_on_any_day(weekday: int) -> None:
    """Half of a Monday looks like a Sunday: against the week's median it passed."""
    day = nth(9, weekday)
    found = judge(ledger(70, lambda d, n: n * 6 // 10 if d == day else n))
    assert wrong(found) == [day]
    assert found[day].alerts == ("new_rows_low",)
    assert 0.55 < float(str(found[day].observed)) < 0.65


def test_the_message_prints_what_it_was_measured_by() -> None:
    """An alert without its baseline sends people to the database first."""
    day = nth(9, 4)
    note = judge(ledger(70, lambda d, n: 50 if d == day else n))[day].note
    fridays = [usual(nth(week, 4)) for week in range(8, -1, -1)]
    assert f"Fridays, nearest first: {', '.join(map(str, fridays))}" in note
    assert f"nearest days: {usual(nth(9, 3))}, {usual(nth(9, 2))}" in note
    assert note.startswith("50 rows, usually 10")


def test_a_peak_raises_nothing_and_neither_does_the_fall_after_it() -> None:
    """Black Friday became the norm, and every day of December was a drop of 80%."""
    peak = {nth(8, 3): 2, nth(8, 4): 6, nth(8, 5): 4, nth(8, 6): 4, nth(9, 0): 5, nth(9, 1): 2}
    assert wrong(judge(ledger(120, lambda d, n: n * peak.get(d, 1)))) == []


def test_an_incident_is_not_learnt_and_a_second_one_is_found_like_the_first() -> None:
    """elementary #980: after a week of half-empty days, half-empty was normal."""
    bad = [nth(9, n) for n in range(6)] + [nth(11, 2)]
    found = judge(ledger(100, lambda d, n: n // 2 if d in bad else n))
    assert wrong(found) == bad
    assert found[nth(11, 2)].extra["baseline_median"] == pytest.approx(100, abs=5)


def test_a_level_that_stays_is_learnt_within_three_weeks_and_not_within_one() -> None:
    """A channel was closed for good: one alarm is right, one a day for ever is noise."""
    begun = nth(10, 0)
    found = wrong(judge(ledger(140, lambda d, n: n // 2 if d >= begun else n)))
    assert found[:8] == [begun + timedelta(days=n) for n in range(8)]
    assert max(found) < begun + timedelta(days=21)


def test_after_a_launch_a_drop_back_to_the_old_level_is_found_within_two_weeks() -> None:
    """A level twice as high, and the outage that halves it back to what was usual last month."""
    launch, drop = nth(8, 0), nth(10, 2)
    rows = ledger(90, lambda d, n: (n if d == drop else 2 * n) if d >= launch else n)
    assert wrong(judge(rows)) == [drop]


def test_zero_is_never_learnt() -> None:
    """A source that died in March was quiet by April, and its silence the norm."""
    begun = nth(8, 0)
    found = judge(ledger(150, lambda d, n: 0 if d >= begun else n))
    assert wrong(found) == [day for day in days(150) if day >= begun]
    assert all(found[day].severity == "critical" for day in days(150) if day >= begun + timedelta(days=3))


def test_quiet_days_may_be_empty_and_neither_count_in_a_streak_nor_in_the_week() -> None:
    """Closed on Sundays, and closed for good: the second must show through the first."""
    sundays = QuietDays(weekdays=frozenset({6}))
    closed = ledger(70, lambda d, n: 0 if d.weekday() == 6 else n)
    assert wrong(judge(closed, quiet=sundays)) == []
    assert "a quiet day of tenants.toml" in judge(closed, quiet=sundays)[nth(8, 6)].note
    assert "quiet_days" in judge(closed)[nth(8, 6)].note
    dead = judge(
        closed.with_columns(row_count=pl.when(pl.col("date") >= nth(9, 5)).then(0).otherwise("row_count")),
        quiet=sundays,
    )
    assert wrong(dead) == [nth(9, 5)]
    monday = judge(ledger(74, lambda d, n: 0 if d.weekday() == 6 or d == nth(10, 0) else n), quiet=sundays)
    assert not any("streak" in code for code in monday[nth(10, 0)].alerts)
    longer = judge(ledger(74, lambda d, n: 0 if d.weekday() == 6 or d >= nth(9, 5) else n), quiet=sundays)
    assert "new_rows_zero_streak_warning" in longer[nth(10, 0)].alerts


def test_a_weekday_that_was_always_small_is_not_an_incident_for_ever() -> None:
    """Held back again each week, a small Saturday could never be learnt, and alarmed every week."""
    small = ledger(120, lambda d, n: 22 if d.weekday() == 5 else 200)
    late = [day for day in wrong(judge(small)) if day >= nth(4, 0)]
    assert late == []
    assert wrong(judge(small, only=[nth(n, 5) for n in range(10, 17)])) == []


def test_warm_up_is_said_and_is_neither_a_failure_nor_a_silent_pass() -> None:
    """elementary #1118: not enough data was an error; or it passed, and nobody knew that nothing was watched."""
    found = judge(ledger(20, lambda d, n: 1 if d == nth(0, 3) else n))
    assert wrong(found) == []
    assert found[nth(0, 3)].note == "1 rows; warming up, 3 of 7 days"
    assert found[nth(0, 3)].extra["not_judged"] == "warming up, 3 of 7 days"
    assert "not_judged" not in found[nth(1, 1)].extra


def test_history_is_judged_by_the_days_around_it() -> None:
    """The first days of a backfill had nothing before them and were never judged; now what follows tells."""
    bad = [nth(0, 1), nth(1, 2)]
    rows = ledger(70, lambda d, n: n // 3 if d in bad else n)
    assert wrong(judge(rows)) == [nth(1, 2)]
    assert wrong(judge(rows, old=days(70))) == bad


def test_an_old_day_is_not_held_against_the_empty_days_around_it() -> None:
    """Two Mondays of a dead source made half a Monday usual, and the backfill that should have shown it was green."""
    low, dead = nth(2, 0), [nth(1, 0), nth(3, 0)]
    rows = ledger(42, lambda d, n: 50 if d == low else 0 if d in dead else n)
    without = rows.filter(~pl.col("date").is_in(dead))
    found, wanted = (judge(some, only=[low], old=[low])[low] for some in (rows, without))
    assert found.alerts == wanted.alerts == ("new_rows_drop_warning",)
    assert found.extra["baseline_median"] == wanted.extra["baseline_median"] == pytest.approx(100, abs=5)


def test_an_old_day_is_not_held_against_a_day_that_has_just_begun() -> None:
    """The backfill ran at nine: today's three orders were the same weekday's count of the day a week ago."""
    today = nth(3, 0)
    rows = ledger(22, lambda d, n: 3 if d == today else n)
    before = rows.filter(pl.col("date") < today)
    old = [nth(2, 0), nth(2, 6)]
    found, wanted = (judge_row_counts(some, old, LIMITS, today, backfilled=old) for some in (rows, before))
    assert [f.extra["baseline_median"] for f in found] == [f.extra["baseline_median"] for f in wanted]
    assert all(f.is_ok for f in found)


def test_years_of_history_cost_one_walk() -> None:
    """A backfill of three years took longer to judge than to fetch: each day went through all the others."""
    rows = ledger(1_500)
    begun = time.process_time()
    judge(rows)
    judge(rows, old=days(1_500))
    assert time.process_time() - begun < 3
    begun = time.process_time()
    judge(rows, only=[days(1_500)[-1]])
    assert time.process_time() - begun < 0.2


def test_a_small_shop_that_is_often_low_is_told_less_often() -> None:
    """A shop of 25 orders a day alarmed at each 15, which it had every other week."""
    often = {nth(week, 2): 13 for week in (5, 7, 9)}
    last = nth(11, 4)
    rows = ledger(84, lambda d, n: 15 if d == last else 25)
    assert wrong(judge(rows)) == [last]
    assert wrong(judge(ledger(84, lambda d, n: 15 if d == last else often.get(d, 25)))) == sorted(often)
    outage = judge(ledger(84, lambda d, n: 15 if d == last else 0 if d in often else 25))
    assert wrong(outage) == [*sorted(often), last]


def test_the_fall_before_a_holiday_is_no_incident_and_half_of_it_is() -> None:
    """The week before Christmas, each year."""
    holiday = frozenset({nth(10, 0), nth(10, 1)})
    calendar = QuietDays(dates=holiday)
    eve, half = nth(9, 3), nth(9, 4)
    rows = ledger(80, lambda d, n: 0 if d in holiday else {eve: 65, half: 45}.get(d, 100))
    assert wrong(judge(rows, quiet=calendar)) == [half]
    far = QuietDays(dates=holiday | {nth(11, 2)})
    assert wrong(judge(ledger(80, lambda d, n: 0 if d in holiday else 65 if d == nth(8, 3) else 100), quiet=far)) == [
        nth(8, 3)
    ]


def test_a_month_end_is_named_where_it_counts() -> None:
    """An expectation of 130 where the days printed beside it have 100 looked like a mistake."""
    pay_days = {date(2026, month, day) for month, day in ((1, 30), (1, 31), (2, 27), (2, 28), (3, 30), (3, 31))}
    rows = ledger(86, lambda d, n: 60 if d == date(2026, 3, 31) else 130 if d in pay_days else 100)
    note = judge(rows)[date(2026, 3, 31)].note
    assert "as at month ends" in note
    assert "month ends" not in judge(ledger(70, lambda d, n: 40 if d == nth(9, 4) else 100))[nth(9, 4)].note
