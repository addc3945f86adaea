"""Rows that pages repeat."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec

from weathervane_assets.transforms.ads import CONTRADICTED, meta_rows
from weathervane_assets.transforms.rejects import Sorted
from weathervane_resources.clients.meta_ads import Insight

ROW = {
    "date_start": "2026-11-01",
    "account_id": "1",
    "campaign_id": "2",
    "adset_id": "3",
    "spend": "10.00",
    "impressions": "5",
    "clicks": "1",
}


def sort_out(*changes: dict[str, str]) -> Sorted:
    insights = [msgspec.convert(ROW | change, Insight) for change in changes]
    at = datetime(2026, 11, 2, tzinfo=UTC)
    return meta_rows(insights, tenant_id="acme", currency="USD", source="meta_api", as_of=at)


def test_a_row_that_two_pages_carry_is_spent_once() -> None:
    """Overlapping pages gave one connector 710 duplicates, and the spend of those days twice."""
    assert sort_out({}, {}, {"adset_id": "4"}).rows.height == 2


def test_two_versions_of_one_day_are_set_aside() -> None:
    """Which of two numbers is right cannot be known; keeping either would be a guess."""
    found = sort_out({}, {"spend": "11.00"}, {"adset_id": "4"})
    assert found.rows["adset_id"].to_list() == ["4"]
    assert found.rejects.rows() == [(date(2026, 11, 1), "1/2/3", CONTRADICTED)] * 2
