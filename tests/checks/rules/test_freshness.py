"""Whether a tenant's newest due day is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from weathervane_checks.freshness import is_new
from weathervane_checks.rules.freshness import Freshness, freshness_by_tenant, judge_freshness
from weathervane_checks.thresholds import Thresholds
from weathervane_resources.lake import Lake
from weathervane_resources.lake_ledger import LEDGER_SCHEMA
from weathervane_resources.tenants import Tenant

ACME = Tenant("acme", "Acme", "America/New_York", "USD", date(2026, 1, 1))
KIWI = Tenant("kiwi", "Kiwi", "Pacific/Auckland", "NZD", date(2026, 1, 1))
NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)  # noon in New York: the 19th is due
DUE = date(2026, 11, 19)


def ledger(
    *days: date, at: datetime = NOON, dataset: str = "orders", source: str = "live", rows: int = 8
) -> pl.DataFrame:
    noted = [(dataset, day, rows, at, source) for day in days]
    names = ("dataset", "date", "row_count", "written_at_utc", "source")
    return pl.DataFrame(noted, schema={name: LEDGER_SCHEMA[name] for name in names}, orient="row")


def judge(rows: pl.DataFrame, now: datetime = NOON, dataset: str = "orders", tenant: Tenant = ACME) -> Freshness:
    found = judge_freshness(dataset, tenant, rows, Thresholds(), now)
    assert found is not None
    return found


def test_only_the_due_day_makes_a_dataset_fresh() -> None:
    """A backfill of March turned the light green, and yesterday was still missing."""
    march = [date(2026, 3, 1) + timedelta(days=n) for n in range(31)]
    assert judge(ledger(*march, DUE)).severity == "ok"
    stale = judge(ledger(*march))
    assert (stale.severity, stale.newest, stale.due, stale.alerts) == ("critical", march[-1], DUE, ("dataset_stale",))
    assert stale.days_late == (DUE - march[-1]).days


def test_a_start_date_that_was_moved_past_old_days_asks_for_nothing_before_it() -> None:
    """The first night that was missed after it was 508 days late."""
    moved = replace(ACME, start_date=DUE)
    found = judge(ledger(DUE - timedelta(days=508)), tenant=moved)
    assert (found.severity, found.newest, found.days_late) == ("warning", DUE - timedelta(days=508), 1)


@pytest.mark.parametrize(("late", "severity"), [(0, "ok"), (1, "warning"), (2, "warning"), (3, "critical")])
def test_it_grows_worse_by_the_day(late: int, severity: str) -> None:
    """One missed night is caught up by the next one; three are an outage."""
    found = judge(ledger(DUE - timedelta(days=late)))
    assert (found.severity, found.days_late) == (severity, late)


@pytest.mark.parametrize(("hour", "due"), [(4, 18), (5, 18), (12, 18), (13, 19), (23, 19)])
def test_a_day_is_due_eight_hours_after_it_is_over_on_the_tenants_clock(hour: int, due: int) -> None:
    """At one minute past midnight UTC all of America was late; 13:00 UTC is 08:00 in New York."""
    assert judge(ledger(), datetime(2026, 11, 20, hour, tzinfo=UTC)).due == date(2026, 11, due)


def test_the_change_of_clocks_moves_nothing() -> None:
    """The night of 25 hours: due at eight hours after midnight, not at nine."""
    before, after = datetime(2026, 11, 1, 11, 59, tzinfo=UTC), datetime(2026, 11, 1, 12, 1, tzinfo=UTC)
    assert judge(ledger(), before).due == date(2026, 10, 30)
    assert judge(ledger(), after).due == date(2026, 10, 31)


def test_a_day_that_was_read_before_it_was_over_is_not_complete() -> None:
    """Someone looked at noon; half of the day was in the lake, and the night that failed was not missed."""
    noon_of_due = datetime(2026, 11, 19, 17, tzinfo=UTC)
    assert judge(ledger(DUE, at=noon_of_due)).severity == "critical"
    assert judge(ledger(DUE, at=datetime(2026, 11, 20, 5, 0, tzinfo=UTC))).severity == "ok"
    assert judge(ledger(DUE, at=datetime(2026, 11, 20, 4, 59, tzinfo=UTC))).severity == "critical"


def test_a_forecast_is_complete_when_issued_and_normals_are_due_by_the_year() -> None:
    """Today's forecast is written today, and the normals of a year once: both were stale every morning."""
    early = datetime(2026, 11, 19, 11, tzinfo=UTC)
    assert judge(ledger(DUE, at=early), dataset="weather_forecast").severity == "ok"
    assert judge(ledger(date(2026, 1, 1)), dataset="climatology").severity == "ok"
    assert judge(ledger(date(2025, 1, 1)), dataset="climatology").severity == "critical"


def forecasts(issued: Sequence[date], missed: Sequence[date], first_written: datetime = NOON) -> pl.DataFrame:
    """Return the ledger of days with their forecast, and of days that the night after them wrote without."""
    late = ledger(*missed, dataset="weather_forecast", source="not_kept", at=first_written, rows=0)
    return pl.concat([ledger(*issued, dataset="weather_forecast"), late])


