"""Row counts against the version replaced, the days before, and zero."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from math import ceil
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_checks.findings import Finding
from weathervane_checks.rules.row_counts import judge_row_counts
from weathervane_checks.thresholds import Thresholds

DAY = date(2025, 6, 20)
TODAY = date(2025, 6, 30)
LIMITS = Thresholds()
SCHEMA = {"date": pl.Date, "row_count": pl.Int64, "previous_row_count": pl.Int64, "source": pl.String}


def ledger(*rows: tuple[date, int, int, str]) -> pl.DataFrame:
    """Return a ledger whose days were written the night after."""
    written = (pl.col("date").cast(pl.Datetime("us", "UTC")) + timedelta(days=1, hours=3)).alias("written_at_utc")
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(written)


def series(*counts: int, previous: int = 0, last: date = DAY) -> pl.DataFrame:
    """Return a ledger whose last count is the day judged; `previous` is what that day had before."""
    days = [last - timedelta(days=len(counts) - 1 - n) for n in range(len(counts))]
    return ledger(
        *((day, count, previous if day == last else 0, "shopify_api") for day, count in zip(days, counts, strict=True))
    )


def judge(rows: pl.DataFrame, day: date = DAY, today: date = TODAY, limits: Thresholds = LIMITS) -> Finding:
    (finding,) = judge_row_counts(rows, [day], limits, today)
    return finding


WEEK = (100, 110, 90, 105, 95, 120, 80)


def test_a_usual_day_is_ok_and_says_what_it_was_measured_by() -> None:
    """A check that cannot say what it compared with cannot be believed."""
    found = judge(series(*WEEK, 97, previous=97))
    assert (found.severity, found.alerts, found.observed) == ("ok", (), 97)
    assert found.extra == {
        "row_count": 97, "baseline_median": 100.0, "baseline_least": 0.0, "baseline_days": 7, "baseline_weekdays": 1,
    }  # fmt: skip


def test_the_threshold_of_a_usual_day_is_the_fewest_rows_that_are_ok() -> None:
    """It said `threshold: not known`, and the limit stood beside it; a row fewer must be told, and the limit itself not."""
    months = [100 + n % 7 for n in range(70)]
    found = judge(series(*months, 100))
    least = found.threshold
    assert isinstance(least, float)
    assert least == found.extra["baseline_least"] == round(least, 2)
    assert judge(series(*months, ceil(least))).is_ok
    assert judge(series(*months, ceil(least) - 1)).alerts == ("new_rows_low",)
    by_ratio = judge(series(*WEEK, 97)).threshold
    assert by_ratio == 50, "where too little is known of chance, the fixed ratio"
    assert judge(series(1, 2, 1, 2, 1, 2, 1, 2)).threshold is None, "too few a day to judge by a ratio"


def test_made_up_days_say_nothing_of_the_shops_own() -> None:
    """A demo sells forty a day; the small shop that came after it was told of a collapse for a month."""
    week = [DAY - timedelta(days=n) for n in range(1, 8)]
    stub = [(day, 40, 0, "stub") for day in week]
    mixed = ledger(*stub, (DAY, 9, 0, "shopify_api"))
    assert judge(mixed).alerts == ()
    assert judge_row_counts(mixed, [DAY], LIMITS, TODAY, backfilled={DAY})[0].alerts == ()
    assert judge(ledger(*stub, (DAY, 9, 0, "stub"))).alerts == ("new_rows_drop_warning",)
    assert [f.day for f in judge_row_counts(mixed, [*week, DAY], LIMITS, TODAY)] == [*week[::-1], DAY]


@pytest.mark.parametrize(
    ("count", "severity", "code"),
    [
        (50, "ok", None),
        (49, "warning", "new_rows_drop_warning"),
        (10, "warning", "new_rows_drop_warning"),
        (9, "critical", "new_rows_drop_critical"),
    ],
)
def test_a_day_far_below_its_week_is_a_drop(count: int, severity: str, code: str | None) -> None:
    """Half of the orders missing, and the run was green: the vendor had answered 200."""
    found = judge(series(*WEEK, count))
    assert found.severity == severity
    assert found.alerts == ((code,) if code else ())
    if code:
        assert "usually 100" in found.note
        assert "80, 120, 95, 105, 90, 110, 100" in found.note


@pytest.mark.parametrize(
    ("count", "severity", "code"),
    [
        (80, "ok", None),
        (79, "warning", "row_count_drop_warning"),
        (60, "warning", "row_count_drop_warning"),
        (59, "critical", "row_count_drop_critical"),
    ],
)
def test_a_restatement_that_shrinks_the_day_is_a_drop(count: int, severity: str, code: str | None) -> None:
    """A re-read with a narrower token replaced 100 orders by 60: fewer rows than before, on a small shop's day."""
    found = judge(series(count, previous=100))
    assert (found.severity, found.alerts) == (severity, (code,) if code else ())


