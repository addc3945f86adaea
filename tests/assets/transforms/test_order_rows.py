"""Shopify orders to rows: exact money, the shop's day, nothing invented."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_assets.tables import Orders, polars_schema
from weathervane_assets.transforms.orders import geocoded_by_day, order_columns, order_rows
from weathervane_assets.transforms.rejects import Sorted
from weathervane_resources.clients.shopify import LineItem, Money, MoneySet, Order, ShippingAddress
from weathervane_resources.geocoder import PLACES_SCHEMA

NOW = datetime(2025, 6, 1, 8, tzinfo=UTC)
NO_PLACES = pl.DataFrame(schema=PLACES_SCHEMA)
AMOUNTS = {
    "total_price": "23.80", "subtotal_price": "20.00", "total_tax": "3.80", "total_discounts": "0.00",
    "current_subtotal_price": "20.00",
}  # fmt: skip


def order(number: int = 1, created_at: str = "2025-03-01T12:00:00Z", **change: Any) -> Order:
    sent = {"id": number, "created_at": created_at, "updated_at": "2025-03-02T00:00:00Z", "currency": "USD"}
    return Order(**{**sent, **AMOUNTS, **change})


def rows(*orders: Order, timezone: str = "America/New_York") -> pl.DataFrame:
    return sort_out(*orders, timezone=timezone).rows


def sort_out(*orders: Order, timezone: str = "America/New_York") -> Sorted:
    return order_rows(
        order_columns(orders), NO_PLACES, tenant_id="acme", timezone=timezone, source="shopify_api", as_of=NOW
    )


def row(*orders: Order, timezone: str = "America/New_York") -> dict[str, Any]:
    return rows(*orders, timezone=timezone).row(0, named=True)


def test_a_plain_order_fills_every_column_of_the_contract() -> None:
    """The contract and the transform drift apart one column at a time."""
    address = ShippingAddress("02134-1", "US", "Boston", "MA", 42.35549, -71.13251)
    found = rows(
        order(
            line_items=[LineItem(2, 2), LineItem(1, 0)], shipping_address=address, name="#1001", financial_status="paid"
        )
    )
    assert found.schema == polars_schema(Orders)
    Orders.validate(found)
    (only,) = found.to_dicts()
    assert only["tenant_id"] == "acme"
    assert (only["order_id"], only["name"], only["financial_status"]) == ("1", "#1001", "paid")
    assert (only["ship_latitude"], only["ship_longitude"], only["geo_source"]) == (42.355, -71.133, "address")
    assert (only["line_item_count"], only["is_test"], only["cancelled_at"]) == (2, False, None)
    assert (only["source"], only["as_of_utc"]) == ("shopify_api", NOW)


def test_no_orders_are_a_frame_with_the_schema() -> None:
    """Empty frames lost their schema and crashed the next join."""
    assert rows().schema == polars_schema(Orders)
    assert rows().is_empty()


@pytest.mark.parametrize(
    ("timezone", "created_at", "day"),
    [
        ("Europe/Berlin", "2025-06-30T22:30:00Z", date(2025, 7, 1)),
        ("Europe/Berlin", "2025-07-01T00:30:00+02:00", date(2025, 7, 1)),
        ("Europe/Berlin", "2025-07-01T21:59:59Z", date(2025, 7, 1)),
        ("America/New_York", "2025-03-02T04:30:00Z", date(2025, 3, 1)),
        ("America/New_York", "2025-03-01T23:30:00-05:00", date(2025, 3, 1)),
        # the clocks go forward at 2 a.m. on March 9: the day has 23 hours
        ("America/New_York", "2025-03-09T04:59:59Z", date(2025, 3, 8)),
        ("America/New_York", "2025-03-09T05:00:00Z", date(2025, 3, 9)),
        ("America/New_York", "2025-03-10T03:59:59Z", date(2025, 3, 9)),
        # and back on November 2: the day has 25
        ("America/New_York", "2025-11-02T04:00:00Z", date(2025, 11, 2)),
        ("America/New_York", "2025-11-03T04:59:59Z", date(2025, 11, 2)),
        # an offset that is not the shop's is only another way to write an instant
        ("America/New_York", "2025-03-02T08:00:00+09:00", date(2025, 3, 1)),
        ("Pacific/Auckland", "2024-12-31T11:00:00Z", date(2025, 1, 1)),
        ("Asia/Kolkata", "2025-01-01T18:29:59Z", date(2025, 1, 1)),
    ],
)
def test_an_order_is_on_the_day_the_shop_saw_it(timezone: str, created_at: str, day: date) -> None:
    """UTC days: Berlin's first of July began on June 30, and the last day of each window was lost."""
    assert row(order(created_at=created_at), timezone=timezone)["date"] == day


