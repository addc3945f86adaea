"""Time zones whose rules are newer than those that polars was built with: every day is cut by one database, Python's."""

from __future__ import annotations

import shutil
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from weathervane_assets.transforms.orders import order_columns, order_rows
from weathervane_assets.transforms.promos import promo_rows
from weathervane_resources.clients.klaviyo import Campaign
from weathervane_resources.clients.shopify import Order
from weathervane_resources.geocoder import PLACES_SCHEMA
from weathervane_resources.tenants import Tenant

SHOP = Tenant(id="acme", name="Acme", timezone="America/Vancouver", currency="CAD", start_date=date(2024, 1, 1))
DAY = date(2026, 11, 12)


@pytest.fixture(autouse=True)
def newer_rules(tmp_path: Path) -> Iterator[None]:
    """A database in which Vancouver has changed its rules, as it may: here it has Tokyo's."""
    target = tmp_path / "America" / "Vancouver"
    target.parent.mkdir()
    with resources.as_file(resources.files("tzdata") / "zoneinfo" / "Asia" / "Tokyo") as tokyo:
        shutil.copy(tokyo, target)
    zoneinfo.reset_tzpath([str(tmp_path)])
    ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    ZoneInfo.clear_cache()


def half_hours() -> list[str]:
    start, end = SHOP.window(DAY, DAY)
    assert (start, end - start) == (datetime(2026, 11, 11, 15, tzinfo=UTC), timedelta(days=1))
    return [(start + timedelta(minutes=30 * n)).isoformat() for n in range(48)]


def test_an_order_is_kept_on_the_day_that_it_was_asked_for() -> None:
    """Nights dropped an hour of Vancouver's orders that no other night had asked for."""
    sent = [
        Order(id=n, created_at=at, updated_at=at, currency="CAD", total_price="1.00", subtotal_price="1.00",
              current_subtotal_price="1.00", total_tax="0.00", total_discounts="0.00")
        for n, at in enumerate(half_hours())
    ]  # fmt: skip
    places = pl.DataFrame(schema=PLACES_SCHEMA)
    found = order_rows(
        order_columns(sent), places, tenant_id="acme", timezone=SHOP.timezone, source="stub", as_of=datetime.now(UTC)
    )
    assert found.rows["date"].to_list() == [DAY] * 48


def test_a_campaign_is_on_the_day_that_its_shop_sees() -> None:
    sent = [
        Campaign(id=str(n), name="n", channel="email", status="Sent", created_at=at, updated_at=at, send_time=at)
        for n, at in enumerate(half_hours())
    ]
    found = promo_rows(sent, [DAY], tenant_id="acme", timezone=SHOP.timezone, source="stub", as_of=datetime.now(UTC))
    assert found.rows["date"].to_list() == [DAY] * 48
