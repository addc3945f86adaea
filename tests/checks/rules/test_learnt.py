"""What an outage teaches: nothing while it lasts, nothing once it is over, and the new level if it never is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl
import pytest

from weathervane_checks.findings import Finding
from weathervane_checks.rules.learnt import Learnt
from weathervane_checks.rules.row_counts import judge_row_counts
from weathervane_checks.thresholds import Thresholds

FIRST = date(2026, 1, 5)  # a Monday
BEFORE = 98


def judge(counts: Sequence[int], limits: Thresholds, *, is_old: bool = False) -> list[Finding]:
    days = [FIRST + timedelta(days=n) for n in range(len(counts))]
    ledger = pl.DataFrame({"date": days, "row_count": counts, "previous_row_count": 0, "source": "shopify_api"})
    return judge_row_counts(ledger, days, limits, days[-1] + timedelta(days=1), backfilled=days if is_old else ())


def wrong_in_history(counts: Sequence[int]) -> list[int]:
    found = judge([*steady(BEFORE), *counts, *steady(50)], Thresholds(), is_old=True)
    return [n - BEFORE for n, finding in enumerate(found) if not finding.is_ok]


def wrong(counts: Sequence[int], after: int = BEFORE, **limits: float) -> list[int]:
    """Return which days were not ok, counted from the end of the quiet time before."""
    found = judge([*steady(after), *counts], Thresholds().for_tenant(limits))
    return [n for n, finding in enumerate(found[after:]) if not finding.is_ok]


def steady(length: int, level: int = 200) -> list[int]:
    """Return a shop's ordinary days, a little more or less each day."""
    return [level + level * ((n * 7) % 5 - 2) // 100 for n in range(length)]


@pytest.mark.parametrize("low", [20, 60, 100])
@pytest.mark.parametrize(("weeks", "starts"), [(2, 0), (2, 3), (3, 0), (4, 5)])
def test_an_outage_is_told_for_as_long_as_it_may_be_one_and_then_is_the_new_level(
    low: int, weeks: int, starts: int
) -> None:
    """Nine tenths of the orders were missing, and after eight nights that was usual: one Friday spoke for all weekdays."""
    found = wrong([*steady(starts), *steady(60, low)], relearn_weeks=weeks)
    assert found == [starts + n for n in range(7 * weeks)]


@pytest.mark.parametrize("low", [20, 60, 100])
@pytest.mark.parametrize("length", [8, 10, 14, 20])
def test_a_relapse_in_the_days_after_an_outage_is_found_like_the_outage(low: int, length: int) -> None:
    """The shop was mended for three days and broke again, which nobody was told: the outage was still what was usual."""
    found = wrong([*steady(length, low), *steady(3), *steady(3, low)])
    assert found == [*range(min(length, 14)), *range(length + 3, length + 6)]


def test_what_is_usual_after_an_outage_is_what_was_usual_before_it() -> None:
    """For a week after the outage 22 were expected of a shop that sells 200."""
    counts = [*steady(BEFORE), *steady(14, 20), *steady(7)]
    expected = [float(str(f.extra["baseline_median"])) for f in judge(counts, Thresholds())[-7:]]
    assert expected == pytest.approx([200] * 7, rel=0.05)


@pytest.mark.parametrize("low", [20, 60, 100])
def test_a_weekday_on_which_the_shop_now_closes_early_is_learnt_in_two_weeks_and_for_itself(low: int) -> None:
    """A shop gave up its Sundays, was told so for two months, and a Monday as low as a Sunday passed meanwhile."""
    weeks = [low if n % 7 == 6 else count for n, count in enumerate(steady(140))]
    assert wrong(weeks) == [6, 13]
    weeks[28] = 110
    assert wrong(weeks) == [6, 13, 28]


@pytest.mark.parametrize("bad", [[9], [2], [7, 8], [3, 4]])
def test_one_weekdays_bad_day_says_nothing_of_what_another_has_learnt(bad: list[int]) -> None:
    """A shop gave up its Sundays, and one Wednesday after was bad: as the next one was fine, the Sundays were told anew."""
    weeks = [30 if n % 7 == 6 else 90 if n in bad else count for n, count in enumerate(steady(90))]
    assert wrong(weeks) == sorted([6, 13, *bad])


def test_a_weekday_that_is_back_is_back_at_once() -> None:
    """Two Sundays of road works; the third was as before, the fourth fell again, and that was usual by then."""
    weeks = [40 if n in (6, 13, 27) else count for n, count in enumerate(steady(42))]
    assert wrong(weeks) == [6, 13, 27]


def test_a_lucky_day_at_a_new_level_does_not_bring_back_the_old_one() -> None:
    """Each better day of a shop that had lost a channel was a recovery, and each day after it an incident."""
    counts = steady(60, 120)
    counts[17] = counts[25] = 145
    assert wrong(counts) == list(range(14))


def test_a_second_fall_is_told_as_long_as_the_first_one() -> None:
    """A shop that had just lost a channel lost the next one, and days were known by neither level."""
    counts = [*steady(20, 100), *steady(40, 30)]
    assert wrong(counts) == [*range(14), *range(20, 34)]
    assert wrong([*counts[:30], *steady(3, 100), *steady(3, 30)]) == [*range(14), *range(20, 30), 33, 34, 35]
    learnt_twice = [*counts[:36], *steady(3, 100), *steady(3, 30)]
    assert wrong(learnt_twice) == [*range(14), *range(20, 34), 39, 40, 41]


@pytest.mark.parametrize("low", [20, 60, 100])
@pytest.mark.parametrize("length", [1, 3, 7, 10, 14, 24])
def test_history_is_not_judged_by_the_incident_that_is_in_it(low: int, length: int) -> None:
    """Fourteen days at half, brought in with a backfill: the days around each were as low as it was, and all was well."""
    assert wrong_in_history(steady(length, low)) == list(range(length))


def test_a_better_day_within_an_incident_does_not_make_two_short_ones_of_it() -> None:
    """An outage that let one day in five through was no outage."""
    counts = [200 if n % 5 == 4 else 60 for n in range(14)]
    assert wrong_in_history(counts) == [n for n in range(14) if n % 5 != 4]


def test_in_history_a_level_that_stayed_a_launch_and_a_peak_are_no_incidents() -> None:
    """Left out, the first fortnight of a new level made an alarm of each of its days, years later."""
    found = judge([*steady(BEFORE), *steady(80, 120)], Thresholds(), is_old=True)
    assert sum(not f.is_ok for f in found) <= 2
    assert wrong_in_history(steady(60, 400)[:60]) == []
    assert wrong_in_history([300, 900, 600, 600, 500, 300, 200]) == []


@pytest.mark.parametrize("weeks", [1, 2])
def test_an_outage_of_a_shop_with_little_history_is_not_learnt_either(weeks: int) -> None:
    """With a week of history there was nothing near after a week of outage, 0 was expected, and 20 was fine."""
    assert wrong(steady(40, 20), after=7 * weeks + 3) == list(range(14))
    dead = judge([*steady(10), *[0] * 20], Thresholds())
    assert {f.severity for f in dead[10:]} == {"critical"}


def test_what_is_held_back_is_learnt_with_the_second_week_and_zero_ends_it() -> None:
    """One week more or less is seven days of alarms more or less."""
    learnt = Learnt(2)
    learnt.note(7, 50, ["new_rows_low"])
    assert learnt.points == {}
    learnt.note(14, 0, ["row_count_zero"])
    learnt.note(21, 50, ["new_rows_low"])
    assert learnt.points == {}
    learnt.note(28, 50, ["new_rows_low"])
    assert learnt.points == {21: 50, 28: 50}


def test_incidents_of_a_week_are_long_and_a_weekend_between_ends_none() -> None:
    """An outage of two working weeks was two of five days each, for a shop that is closed at the weekend."""
    learnt = Learnt(99)
    one, short, two_short = [*range(10, 15), 17, 18], range(40, 46), [*range(60, 64), *range(67, 70)]
    for day in [*one, *short, *two_short]:
        learnt.note(day, 50, ["new_rows_low"])
    assert learnt.long_incidents() == set(one)


def test_what_was_before_a_new_level_is_kept_for_four_weeks() -> None:
    """The Sundays of the old level were half of what a Sunday was held against for two months."""
    learnt = Learnt(2)
    learnt.note(7, 200, [])
    for day in (14, 21):
        learnt.note(day, 50, ["new_rows_low"])
    for day in (28, 35):
        assert (learnt.former_points(), min(learnt.usual_points())) == ({7: 200}, 14)
        learnt.note(day, 52, [])
    assert learnt.former_points()[7] == 200
    learnt.note(42, 51, [])
    assert learnt.former_points() == learnt.usual_points() == {14: 50, 21: 50, 28: 52, 35: 52, 42: 51}


@pytest.mark.parametrize(("length", "is_long"), [(7, True), (6, False)])
def test_seven_days_in_a_row_are_a_long_incident_and_six_are_not(length: int, is_long: bool) -> None:
    """An outage from Monday to Sunday was no week, and the days around it were judged by it."""
    learnt = Learnt(99)
    days = range(10, 10 + length)
    for day in days:
        learnt.note(day, 50, ["new_rows_low"])
    assert learnt.long_incidents() == (set(days) if is_long else set())


@pytest.mark.parametrize(("weekdays", "is_back"), [(4, True), (3, False)])
def test_four_weekdays_that_were_low_are_the_whole_shop_and_three_are_not(weekdays: int, is_back: bool) -> None:
    """An outage from Monday to Thursday, twice; the Monday after was fine, and the others went on by what it had taught."""
    learnt = Learnt(2)
    for week in (0, 7):
        for day in range(7, 7 + weekdays - 1):  # begun anew after two weeks
            learnt.note(day + week, 50, ["new_rows_low"])
    last = 7 + weekdays - 1
    learnt.note(last, 50, ["new_rows_low"])
    assert len(learnt.begun) == weekdays - 1
    learnt.note(last + 7, 200, [])
    assert bool(learnt.begun) != is_back
    assert learnt.points == {last + 7: 200} | ({} if is_back else dict.fromkeys([7, 8, 14, 15], 50))