def days_before(day: date, *ago: int) -> list[date]:
    return [day - timedelta(days=n) for n in ago]


@pytest.mark.parametrize(("late", "severity"), [(1, "warning"), (2, "warning"), (3, "critical"), (9, "critical")])
def test_a_forecast_that_nobody_asked_for_on_its_day_is_late_though_a_night_wrote_it(late: int, severity: str) -> None:
    """`issue_forecasts` never ran, nine days of forecasts were lost, and the night's empty days were fresh."""
    found = judge(forecasts([DUE - timedelta(days=late)], days_before(DUE, *range(late))), dataset="weather_forecast")
    assert (found.severity, found.days_late, found.alerts) == (severity, late, ("forecast_not_issued",))
    assert found.newest == DUE - timedelta(days=late)


def test_a_missed_forecast_is_no_emergency_once_there_is_one_again() -> None:
    """Nothing can be done about a day that is lost, and someone was woken for it."""
    missed = days_before(DUE, *range(9))
    found = judge(forecasts([DUE - timedelta(days=9), DUE + timedelta(days=1)], missed), dataset="weather_forecast")
    assert (found.severity, found.days_late) == ("warning", 9)
    back = judge(forecasts([DUE], missed[1:]), dataset="weather_forecast")
    assert (back.severity, back.alerts) == ("ok", ())


@pytest.mark.parametrize(("days_ago", "severity"), [(0, "ok"), (1, "warning"), (2, "warning"), (3, "critical")])
def test_history_without_forecasts_is_not_late_and_days_since_it_was_brought_in_are(
    days_ago: int, severity: str
) -> None:
    """A year was backfilled, none of whose forecasts could ever be had: the tenant would be 365 days late on its first morning."""
    brought_in = NOON - timedelta(days=days_ago)
    found = judge(forecasts([], days_before(DUE, *range(365)), brought_in), dataset="weather_forecast")
    assert (found.severity, found.newest) == (severity, None)
    assert found.days_late == max(0, days_ago)


def empty_forecasts(days: Sequence[date], written: datetime = NOON) -> pl.DataFrame:
    """Return the ledger of days on which no place was active before the day's own orders."""
    return ledger(*days, dataset="weather_forecast", source="open_meteo", at=written, rows=0)


@pytest.mark.parametrize(("days_ago", "severity"), [(0, "ok"), (1, "warning"), (2, "warning"), (3, "critical")])
@pytest.mark.parametrize("due_was_written", [True, False])
def test_the_first_day_of_a_backfill_is_no_forecast(days_ago: int, severity: str, due_was_written: bool) -> None:
    """It has the first orders, so nothing was missed on it: it passed for the newest forecast, and the days after it for late ones."""
    brought_in = NOON - timedelta(days=days_ago)
    missed = days_before(DUE, *range(0 if due_was_written else 1, 16))
    rows = pl.concat(
        [empty_forecasts(days_before(DUE, 17, 16), brought_in), forecasts([], missed, first_written=brought_in)]
    )
    found = judge(rows, dataset="weather_forecast")
    assert (found.severity, found.days_late) == (severity, days_ago)
    newest, alert = (None, "forecast_not_issued") if due_was_written else (DUE - timedelta(days=16), "dataset_stale")
    assert (found.newest, found.alerts) == (newest, (alert,) if days_ago else ())


@pytest.mark.parametrize(("late", "severity"), [(1, "warning"), (2, "warning"), (3, "critical")])
def test_a_shop_that_had_no_place_for_months_is_late_since_its_first_missed_forecast(late: int, severity: str) -> None:
    """Its days without a forecast are no forecasts, and one that was missed after all of them would be the 200th."""
    nights = [empty_forecasts([day], NOON - (DUE - day)) for day in days_before(DUE, *range(late, 200))]
    assert judge(pl.concat(nights), NOON - timedelta(days=late), "weather_forecast").severity == "ok"
    found = judge(pl.concat([*nights, forecasts([], days_before(DUE, *range(late)))]), dataset="weather_forecast")
    assert (found.severity, found.newest, found.days_late) == (severity, None, late)


def test_forecasts_that_stopped_are_late_whatever_was_brought_in_since() -> None:
    """The year before was backfilled while they stood still: its empty first day is no excuse, and today's empty one no forecast."""
    history = [empty_forecasts(days_before(DUE, 365)), forecasts([], days_before(DUE, *range(20, 365)))]
    stopped = forecasts(days_before(DUE, *range(9, 20)), days_before(DUE, *range(9)))
    rows = pl.concat([*history, stopped, empty_forecasts([DUE + timedelta(days=1)])])
    found = judge(rows, dataset="weather_forecast")
    assert (found.severity, found.newest, found.days_late) == ("critical", DUE - timedelta(days=9), 9)


def test_the_forecasts_of_a_demo_are_not_the_shops() -> None:
    """A shop went live a week after its demo, and was late since the last made-up forecast."""
    demo = ledger(*days_before(DUE, 9, 10), dataset="weather_forecast", source="stub", at=NOON - timedelta(days=9))
    live = [empty_forecasts(days_before(DUE, 8)), forecasts([], days_before(DUE, *range(8)))]
    found = judge(pl.concat([demo, *live]), dataset="weather_forecast")
    assert (found.severity, found.newest, found.days_late) == ("ok", None, 0)


