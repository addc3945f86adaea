"""How few rows chance may leave: over-dispersion, low days of late, holidays, month ends."""

from __future__ import annotations

from datetime import date, timedelta
from math import sqrt

import pytest

from weathervane_checks.rules.chance import Circumstances, Scatter, least_of, median, scatter_of
from weathervane_checks.rules.learnt import Learnt
from weathervane_checks.rules.row_counts import QuietOrdinals
from weathervane_checks.rules.usual import days_around, days_before, edge_of_month, middle, usual_of
from weathervane_checks.thresholds import Thresholds
from weathervane_resources.quiet_days import QuietDays

LIMITS = Thresholds()
DAY = date(2026, 6, 17).toordinal()  # far from a month's end
PLAIN = Circumstances()


def usual(counts: dict[int, int], day: int = DAY, around: Circumstances = PLAIN):
    points = {day + offset: count for offset, count in counts.items()}
    return usual_of(day, points, points, (), days_before(LIMITS), LIMITS, around)


def steady(count: int = 1_000, weeks: int = 10) -> dict[int, int]:
    return {-n: count for n in range(1, 7 * weeks + 1)}


def test_a_spread_is_made_of_counting_of_the_shops_own_and_of_what_was_learnt() -> None:
    """Small shops alarmed weekly: their Saturdays of 20 were held against the scatter of their Mondays of 60."""
    assert Scatter({}, {}, 0.0).spread(100) == pytest.approx(0.1)
    assert Scatter({}, {}, 0.03).spread(100) == pytest.approx(0.2)
    assert Scatter({}, {}, 0.0).spread(100, 10, 4) == pytest.approx(0.1 * sqrt(1 + 0.13 + 0.25))


def test_over_dispersion_is_what_counting_does_not_explain() -> None:
    """A shop whose days scatter by a fifth is not one whose days scatter by a twentieth."""
    waves = {-n: 10_000 + (2_000 if n % 2 else -2_000) for n in range(1, 71)}
    middles = dict.fromkeys(range(7), 10_000.0)
    wild = scatter_of(waves, middles).over_dispersion
    assert 0.15 < sqrt(wild) < 0.5
    assert scatter_of(steady(10_000), middles).over_dispersion == pytest.approx(0.05**2)
    odd = steady(10_000) | {-20: 40_000}
    assert sqrt(scatter_of(odd, middles).over_dispersion) < 0.06


def test_local_medians_reach_three_days_and_no_further() -> None:
    """A window that had forgotten to let days go made a season's fall look like scatter."""
    rising = {-n: 100 - n for n in range(1, 15)}
    local = scatter_of(rising, dict.fromkeys(range(7), 1.0)).local
    assert local[-7] == 93
    assert local[-1] == 97.5  # of -1 to -4
    assert local[-14] == 87.5  # of -14 to -11
    holed = {-1: 1, -5: 9, -6: 3}
    assert scatter_of(holed, dict.fromkeys(range(7), 1.0)).local == {-1: 1.0, -5: 6.0, -6: 6.0}


def test_of_the_two_limits_the_looser_counts() -> None:
    """A drop of a twelfth at a large shop is beyond chance, and nobody wants to be told."""
    assert least_of(1_000, 0.01, LIMITS, PLAIN) == pytest.approx(1_000 * (1 - LIMITS.unusual_drop_min))
    by_chance = (1 - LIMITS.unusual_spreads * 0.3 / 2) ** 2
    assert least_of(1_000, 0.3, LIMITS, PLAIN) == pytest.approx(1_000 * by_chance)
    assert least_of(1_000, 5.0, LIMITS, PLAIN) == 0


@pytest.mark.parametrize(("low_days", "factor"), [(0, 1.0), (1, 1.15), (4, 1.6), (5, 1.6)])
def test_days_that_were_low_and_stayed_so_widen_the_limit_up_to_a_point(low_days: int, factor: float) -> None:
    """One shop of forty had an alarm a fortnight, for ever; and a source that fails weekly must not become usual."""
    by_chance = (1 - LIMITS.unusual_spreads * factor * 0.3 / 2) ** 2
    assert least_of(1_000, 0.3, LIMITS, Circumstances(low_days)) == pytest.approx(1_000 * by_chance)


def test_beside_a_holiday_only_a_larger_fall_is_told() -> None:
    """The last week before Christmas fell by a third, as each year, and each of its days alarmed."""
    beside = Circumstances(beside_holiday=True)
    assert least_of(1_000, 0.01, LIMITS, beside) == pytest.approx(1_000 * (1 - LIMITS.holiday_drop_min))
    assert least_of(1_000, 0.9, LIMITS, beside) == least_of(1_000, 0.9, LIMITS, PLAIN)


@pytest.mark.parametrize(
    ("day", "is_beside"), [("12-18", False), ("12-19", True), ("12-27", True), ("12-31", True), ("01-01", False)]
)
def test_a_holiday_has_two_quiet_days_in_a_row_and_reaches_five(day: str, is_beside: bool) -> None:
    quiet = QuietOrdinals(QuietDays(yearly=frozenset({(12, 24), (12, 25), (12, 26), (1, 1)})))
    year = 2027 if day.startswith("01") else 2026
    assert quiet.beside_holiday(date.fromisoformat(f"{year}-{day}").toordinal(), 5) is is_beside


