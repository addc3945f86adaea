"""Rows that pages repeat."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from weathervane_assets.transforms.ads import meta_rows
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


def rows(*changes: dict[str, str]) -> Any:
    insights = [msgspec.convert(ROW | change, Insight) for change in changes]
    at = datetime(2026, 11, 2, tzinfo=UTC)
    return meta_rows(insights, tenant_id="acme", currency="USD", source="meta_api", as_of=at).rows


def test_a_row_that_two_pages_carry_is_spent_once() -> None:
    """Overlapping pages gave one connector 710 duplicates, and the spend of those days twice."""
    assert rows({}, {}, {"adset_id": "4"}).height == 2


def test_two_versions_of_one_day_are_refused() -> None:
    """Which of two numbers is right cannot be known; keeping either would be a guess."""
    with pytest.raises(ValueError, match="contradict"):
        rows({}, {"spend": "11.00"})