def test_zero_after_something_is_critical() -> None:
    """Row count 0 passed, because history had taught the check that anything may happen."""
    found = judge(series(0, previous=3))
    assert found.severity == "critical"
    assert "row_count_zero" in found.alerts
    assert judge(series(*WEEK, 0)).severity == "critical"


def test_zero_where_there_never_was_much_is_a_warning() -> None:
    """A shop with two orders a day has days without: nobody is to be woken, nor is it 'ok'."""
    found = judge(series(2, 3, 1, 2, 2, 3, 1, 0))
    assert (found.severity, found.alerts) == ("warning", ("row_count_zero",))


@pytest.mark.parametrize(
    ("counts", "previous", "said"),
    [
        ((*WEEK, 0), 3, "no rows (before: 3; usual: 100);"),
        ((*WEEK, 0), 0, "no rows (usual: 100);"),
        ((0,), 3, "no rows (before: 3);"),
        ((0,), 0, "no rows;"),
    ],
)
def test_zero_says_what_was_before_and_what_is_usual_where_there_is_either(
    counts: tuple[int, ...], previous: int, said: str
) -> None:
    """'before: 0' of a day that was never written sent the reader looking for a run that was not."""
    assert said in judge(series(*counts, previous=previous)).note


@pytest.mark.parametrize(
    ("zeros", "severity"), [(1, None), (2, "warning"), (3, "warning"), (4, "critical"), (6, "critical")]
)
def test_a_streak_of_empty_days_grows_worse(zeros: int, severity: str | None) -> None:
    """A source that went quiet: each empty day alone looked like a holiday."""
    found = judge(series(1, *([0] * zeros)))
    streaks = [code for code in found.alerts if code.startswith("new_rows_zero_streak")]
    assert streaks == ([f"new_rows_zero_streak_{severity}"] if severity else [])
    assert found.severity == (severity or "warning")


def test_elementarys_two_series() -> None:
    """A z-score fails both ways (elementary #1169): 5 rows of 100,000 alarm, and zero after a wild week passes."""
    calm = judge(series(100_000, 100_001, 99_999, 100_000, 100_001, 99_999, 100_000, 99_995, previous=100_000))
    assert (calm.severity, calm.alerts) == ("ok", ())
    wild = judge(series(3_000, 20, 2_500, 1, 4_000, 50, 900, 0))
    assert wild.severity == "critical"
    assert "row_count_zero" in wild.alerts


def test_too_little_history_is_neither_an_error_nor_a_drop_and_says_so() -> None:
    """'Not enough data' was reported as a failure, and the first week of each tenant was a week of alarms."""
    found = judge(series(100, 100, 100, 5))
    assert (found.severity, found.alerts) == ("ok", ())
    assert "warming up, 3 of 7 days" in found.note