def test_a_dataset_that_never_was_is_missing_and_a_tenant_that_begins_later_owes_nothing() -> None:
    """A tenant added this morning woke someone up."""
    found = judge(ledger())
    assert (found.severity, found.newest, found.alerts) == ("critical", None, ("dataset_missing",))
    later = Tenant("new", "New", "America/New_York", "USD", date(2026, 11, 20))
    assert judge_freshness("orders", later, ledger(), Thresholds(), NOON) is None


@pytest.mark.parametrize(("day", "late", "severity"), [(2, 1, "warning"), (3, 2, "warning"), (4, 3, "critical")])
def test_the_first_missed_mornings_of_a_new_tenant_are_as_late_as_any_others(
    day: int, late: int, severity: str
) -> None:
    """A tenant's first night failed, and someone was woken: one day late is a warning, said the docs."""
    new = Tenant("new", "New", "America/New_York", "USD", date(2026, 6, 1))
    now = datetime(2026, 6, day, 14, tzinfo=UTC)
    for dataset in ("orders", "weather_forecast", "climatology"):
        found = judge(ledger(), now, dataset, new)
        assert (found.severity, found.days_late, found.alerts) == (severity, late, ("dataset_missing",))


@pytest.mark.parametrize(("day", "late", "severity"), [(2, 1, "warning"), (3, 2, "warning"), (4, 3, "critical")])
def test_normals_are_late_since_their_year_has_days(day: int, late: int, severity: str) -> None:
    """On January 2 the normals of the year were 365 days late; of a tenant that began in June, -150."""
    found = judge(ledger(date(2026, 1, 1)), datetime(2027, 1, day, 14, tzinfo=UTC), "climatology")
    assert (found.severity, found.days_late, found.alerts) == (severity, late, ("dataset_stale",))
    assert (found.newest, found.due) == (date(2026, 1, 1), date(2027, 1, 1))
    first = judge_freshness("climatology", ACME, ledger(), Thresholds(), datetime(2026, 1, 1, 14, tzinfo=UTC))
    assert first is None


def test_the_worst_is_named_first_and_not_the_one_with_the_longest_patience() -> None:
    """A tenant with patience for a fortnight stood before the one whose shop had been dead for three days."""
    patient = Tenant(
        "patient", "P", "America/New_York", "USD", date(2026, 1, 1), thresholds={"freshness_critical_days": 14}
    )
    tenants = {"patient": patient, "acme": ACME}
    ledgers = {"patient": ledger(DUE - timedelta(days=9)), "acme": ledger(DUE - timedelta(days=3))}
    found = freshness_by_tenant("orders", ledgers, tenants, NOON)
    assert [(f.tenant, f.severity, f.days_late) for f in found] == [("acme", "critical", 3), ("patient", "warning", 9)]


def test_tenants_are_judged_by_their_own_clock_and_limits_the_worst_first() -> None:
    """In Auckland the 20th is over and due when New York has just had its 19th."""
    lazy = Tenant("lazy", "Lazy", "America/New_York", "USD", date(2026, 1, 1), thresholds={"freshness_grace_hours": 36})
    tenants = {"acme": ACME, "kiwi": KIWI, "lazy": lazy}
    now = datetime(2026, 11, 20, 20, tzinfo=UTC)
    mixed = pl.concat([ledger(DUE, at=now), ledger(date(2026, 11, 30), at=now, dataset="ads")])
    found = freshness_by_tenant("orders", dict.fromkeys(tenants, mixed), tenants, now)
    assert [(f.tenant, f.severity, f.due) for f in found] == [
        ("lazy", "critical", date(2026, 11, 18)),
        ("kiwi", "warning", date(2026, 11, 20)),
        ("acme", "ok", DUE),
    ]


@pytest.mark.parametrize("hours", [None, 1, 23, 24, 300])
def test_a_tenant_whose_first_backfill_may_still_run_is_not_critical(tmp_path: Path, hours: int | None) -> None:
    """Monday's new shop was nine critical alerts before its first backfill was through; two weeks later it is an outage."""
    rows = ledger() if hours is None else ledger(date(2026, 3, 1), at=NOON - timedelta(hours=hours))
    begun = not is_new(Lake(str(tmp_path)), "acme", rows, NOON)
    new = () if begun else ("acme",)
    (found,) = freshness_by_tenant("orders", {"acme": rows}, {"acme": ACME}, NOON, new)
    assert begun == (hours is not None and hours >= 24)
    expected = ("critical", ("dataset_stale",)) if begun else ("warning", ("not_backfilled",))
    assert (found.severity, found.alerts) == expected
    assert found.due == DUE


def test_a_fresh_dataset_of_a_new_tenant_is_fresh() -> None:
    """A warning about what is there would teach to look away."""
    found = freshness_by_tenant("orders", {"acme": ledger(DUE)}, {"acme": ACME}, NOON, {"acme"})
    assert found == [judge(ledger(DUE))]
