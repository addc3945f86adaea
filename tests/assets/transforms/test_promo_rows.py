"""Klaviyo campaigns to rows, each on the day it goes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from weathervane_assets.tables import Promos, polars_schema
from weathervane_assets.transforms.promos import promo_rows
from weathervane_assets.transforms.rejects import Sorted
from weathervane_resources.clients.klaviyo import Campaign

NOW = datetime(2025, 6, 1, 8, tzinfo=UTC)
FEB28, MAR1, MAR2, MAR3 = date(2025, 2, 28), date(2025, 3, 1), date(2025, 3, 2), date(2025, 3, 3)


def campaign(number: str = "c1", **change: Any) -> Campaign:
    sent = {
        "id": number, "channel": "email", "name": "Spring", "status": "Sent", "archived": False,
        "created_at": "2025-02-28T10:00:00+00:00", "updated_at": "2025-03-02T10:00:00+00:00",
    }  # fmt: skip
    return Campaign(**{**sent, **change})


def rows(
    *campaigns: Campaign, days: Sequence[date] = (FEB28, MAR1, MAR2, MAR3), timezone: str = "America/New_York"
) -> pl.DataFrame:
    return sort_out(*campaigns, days=days, timezone=timezone).rows


def sort_out(
    *campaigns: Campaign, days: Sequence[date] = (FEB28, MAR1, MAR2, MAR3), timezone: str = "America/New_York"
) -> Sorted:
    return promo_rows(campaigns, days, tenant_id="acme", timezone=timezone, source="klaviyo_api", as_of=NOW)


@pytest.mark.parametrize(
    ("times", "day"),
    [
        ({"send_time": "2025-03-02T15:00:00+00:00", "scheduled_at": "2025-03-01T15:00:00+00:00"}, MAR2),
        ({"scheduled_at": "2025-03-01T15:00:00+00:00"}, MAR1),
        ({}, FEB28),
        ({"send_time": "2025-03-02T04:30:00+00:00"}, MAR1),
        ({"send_time": "2025-03-03T00:30:00-05:00"}, MAR3),
        ({"send_time": "2025-03-02 15:00:00+00:00"}, MAR2),
        ({"send_time": "2025-03-02T15:00:00.123456Z"}, MAR2),
    ],
    ids=["sent", "scheduled", "draft", "late in the evening", "with an offset", "a space for the T", "fractions"],
)
def test_a_campaign_is_on_the_tenants_day_it_goes_out(times: dict[str, str], day: date) -> None:
    """A campaign of Saturday evening counted on Sunday, and Klaviyo's space-separated times came out null."""
    found = rows(campaign(**times))
    Promos.validate(found)
    assert found["date"].to_list() == [day]


def test_campaigns_of_other_days_are_left_out() -> None:
    """The API filters by another field than we place by, so neighbours come along: each run would append them."""
    found = rows(
        campaign("a", send_time="2025-03-01T12:00:00Z"), campaign("b", send_time="2025-03-02T12:00:00Z"), days=[MAR1]
    )
    assert found["campaign_id"].to_list() == ["a"]


def test_no_campaigns_are_a_frame_with_the_schema() -> None:
    """A quiet week is an empty frame, not a frame without columns."""
    assert rows().schema == polars_schema(Promos)


def test_absent_optionals_stay_null_and_absent_state_is_named() -> None:
    """A draft has no send time: it must not be 1970."""
    (row,) = rows(campaign(name=None, status=None, archived=None)).to_dicts()
    assert (row["name"], row["scheduled_at"], row["send_time"]) == (None, None, None)
    assert (row["status"], row["is_archived"]) == ("Unknown", False)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"created_at": None}, "created_at"),
        ({"updated_at": "recently"}, "updated_at"),
        ({"send_time": "soon"}, "send_time"),
    ],
)
def test_a_campaign_with_a_time_that_cannot_be_read_is_set_aside(change: dict[str, Any], column: str) -> None:
    """An unread send time moved the campaign, silently, to the day it was drafted."""
    found = sort_out(campaign("good"), campaign(**change))
    assert found.rows["campaign_id"].to_list() == ["good"]
    assert found.rejects["key"].to_list() == ["c1"]
    assert found.rejects["reason"].to_list() == [f"{column} is missing or not usable"]