def test_a_weekend_is_no_holiday_and_one_day_is_none() -> None:
    """A shop closed on Saturdays and Sundays would have had a holiday each week, and the wide limit always."""
    weekend = QuietDays(weekdays=frozenset({5, 6}))
    monday = date(2026, 6, 15)
    assert not QuietOrdinals(weekend).beside_holiday(monday.toordinal(), 5)
    bridge = QuietDays(weekdays=frozenset({5, 6}), dates=frozenset({date(2026, 6, 12)}))
    assert QuietOrdinals(bridge).beside_holiday(monday.toordinal(), 5)
    first = QuietDays(weekdays=frozenset({6}), dates=frozenset({monday}))
    assert QuietOrdinals(first).beside_holiday(monday.toordinal() + 1, 5)
    assert not QuietOrdinals(QuietDays(dates=frozenset({monday}))).beside_holiday(monday.toordinal() + 1, 5)


def test_low_days_in_a_row_are_once_and_zero_and_restatements_are_none() -> None:
    """An outage of a week would have dulled the check for a quarter."""
    learnt = Learnt(2)
    for ordinal in (10, 11, 12, 20):
        learnt.note(ordinal, 50, ["new_rows_low"])
    learnt.note(30, 0, ["row_count_zero", "new_rows_drop_critical"])
    learnt.note(40, 50, ["row_count_drop_critical"])
    learnt.note(50, 90, [])
    assert [learnt.low_days(since) for since in (0, 10, 11, 20, 21)] == [2, 2, 1, 1, 0]


def test_a_night_knows_of_the_low_days_before_it() -> None:
    """The limit that widens was reckoned and handed to nobody."""
    counts = {offset: 25 + (offset * 37) % 11 for offset in steady()}
    assert usual(counts, around=Circumstances(3)).least < usual(counts).least
    assert usual(counts, around=Circumstances(3)).expected == usual(counts).expected


@pytest.mark.parametrize(
    ("day", "edge"),
    [
        ("2026-01-29", ""), ("2026-01-30", "end"), ("2026-01-31", "end"), ("2026-02-01", "begin"),
        ("2026-02-02", "begin"), ("2026-02-03", ""), ("2026-02-26", ""), ("2026-02-27", "end"),
    ],
)  # fmt: skip
def test_a_month_ends_with_its_last_two_and_begins_with_its_first_two_days(day: str, edge: str) -> None:
    assert edge_of_month(date.fromisoformat(day).toordinal()) == edge


def test_a_month_end_is_expected_as_those_before_it_were_and_raises_nothing_after() -> None:
    """Pay day sold a third more, so half of a pay day passed as an ordinary day."""
    begin = date(2026, 7, 31)
    days = {begin - timedelta(days=n): 1_000 for n in range(1, 71)}
    days = {day: 1_300 if edge_of_month(day.toordinal()) == "end" else n for day, n in days.items()}
    counts = {(day - begin).days: n for day, n in days.items()}
    on = usual(counts, begin.toordinal())
    assert on.month_end == pytest.approx(1.3, abs=0.03)
    assert on.expected == pytest.approx(1_300, rel=0.03)
    shifted = {offset - 1: n for offset, n in counts.items()} | {-1: 1_300}
    after = usual(shifted, begin.toordinal() + 4)
    assert after.month_end == 1
    assert after.expected == pytest.approx(1_000, rel=0.05)


def test_the_level_follows_a_fall_and_a_launch_but_no_peak() -> None:
    """Each of the three was once followed wrongly; see test_usual_counts for what came of it."""
    fallen = steady() | {-n: 700 for n in range(1, 11)}
    assert usual(fallen).level == pytest.approx(0.76, abs=0.06)
    peak = steady() | {-n: 3_000 for n in range(1, 6)}
    assert usual(peak).level <= 1.05
    launched = steady() | {-n: 2_000 for n in range(1, 8)}
    assert usual(launched).level > 1.05
    assert usual(launched | {-7: 1_000}).level <= 1.05
    # a shop that is closed on Sundays has no low day left in the week of Black Friday
    filled = steady() | dict(zip(range(-1, -8, -1), (2_200, 2_500, 4_000, 2_000, 1_500, 1_500, 1_500), strict=True))
    assert usual(filled).level <= 1.05


def test_few_days_of_the_last_week_do_not_raise_the_level() -> None:
    """Two good days after a gap were a launch."""
    counts = {offset: n for offset, n in steady().items() if offset < -7} | {-1: 3_000, -2: 3_000}
    assert usual(counts).level == 1
    assert usual(counts | {-3: 3_000}).level > 1
    nothing_near = {offset: n for offset, n in steady().items() if offset < -14}
    assert (usual(nothing_near).level, usual(nothing_near).known.have) == (1, 0)


def test_the_days_that_are_held_against_a_day() -> None:
    assert list(days_before(LIMITS)) == [-n for n in range(1, 71)]
    assert list(days_around(LIMITS))[:4] == [-1, 1, -2, 2]
    assert len(days_around(LIMITS)) == 70


def test_middles() -> None:
    assert (median([]), median([3, 1, 2]), median([4, 1, 2, 3])) == (0, 2, 2.5)
    assert (middle([5]), middle([1, 2, 9]), middle([100, 2, 4, 0])) == (5, 4, 3)
    assert middle([0, 1, 2, 3, 4, 5, 6, 99]) == 3.5
