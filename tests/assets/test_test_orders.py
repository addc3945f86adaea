"""An order in test mode ships nothing: it makes no place active."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

from weathervane_assets.as_of import AsOf
from weathervane_assets.tables import Orders, polars_schema, shape_of
from weathervane_assets.weather import active_in, places_of_year
from weathervane_assets.window import Window
from weathervane_resources.lake import Lake
from weathervane_resources.tenants import Tenant

DAYS = [date(2026, 2, 1) + timedelta(days=n) for n in range(3)]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OFFICE, HOME = "dr5re", "dpsby"


def lake_of(root: Path) -> Lake:
    """Return a lake with a test order to both places on the first day, and a customer's to one of them on the third."""
    facts = [(DAYS[0], OFFICE, True), (DAYS[0], HOME, True), (DAYS[2], HOME, False)]
    rows = [
        {"tenant_id": "acme", "date": day, "order_id": str(n), "created_at": NOW, "updated_at": NOW, "is_test": is_test,
         "currency": "USD", "net_revenue": Decimal(1), "ship_geohash": place, "source": "shopify_api", "as_of_utc": NOW}
        for n, (day, place, is_test) in enumerate(facts)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides=polars_schema(Orders))
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in polars_schema(Orders).items() if name not in frame]
    whole = frame.with_columns(absent).select(polars_schema(Orders).names())
    lake = Lake(str(root))
    lake.replace("acme", "orders", whole, shape=shape_of(Orders), days=DAYS, source="shopify_api", run_id="r", now=NOW)
    return lake


def window(lake: Lake, *days: date) -> Window:
    tenant = Tenant("acme", "A", "America/New_York", "USD", date(2026, 1, 1), join_mode="as_of", decision_lead_days=1)
    return Window(tenant, days, NOW, lake)


def test_a_place_is_active_from_its_first_customer_on(tmp_path: Path) -> None:
    """A developer's test order gave the office a year of rows without sales, and hid the first order of a place."""
    found = active_in(window(lake_of(tmp_path), *DAYS))
    assert found.select("date", "geohash", "is_first_order_day").rows() == [(DAYS[2], HOME, True)]


def test_no_decision_knows_a_place_by_a_test_order(tmp_path: Path) -> None:
    """The day before, no customer had ordered there."""
    assert AsOf(window(lake_of(tmp_path), DAYS[2])).active.is_empty()


def test_no_weather_is_asked_for_of_a_place_without_a_customer(tmp_path: Path) -> None:
    """Each one costs a share of the hourly quota."""
    assert places_of_year(window(lake_of(tmp_path), *DAYS), 2026)["geohash"].to_list() == [HOME]