def test_a_hole_in_the_week_before_is_not_filled_with_older_days() -> None:
    """Windows go by date: seven rows are not a week."""
    full = series(*([100] * 10), 20)
    holed = full.filter(pl.col("date") != DAY - timedelta(days=3))
    assert judge(full).alerts == ("new_rows_drop_warning",)
    assert "warming up, 6 of 7 days" in judge(holed).note


def test_small_shops_are_not_judged_by_ratios() -> None:
    """3 of 6 is chance, not an outage."""
    assert judge(series(6, 5, 7, 6, 5, 7, 6, 3)).severity == "ok"


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_day_that_is_not_over_is_not_judged(ahead: int) -> None:
    """At nine in the morning today has few orders: an alarm a day."""
    today = DAY - timedelta(days=ahead)
    found = judge(series(*WEEK, 1), today=today)
    assert (found.severity, found.observed) == ("ok", 1)
    assert "not over" in found.note
    assert judge(series(*WEEK, 1), today=DAY + timedelta(days=1)).severity == "critical"


def test_a_day_never_written_is_critical() -> None:
    """A baseline seeded 'ok' with zero rows: what is not there passed."""
    for rows in (series(*WEEK, last=DAY - timedelta(days=1)), ledger()):
        found = judge(rows)
        assert (found.severity, found.alerts) == ("critical", ("dataset_missing",))


def test_a_source_not_configured_is_nothing_to_count_unless_it_was_before() -> None:
    """A key that was deleted made the source 'not configured' and its silence 'ok'."""
    never = [(DAY - timedelta(days=n), 0, 0, "not_configured") for n in range(8)]
    assert judge(ledger(*never)).severity == "ok"
    gone = ledger((DAY, 0, 0, "not_configured"), (DAY - timedelta(days=1), 40, 0, "meta_api"))
    assert (judge(gone).severity, judge(gone).alerts) == ("warning", ("dataset_missing",))
    for days, severity in ((15, "warning"), (16, "ok")):
        given_up = ledger((DAY, 0, 0, "not_configured"), (DAY - timedelta(days=days), 40, 0, "meta_api"))
        assert judge(given_up).severity == severity, "after that it was given up"


def test_a_platform_that_was_given_up_is_learnt_by_the_ads_before_its_own_warning_ends() -> None:
    """`ads` counts fall with Meta's; beside Meta's own warning nobody is told of them, and after it there is nothing to tell."""
    gone = DAY - timedelta(days=20)
    days = [DAY - timedelta(days=n) for n in range(70)]
    ads = ledger(
        *(
            (d, 10, 0, "google_ads_api+not_configured") if d >= gone else (d, 50, 0, "google_ads_api+meta_api")
            for d in days
        )
    )
    meta = ledger(*((d, 0, 0, "not_configured") if d >= gone else (d, 40, 0, "meta_api") for d in days))
    low, missing = (
        {found.day for found in judge_row_counts(one, days, LIMITS, DAY + timedelta(days=1)) if not found.is_ok}
        for one in (ads, meta)
    )
    assert low
    assert low < missing


def test_a_day_that_the_vendor_does_not_keep_is_nothing_to_count() -> None:
    """It will never come, so a warning would stand for ever."""
    old = judge(ledger((DAY, 0, 0, "not_kept"), (DAY - timedelta(days=1), 40, 0, "meta_api")))
    assert (old.severity, old.observed) == ("ok", "not_kept")


@pytest.mark.parametrize("source", ["not_configured", "not_kept"])
def test_days_without_a_source_are_not_part_of_the_week(source: str) -> None:
    """Empty days from before the account was connected halve the median: a drop of half is then usual."""
    rows = series(*([100] * 7), 20).with_columns(
        source=pl.when(pl.col("date") == DAY - timedelta(days=2)).then(pl.lit(source)).otherwise("source")
    )
    assert judge(rows).extra["baseline_days"] == 6


