"""As many rows as the vendor says it has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from weathervane_checks.rules.completeness import Counted, judge_completeness
from weathervane_resources.refusals import REFUSALS_SCHEMA

SUN, MON, TUE, WED = date(2025, 3, 2), date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)
TODAY = date(2025, 4, 1)
WRITTEN = datetime(2025, 3, 6, tzinfo=UTC)
SCHEMA = {
    "date": pl.Date, "row_count": pl.Int64, "source": pl.String, "run_id": pl.String,
    "written_at_utc": pl.Datetime("us", "UTC"), "expected_rows": pl.Int64, "expected_days": pl.Int64,
}  # fmt: skip


def day(
    at: date = MON, rows: int = 10, expected: int | None = 10, days: int | None = 1, **change: Any
) -> dict[str, Any]:
    row = {"date": at, "row_count": rows, "source": "shopify_api", "run_id": "run", "written_at_utc": WRITTEN}
    return {**row, "expected_rows": expected, "expected_days": days, **change}


def judge(
    *rows: dict[str, Any],
    quarantined: Mapping[date, int] | None = None,
    refused: tuple[tuple[date, str, datetime], ...] = (),
    days: tuple[date, ...] = (MON,),
    today: date = TODAY,
) -> list[tuple[str, tuple[str, ...]]]:
    ledger = pl.DataFrame(rows, schema=SCHEMA)
    refusals = pl.DataFrame(refused, schema=REFUSALS_SCHEMA, orient="row")
    found = judge_completeness(Counted(ledger, quarantined or {}, refusals), days, today)
    assert [finding.day for finding in found] == sorted(days)
    return [(finding.severity, finding.alerts) for finding in found]


OK = ("ok", ())
MISSING = ("critical", ("rows_missing",))


@pytest.mark.parametrize(
    ("rows", "expected", "says"), [(10, 10, OK), (9, 10, MISSING), (0, 1, MISSING), (0, 0, OK), (11, 10, OK)]
)
def test_fewer_rows_than_the_vendor_counts_are_critical_and_more_are_not(rows: int, expected: int, says: Any) -> None:
    """392 of 8,000 orders came, exit code 0: nothing had asked Shopify how many there are."""
    assert judge(day(rows=rows, expected=expected)) == [says]


def test_a_row_in_the_quarantine_came() -> None:
    """Set aside with its reason, a row is not missing; one alarm is enough."""
    assert judge(day(rows=9), quarantined={MON: 1}) == [OK]
    assert judge(day(rows=8), quarantined={MON: 1}) == [MISSING]


def test_a_row_of_no_known_day_fills_one_gap_of_its_window() -> None:
    """A row whose date cannot be read is filed under the window's first day, and the day it belongs to was red."""
    three = (day(MON), day(TUE, rows=9), day(WED))
    days = (MON, TUE, WED)
    assert judge(*three, quarantined={MON: 1}, days=days) == [OK, OK, OK]
    assert judge(*three[:2], day(WED, rows=9), quarantined={MON: 1}, days=days) == [OK, OK, MISSING]
    assert judge(day(MON, rows=9), *three[1:], quarantined={MON: 1}, days=days) == [OK, MISSING, OK]


def test_a_row_of_no_known_day_fills_one_gap_and_no_day_pays_twice_for_it() -> None:
    """Moved to a day without a gap, it was taken from the day it is filed under, or was gone before the gap came."""
    three = (day(MON), day(TUE), day(WED, rows=9))
    days = (MON, TUE, WED)
    assert judge(*three, quarantined={MON: 1}, days=days) == [OK, OK, OK]
    assert judge(*three[:2], day(WED, rows=8), quarantined={MON: 1}, days=days) == [OK, OK, MISSING]


@pytest.mark.parametrize("judged", [(MON, TUE, WED), (SUN, MON, TUE, WED), (TUE, WED), (WED,)])
def test_a_row_of_no_known_day_counts_for_its_run_whichever_days_are_judged(judged: tuple[date, ...]) -> None:
    """The check said ok, ok; the report of sixty days, and the check of one day run again, said that a row is missing."""
    run = (day(MON, run_id="caught up"), day(TUE, run_id="caught up"), day(WED, rows=9, run_id="caught up"))
    rows = (day(SUN, run_id="the night before"), *run)
    assert judge(*rows, quarantined={MON: 1}, days=judged) == [OK] * len(judged)


def test_a_row_of_no_known_day_fills_no_gap_of_another_run() -> None:
    """A row that is missing was covered by one that came with another night."""
    rows = (day(MON, run_id="night"), day(TUE, rows=9, run_id="the night after"))
    assert judge(*rows, quarantined={MON: 1}, days=(MON, TUE)) == [OK, MISSING]


def test_no_rows_never_fetched_and_not_permitted_are_three_things() -> None:
    """All three were an empty day, and the model learnt that nobody buys in January."""
    refused = ((MON, "lacks read_all_orders", WRITTEN + timedelta(hours=1)),)
    assert judge(day(rows=0, expected=0)) == [OK]
    assert judge() == [("critical", ("dataset_missing",))]
    assert judge(refused=refused) == [("critical", ("not_permitted",))]
    assert judge(day(), refused=refused) == [("critical", ("not_permitted",))]
    assert judge(day(), refused=((MON, "old", WRITTEN - timedelta(hours=1)),)) == [OK]


def test_what_cannot_be_judged_is_not() -> None:
    """A day that is still filling up is short by nature; a source without credentials has nothing to count."""
    assert judge(day(rows=3), today=MON) == [OK]
    assert judge(day(rows=0, expected=None, days=None, source="not_configured")) == [OK]
    assert judge(day(expected=None, days=None)) == [("warning", ("vendor_count_missing",))]


def test_a_long_window_is_judged_as_a_whole() -> None:
    """A count for each of 700 days is 700 requests; one says as much, if not of which day."""
    whole = [day(MON, 5, 20, 3), day(TUE, 8, 20, 3), day(WED, 7, 20, 3)]
    days = (MON, TUE, WED)
    assert judge(*whole, days=days) == [OK] * 3
    assert judge(*whole[:2], day(WED, 6, 20, 3), days=days) == [MISSING] * 3
    assert judge(*whole[:2], day(WED, 6, 20, 3), quarantined={MON: 1}, days=days) == [OK] * 3
    assert judge(*whole[:2], day(WED, 7, 7, run_id="later"), days=days) == [OK] * 3