ZONES = ("America/New_York", "Europe/Berlin", "Pacific/Auckland", "Asia/Kolkata", "America/St_Johns", "Africa/Cairo")


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(ZONES), st.sampled_from(ZONES),
    st.datetimes(datetime(2024, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)).map(lambda t: t.replace(microsecond=0)),
)  # fmt: skip
def test_the_day_does_not_depend_on_the_offset_an_instant_is_written_in(
    shop: str, written: str, instant: datetime
) -> None:
    """`created_at[:10]` is the day of whoever wrote the string."""
    found = row(order(created_at=instant.astimezone(ZoneInfo(written)).isoformat()), timezone=shop)
    assert found["created_at"] == instant
    assert found["date"] == instant.astimezone(ZoneInfo(shop)).date()


CENTS = st.decimals(0, 9_999_999, places=2)


@settings(max_examples=30, deadline=None)
@given(st.lists(CENTS, min_size=1, max_size=30))
def test_money_is_exact_to_the_cent_and_so_is_its_sum(amounts: list[Decimal]) -> None:
    """As floats, 0.1 + 0.2 is not 0.3, and a month of revenue never matched the shop's report."""
    found = rows(*(order(n, current_subtotal_price=str(amount)) for n, amount in enumerate(amounts)))
    assert not [name for name, dtype in found.schema.items() if dtype.is_float() and not name.startswith("ship_")]
    assert found["net_revenue"].sum() == sum(amounts)


def test_net_revenue_is_the_current_subtotal_and_null_where_there_is_none() -> None:
    """The target was set by the stub only: live, it was never filled, and 0 looked like a free order."""
    assert row(order(current_subtotal_price="12.50"))["net_revenue"] == Decimal("12.5")
    found = row(order(current_subtotal_price=None))
    assert found["net_revenue"] is None
    assert found["subtotal_price"] == Decimal(20)


def test_amounts_are_the_shops_money_not_the_buyers() -> None:
    """A buyer in yen: 3,000 of revenue in a shop that counts in dollars."""
    found = row(order(currency="JPY", total_price="3000", total_price_set=MoneySet(Money("19.90", "USD"))))
    assert (found["total_price"], found["currency"]) == (Decimal("19.9"), "USD")


def test_cancelled_and_test_orders_are_kept_and_marked() -> None:
    """Dropped here, a cancelled order could not be told from one never fetched."""
    found = rows(order(1, cancelled_at="2025-03-03T10:00:00-05:00"), order(2, test=True))
    assert found["cancelled_at"].to_list() == [datetime(2025, 3, 3, 15, tzinfo=UTC), None]
    assert found["is_test"].to_list() == [False, True]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"created_at": "yesterday"}, "created_at"), ({"updated_at": None}, "updated_at"), ({"currency": None}, "currency"), ({"currency": "usd"}, "currency"),
        ({"total_price": None}, "total_price"), ({"total_price": "12,50"}, "total_price"), ({"total_tax": ""}, "total_tax"),
        ({"cancelled_at": "soon"}, "cancelled_at"), ({"current_subtotal_price": "free"}, "net_revenue"),
    ],
)  # fmt: skip
def test_an_order_with_a_value_that_cannot_be_read_is_set_aside(change: dict[str, Any], column: str) -> None:
    """A cancellation time in a new format became null, and cancelled orders counted as sales."""
    found = sort_out(order(1), order(2, **change))
    assert found.rows["order_id"].to_list() == ["1"]
    day = None if column == "created_at" else date(2025, 3, 1)
    assert found.rejects.rows() == [(day, "2", f"{column} is missing or not usable")]


def test_every_reason_is_named_and_no_value() -> None:
    """The value that could not be read may be anything, a customer's name even."""
    found = sort_out(order(1, currency="XXX", total_price="Jane Doe", created_at="2025-02-30T10:00:00Z"))
    (reject,) = found.rejects.to_dicts()
    columns = ("created_at", "currency", "total_price")
    assert reject["reason"] == "; ".join(f"{column} is missing or not usable" for column in columns)


def test_an_unknown_state_passes() -> None:
    """A payment state that Shopify added last week is no reason to lose the sale."""
    assert row(order(financial_status="partially_teleported"))["financial_status"] == "partially_teleported"


def test_an_order_without_an_address_is_an_order() -> None:
    """Gift cards and pickups ship nowhere; their revenue is the tenant's all the same."""
    found = row(order(shipping_address=None))
    assert (found["geo_source"], found["ship_geohash"], found["shipping_country"]) == ("none", None, None)


def test_coverage_is_a_share_of_orders_and_null_free() -> None:
    """A ratio over nothing was 1.0, and a day without orders looked perfectly geocoded."""
    here = ShippingAddress(latitude=42.0, longitude=-71.0)
    found = geocoded_by_day(
        rows(order(1, shipping_address=here), order(2), order(3, created_at="2025-03-05T12:00:00Z"))
    )
    assert found.rows() == [(date(2025, 3, 1), 2, 1, 0.5), (date(2025, 3, 5), 1, 0, 0.0)]
    assert geocoded_by_day(rows()).is_empty()
