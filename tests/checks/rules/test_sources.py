"""Whether rows come from the vendor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

import polars as pl
import pytest

from weathervane_checks.rules.sources import judge_live_source

DAY, NEXT = date(2025, 6, 20), date(2025, 6, 21)


def ledger(*rows: tuple[date, str], at: Mapping[date, datetime] | None = None) -> pl.DataFrame:
    """Return a ledger whose days were written the night after, or `at`."""
    written = [(at or {}).get(day, datetime.combine(day, time(3), UTC) + timedelta(days=1)) for day, _ in rows]
    schema = {"date": pl.Date, "source": pl.String, "written_at_utc": pl.Datetime("us", "UTC")}
    return pl.DataFrame([(*row, one) for row, one in zip(rows, written, strict=True)], schema=schema, orient="row")


@pytest.mark.parametrize(
    ("source", "severity", "alerts"),
    [
        ("shopify_api", "ok", ()),
        ("stub", "warning", ("stub_source",)),
        ("not_configured", "ok", ()),
        ("not_kept", "ok", ()),
    ],
)
def test_stub_rows_warn_and_nothing_else_does(source: str, severity: str, alerts: tuple[str, ...]) -> None:
    """Sample orders stood in the lake for weeks: nothing told them from real ones."""
    (finding,) = judge_live_source(ledger((DAY, source)), [DAY])
    assert (finding.severity, finding.observed, finding.alerts) == (severity, source, alerts)


def test_a_source_that_was_live_and_is_not_configured_any_more_warns() -> None:
    """The container started without its secrets: the nights were empty and every check was content."""
    known = ledger((DAY, "shopify_api"), (NEXT, "not_configured"))
    assert [finding.alerts for finding in judge_live_source(known, [DAY, NEXT])] == [(), ("source_lost",)]
    before = ledger((DAY, "not_configured"), (NEXT, "shopify_api"))
    assert [finding.severity for finding in judge_live_source(before, [DAY, NEXT])] == ["ok", "ok"]


def test_a_source_that_was_given_up_warns_for_two_weeks_and_no_longer() -> None:
    """It was given up on purpose; the warning was reminded of each week until someone snoozed it."""
    days = [NEXT + timedelta(days=n) for n in range(20)]
    known = ledger((DAY, "shopify_api"), *((day, "not_configured") for day in days))
    found = [finding.alerts for finding in judge_live_source(known, days)]
    assert found == [("source_lost",)] * 15 + [()] * 5
    back = ledger(
        (DAY, "shopify_api"), (days[16], "shopify_api"), *((d, "not_configured") for d in days if d != days[16])
    )
    assert [f.alerts for f in judge_live_source(back, days)][15:] == [(), (), *[("source_lost",)] * 3]


def test_a_source_that_was_read_this_morning_is_lost_whatever_days_were_read() -> None:
    """An October was brought in on November 27, and ten minutes later the variables were gone: the days since counted as given up."""
    october, since = [date(2026, 10, n) for n in range(1, 32)], [date(2026, 9, 1), date(2026, 11, 20)]
    read = datetime(2026, 11, 27, 10, tzinfo=UTC)

    def alerts(found_at: datetime) -> list[tuple[str, ...]]:
        at = dict.fromkeys(october, read) | dict.fromkeys(since, found_at)
        rows = [(day, "shopify_api") for day in october] + [(day, "not_configured") for day in since]
        return [found.alerts for found in judge_live_source(ledger(*rows, at=at), since)]

    assert alerts(read + timedelta(minutes=10)) == [("source_lost",)] * 2
    assert alerts(read + timedelta(days=15)) == [("source_lost",)] * 2
    assert alerts(read + timedelta(days=15, seconds=1)) == [(), ()], "given up"
    assert alerts(read - timedelta(minutes=10)) == [(), ()], "not yet connected"


def test_a_day_that_the_vendor_does_not_keep_is_no_lost_source() -> None:
    """Days before and after it may have been read in their time."""
    known = ledger((DAY, "meta_api"), (NEXT, "not_kept"))
    assert [finding.severity for finding in judge_live_source(known, [DAY, NEXT])] == ["ok", "ok"]


def test_what_ends_soon_warns_on_the_last_day_with_a_code_of_its_own() -> None:
    """One of the two hid the other; thirty days of one run were thirty warnings."""
    known = ledger((DAY, "shopify_api"), (NEXT, "shopify_api"))
    first, last = judge_live_source(known, [DAY, NEXT], "", "ends on Friday")
    assert (first.severity, last.severity, last.alerts, last.note) == (
        "ok",
        "warning",
        ("credential_ends",),
        "ends on Friday",
    )
    both = judge_live_source(known, [DAY, NEXT], "v1 ends", "ends on Friday")[-1]
    assert (both.alerts, both.note) == (("credential_ends", "version_sunset"), "ends on Friday; v1 ends")
    made_up = judge_live_source(ledger((DAY, "stub")), [DAY], "", "ends on Friday")[-1]
    assert made_up.alerts == ("stub_source",)


def test_a_day_never_written_is_not_live() -> None:
    """An absent row has no source to object to, and passed."""
    first, second = judge_live_source(ledger((DAY, "meta_api")), [NEXT, DAY])
    assert (first.day, first.severity) == (DAY, "ok")
    assert (second.day, second.severity, second.alerts) == (NEXT, "warning", ("dataset_missing",))
