"""Orders of any content: each is stored as it was sent, or set aside with its reason; no other error, nothing silent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.bad_values import (
    AMOUNTS,
    ANY_JSON,
    COORDINATES,
    EDITS,
    FEW,
    MANY,
    NUMBERS,
    TIMES,
    damaged,
)  # fmt: skip
from weathervane_assets.transforms.orders import order_columns, order_rows
from weathervane_resources.clients.rows import BadRow
from weathervane_resources.clients.shopify import Order
from weathervane_resources.clients.shopify_rest import _PAGE
from weathervane_resources.clients.shopify_window import kept_page
from weathervane_resources.geocoder import PLACES_SCHEMA
from weathervane_resources.http.errors import Malformed

WHERE = {"vendor": "shopify", "tenant": "acme", "window": "w"}
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def sent(**more: Any) -> dict[str, Any]:
    money = dict.fromkeys(
        ("total_price", "subtotal_price", "total_tax", "total_discounts", "current_subtotal_price"), "1.50"
    )
    at = "2026-11-01T08:00:00Z"
    taxes = {
        "taxes_included": True,
        "current_total_tax": "0.30",
        "shipping_lines": [{"tax_lines": [{"price": "0.05"}]}],
    }
    return {"id": 7, "name": "#7", "created_at": at, "updated_at": at, "currency": "USD", **money, **taxes} | more


def judged(orders: list[dict[str, Any]], zone: str = "America/New_York") -> tuple[list[dict[str, Any]], list[str]]:
    """Decode and transform as a run does; what went in comes out in one of two places."""
    _, rows, bad = _PAGE.decode(json.dumps({"orders": orders}, allow_nan=False).encode(), WHERE)
    assert len(rows) + len(bad) == len(orders)
    page = kept_page(rows, bad, set(), "created_at", datetime(1900, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC))
    rows, bad, outside = page.rows, page.bad, ["created outside the window that was asked for"] * page.outside
    assert all(isinstance(row, BadRow) and row.reason for row in bad)
    done = order_rows(
        order_columns(rows), PLACES_SCHEMA.to_frame(), tenant_id="acme", timezone=zone, source="shopify_api", as_of=NOW
    )
    assert done.rows.height + done.rejects.height == len(rows)
    assert done.rejects["reason"].null_count() == 0
    return done.rows.to_dicts(), [*(row.reason for row in bad), *outside, *done.rejects["reason"]]


@pytest.mark.parametrize("field", ["name", "financial_status", "currency", "created_at", "cancelled_at", "total_price"])
def test_any_text_is_kept_to_the_letter_or_set_aside(field: str, texts: tuple[str, ...]) -> None:
    """Text that is trimmed, folded or cut changes a key without a word."""
    for text in texts:
        rows, reasons = judged([sent(**{field: text})])
        assert len(rows) + len(reasons) == 1
        if rows and field in ("name", "financial_status"):
            assert rows[0][field] == text


@pytest.mark.parametrize("field", ["zip", "country_code", "city", "province_code"])
def test_any_address_is_kept_or_found_nowhere(field: str, texts: tuple[str, ...]) -> None:
    """An odd postal code must cost its cell, not the order."""
    for text in texts:
        rows, reasons = judged([sent(shipping_address={field: text})])
        assert (len(rows), reasons) == (1, [])
        if field == "zip":
            assert rows[0]["shipping_postal_code"] == (text or None)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_an_amount_is_exact_or_set_aside(amount: str) -> None:
    """Money that does not fit was rounded, or became null."""
    rows, reasons = judged([sent(total_price=amount)])
    if rows:
        assert rows[0]["total_price"] == Decimal(amount)
    else:
        assert "total_price" in reasons[0]


@pytest.mark.parametrize("amount", AMOUNTS)
def test_a_tax_is_exact_or_its_order_set_aside(amount: str) -> None:
    """What is taken out of revenue is as exact as revenue."""
    rows, reasons = judged([sent(current_total_tax=amount)])
    if rows:
        assert rows[0]["net_revenue"] == max(
            Decimal("1.50") - max(Decimal(amount) - Decimal("0.05"), Decimal(0)), Decimal(0)
        )
    else:
        assert "current_total_tax" in reasons[0]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: str(n)[:24])
def test_an_id_is_exact_or_set_aside(number: Any) -> None:
    """An id beyond 2^53 beside a float silently changed its last digit."""
    rows, reasons = judged([sent(id=number), sent(id=11)])
    assert len(rows) + len(reasons) == 2
    ids = [row["order_id"] for row in rows]
    assert "11" in ids
    assert len(ids) == 1 or str(number) in ids


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("time", TIMES)
def test_a_time_is_its_instant_or_set_aside(time: str, zone: str) -> None:
    """The year 9999 in a zone east of Greenwich is a year that a date cannot hold."""
    rows, reasons = judged([sent(created_at=time)], zone)
    assert len(rows) + len(reasons) == 1
    if rows:
        assert rows[0]["created_at"].astimezone(UTC) == datetime.fromisoformat(time)


@pytest.mark.parametrize("latitude", COORDINATES)
def test_a_coordinate_off_the_globe_is_no_cell(latitude: float | None) -> None:
    """Geohash wraps 180.0001 around without a word."""
    for longitude in COORDINATES:
        rows, reasons = judged([sent(shipping_address={"latitude": latitude, "longitude": longitude})])
        assert (len(rows), reasons) == (1, [])
        on_globe = latitude is not None and longitude is not None and abs(latitude) <= 90 and abs(longitude) <= 180
        assert on_globe or rows[0]["ship_geohash"] is None


GOOD = json.dumps(
    {"orders": [sent(id=n, shipping_address={"zip": "10001", "latitude": 40.7}) for n in (1, 2)]}
).encode()


def survives(body: bytes) -> None:
    """Decoded and sorted, or one typed error; whatever else is raised fails the test."""
    try:
        _, rows, bad = _PAGE.decode(body, WHERE)
    except Malformed:
        return
    done = order_rows(
        order_columns(rows), PLACES_SCHEMA.to_frame(), tenant_id="acme", timezone="UTC", source="shopify_api", as_of=NOW
    )
    assert done.rows.height + done.rejects.height == len(rows)
    assert all(isinstance(row, Order) for row in rows)
    assert all(row.reason for row in bad)


def cut_and_flipped(edits: list[tuple[int, int]], end: int) -> None:
    survives(damaged(GOOD, edits, end))


def odd_field(field: str, value: Any) -> None:
    survives(json.dumps({"orders": [sent(**{field: value}), sent(id=2)]}).encode())


FIELDS = {"field": st.sampled_from(sorted(sent(shipping_address=0, line_items=0, test=0))), "value": ANY_JSON}


@FEW
@given(**EDITS)
def test_a_damaged_page_is_read_or_refused(edits: list[tuple[int, int]], end: int) -> None:
    """A flipped bit in a proxy is enough."""
    cut_and_flipped(edits, end)


@FEW
@given(**FIELDS)
def test_a_field_of_any_type_costs_its_row_at_most(field: str, value: Any) -> None:
    """A vendor's number that became text ended a night's run."""
    odd_field(field, value)


@pytest.mark.faults
@MANY
@given(**EDITS)
def test_thousands_of_damaged_pages(edits: list[tuple[int, int]], end: int) -> None:
    """The same, at length."""
    cut_and_flipped(edits, end)


@pytest.mark.faults
@MANY
@given(**FIELDS)
def test_thousands_of_odd_fields(field: str, value: Any) -> None:
    """The same, at length."""
    odd_field(field, value)