def test_history_is_one_tenants_and_a_backfill_of_old_days_does_not_touch_it() -> None:
    """A small tenant judged by a big one's history was critical twice a night; old days moved the baseline."""
    rows = series(*WEEK, 97)
    old = ledger(*((DAY - timedelta(days=n), 5_000, 0, "shopify_api") for n in range(80, 140)))
    assert judge(pl.concat([old, rows])) == judge(rows)


def test_a_tenants_own_limits_count() -> None:
    """One shop closes on Sundays: its limit is its own."""
    rows = series(*WEEK, 45)
    assert judge(rows).severity == "warning"
    assert judge(rows, limits=LIMITS.for_tenant({"new_rows_ratio_warning": 0.4})).severity == "ok"


def test_several_rules_give_one_finding_that_leads_with_the_worst() -> None:
    """Three alerts for one failure flood the channel."""
    found = judge(series(*WEEK, 0, previous=50))
    assert found.severity == "critical"
    assert set(found.alerts) == {"row_count_zero", "row_count_drop_critical", "new_rows_drop_critical"}


COUNTS: st.SearchStrategy[Sequence[int]] = st.lists(st.integers(0, 500), min_size=1, max_size=15)


@settings(max_examples=80, deadline=None)
@given(COUNTS, st.integers(0, 500))
def test_fewer_rows_never_look_better(counts: Sequence[int], previous: int) -> None:
    """Whatever the history: zero is never ok, and one row less is never a milder verdict."""
    rank = {"ok": 0, "warning": 1, "critical": 2}
    here = judge(series(*counts, previous=previous))
    if counts[-1] == 0:
        assert here.severity != "ok"
    else:
        less = judge(series(*counts[:-1], counts[-1] - 1, previous=previous))
        assert rank[less.severity] >= rank[here.severity]


@pytest.mark.parametrize(("usual", "low", "zero"), [(20, "warning", "critical"), (19, "ok", "warning")])
def test_twenty_a_day_are_enough_to_judge_and_nineteen_are_not(usual: int, low: str, zero: str) -> None:
    """The limit says "below 20", and at 20 nobody was told."""
    assert judge(series(*([usual] * 7), 9)).severity == low
    assert judge(series(*([usual] * 7), 0)).severity == zero


def test_one_row_that_is_gone_is_a_loss() -> None:
    """A shop's only order of the day vanished in a restatement."""
    assert judge(series(0, previous=1)).alerts == ("row_count_zero", "row_count_drop_critical")
    lax = LIMITS.for_tenant({"row_count_ratio_warning": 0, "row_count_ratio_critical": 0})
    assert judge(series(0, previous=1), limits=lax).severity == "critical"


def test_a_day_that_was_never_written_ends_a_streak() -> None:
    """Two empty days with a gap of the outage between them were two in a row: what nobody read was counted as empty."""
    broken = judge(ledger((DAY - timedelta(days=2), 0, 0, "shopify_api"), (DAY, 0, 0, "shopify_api")))
    assert broken.alerts == ("row_count_zero",)
    whole = judge(ledger((DAY - timedelta(days=1), 0, 0, "shopify_api"), (DAY, 0, 0, "shopify_api")))
    assert whole.alerts == ("row_count_zero", "new_rows_zero_streak_warning")


@pytest.mark.parametrize("seed", [42, 136])
def test_a_day_is_judged_alike_alone_and_among_sixty(seed: int) -> None:
    """The night asked of one day and the report of sixty; their walks began elsewhere, had learnt other things and disagreed."""
    random, low = Random(seed), set[int]()
    for start in [random.randint(0, 200) for _ in range(4)]:
        low |= set(range(start, start + random.choice([7, 10, 16, 21])))
    counts = [int(random.gauss(150, 18) * (0.4 if age in low else 1)) for age in range(240)]
    last = date(2026, 8, 1)
    rows, days = series(*counts, last=last), [last - timedelta(n) for n in range(60)]
    together = judge_row_counts(rows, days, LIMITS, last + timedelta(days=1))
    assert together == [judge(rows, day, last + timedelta(days=1)) for day in sorted(days)]
