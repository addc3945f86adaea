"""Orders of any content: each is stored as it was sent, or set aside with its reason; no other error, nothing silent.

The strings are our own, after the categories of the Big List of Naughty Strings; no file of others is in the tree.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weathervane_assets.transforms.orders import order_rows
from weathervane_resources.clients.rows import BadRow
from weathervane_resources.clients.shopify import Order
from weathervane_resources.clients.shopify_rest import _PAGE
from weathervane_resources.clients.shopify_window import kept_page
from weathervane_resources.geocoder import PLACES_SCHEMA
from weathervane_resources.http.errors import Malformed

WHERE = {"vendor": "shopify", "tenant": "acme", "window": "w"}
NOW = datetime(2026, 11, 20, tzinfo=UTC)
STRINGS = (
    "", " ", "undefined", "null", "NULL", "nil", "None", "true", "NaN", "Infinity", "-Infinity", "0", "1/0", "1E400", "0x10",
    "1,000.00", "١٢٣", "①", "⅓", "<script>", "' OR 1=1--", "\";--", "%s%n", "%00", "\x00", "\x07\x1b[31m", "\t\n\r", "\u2028",
    "\ufeff", "\u200b", "\u202eabc", "A\u0301", "\u00c1", "I\u0307", "ß", "田中さん", "مرحبا", "הלו", "👩‍👩‍👧‍👦", "🇺🇸", "\U0010ffff",
    "Ⱥ", "../../etc/passwd", "C:\\con", "$(id)", "=1+1", "@SUM(1)", "{{7*7}}", "${7*7}", "Z" * 100_000, "a\u0300" * 5_000,
)  # fmt: skip
TIMES = (
    "0001-01-01T00:00:00Z", "1677-09-21T00:12:43Z", "1969-12-31T23:59:59Z", "2000-02-29T00:00:00Z", "2024-02-29T23:59:59+14:00",
    "2026-03-08T02:30:00-05:00", "2026-12-31T23:59:60Z", "2100-02-29T00:00:00Z", "2262-04-12T00:00:00Z", "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00", "10000-01-01T00:00:00Z", "2026-11-01", "2026-11-01T00:00:00", "yesterday", "1e9", "-1",
)  # fmt: skip
AMOUNTS = (
    "0", "-0.00", "0.0001", "0.00001", "1.23456789", "99999999999999.9999", "100000000000000", "-99999999999999.9999",
    "9223372036854775807", "9223372036854775808", "1e3", "1E-2", "1e400", "NaN", "inf", "-Infinity", "1_000", "1,5", "", " 1", "+1", "٣",
)  # fmt: skip
NUMBERS = (
    2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**70, -1, 0, -(2**63), 10**400, 1.0, 1.5, -0.0, 1e308, True, None, "1", [], {},
)  # fmt: skip
COORDINATES = (0.0, -0.0, 90.0, -90.0, 90.001, 180.0, -180.0, 180.001, 1e308, 5e-324, 359.9, None)


def sent(**more: Any) -> dict[str, Any]:
    money = dict.fromkeys(
        ("total_price", "subtotal_price", "total_tax", "total_discounts", "current_subtotal_price"), "1.50"
    )
    at = "2026-11-01T08:00:00Z"
    return {"id": 7, "name": "#7", "created_at": at, "updated_at": at, "currency": "USD", **money} | more


def judged(orders: list[dict[str, Any]], zone: str = "America/New_York") -> tuple[list[dict[str, Any]], list[str]]:
    """Decode and transform as a run does; what went in comes out in one of two places."""
    _, rows, bad = _PAGE.decode(json.dumps({"orders": orders}, allow_nan=False).encode(), WHERE)
    assert len(rows) + len(bad) == len(orders)
    page = kept_page(rows, bad, set(), "created_at", datetime(1900, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC))
    rows, bad, outside = page.rows, page.bad, ["created outside the window that was asked for"] * page.outside
    assert all(isinstance(row, BadRow) and row.reason for row in bad)
    done = order_rows(rows, PLACES_SCHEMA.to_frame(), tenant_id="acme", timezone=zone, source="shopify_api", as_of=NOW)
    assert done.rows.height + done.rejects.height == len(rows)
    assert done.rejects["reason"].null_count() == 0
    return done.rows.to_dicts(), [*(row.reason for row in bad), *outside, *done.rejects["reason"]]


@pytest.mark.parametrize("field", ["name", "financial_status", "currency", "created_at", "cancelled_at", "total_price"])
def test_any_text_is_kept_to_the_letter_or_set_aside(field: str) -> None:
    """Text that is trimmed, folded or cut changes a key without a word."""
    for text in STRINGS:
        rows, reasons = judged([sent(**{field: text})])
        assert len(rows) + len(reasons) == 1
        if rows and field in ("name", "financial_status"):
            assert rows[0][field] == text


@pytest.mark.parametrize("field", ["zip", "country_code", "city", "province_code"])
def test_any_address_is_kept_or_found_nowhere(field: str) -> None:
    """An odd postal code must cost its cell, not the order."""
    for text in STRINGS:
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
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def survives(body: bytes) -> None:
    """Decoded and sorted, or one typed error; whatever else is raised fails the test."""
    try:
        _, rows, bad = _PAGE.decode(body, WHERE)
    except Malformed:
        return
    done = order_rows(rows, PLACES_SCHEMA.to_frame(), tenant_id="acme", timezone="UTC", source="shopify_api", as_of=NOW)
    assert done.rows.height + done.rejects.height == len(rows)
    assert all(isinstance(row, Order) for row in rows)
    assert all(row.reason for row in bad)


def cut_and_flipped(edits: list[tuple[int, int]], end: int) -> None:
    body = bytearray(GOOD)
    for position, value in edits:
        body[position % len(body)] = value
    survives(bytes(body[: end or None]))


def odd_field(field: str, value: Any) -> None:
    survives(json.dumps({"orders": [sent(**{field: value}), sent(id=2)]}).encode())


EDITS = {
    "edits": st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    "end": st.integers(-50, 0),
}
FIELDS = {"field": st.sampled_from(sorted(sent(shipping_address=0, line_items=0, test=0))), "value": ANY_JSON}


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(**EDITS)
def test_a_damaged_page_is_read_or_refused(edits: list[tuple[int, int]], end: int) -> None:
    """A flipped bit in a proxy is enough."""
    cut_and_flipped(edits, end)


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(**FIELDS)
def test_a_field_of_any_type_costs_its_row_at_most(field: str, value: Any) -> None:
    """A vendor's number that became text ended a night's run."""
    odd_field(field, value)


@pytest.mark.faults
@settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**EDITS)
def test_thousands_of_damaged_pages(edits: list[tuple[int, int]], end: int) -> None:
    """The same, at length."""
    cut_and_flipped(edits, end)


@pytest.mark.faults
@settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**FIELDS)
def test_thousands_of_odd_fields(field: str, value: Any) -> None:
    """The same, at length."""
    odd_field(field, value)
