"""Rows that pages repeat."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest

from weathervane_assets.transforms.ads import CONTRADICTED, google_rows, meta_rows
from weathervane_assets.transforms.rejects import Sorted
from weathervane_resources.clients.google_ads import Campaign, CampaignDay, Customer, Metrics, Segments
from weathervane_resources.clients.meta_ads import Insight

ROW = {
    "date_start": "2026-11-01",
    "account_id": "1",
    "campaign_id": "2",
    "campaign_name": "Spring",
    "adset_id": "3",
    "adset_name": "Women",
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


@pytest.mark.parametrize("name", ["campaign_name", "adset_name"])
def test_a_row_that_was_renamed_between_two_pages_is_spent_once_and_has_the_last_name(name: str) -> None:
    """A marketer renamed a campaign while it was read: its day was set aside, and the small account's run failed for good."""
    found = sort_out({}, {"adset_id": "4"}, {name: "Renamed"})
    assert found.rows.select("adset_id", name, "spend").rows() == [
        ("3", "Renamed", Decimal(10)),
        ("4", ROW[name], Decimal(10)),
    ]
    assert found.rejects.is_empty()


def test_a_renamed_row_with_other_numbers_is_set_aside_like_any_other() -> None:
    """Names left out of the comparison must not let another spend win by coming last."""
    found = sort_out({}, {"campaign_name": "Summer", "spend": "11.00"}, {"campaign_name": "Autumn"})
    assert found.rows.is_empty()
    assert found.rejects["reason"].to_list() == [CONTRADICTED] * 2


def test_a_google_campaign_that_was_renamed_between_two_pages_is_spent_once() -> None:
    """The same rename on the other platform, whose rows have no ad set at all."""
    days = [
        CampaignDay(Customer("42", "USD"), Campaign("7", name), Segments("2026-11-01"), Metrics(cost_micros="5000000"))
        for name in ("Spring", "Summer")
    ]
    found = google_rows(days, tenant_id="acme", source="google_ads_api", as_of=datetime(2026, 11, 2, tzinfo=UTC))
    assert found.rows.select("campaign_name", "spend").rows() == [("Summer", Decimal(5))]
    assert found.rejects.is_empty()
