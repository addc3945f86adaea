"""One order record as Shopify's REST API shows it. Shape only: which orders exist is `commerce_world`.

The people are invented. They are here so that a test can prove that no name, e-mail, phone or street reaches the disk.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

import numpy as np

from weathervane_resources.sandbox import commerce_world as world
from weathervane_resources.sandbox import taxes
from weathervane_resources.sandbox.config import TenantProfile
from weathervane_resources.sandbox.gazetteer import COUNTRY_NAMES, PLACES, Place

_FIRST_NAMES = ("Ada", "Bruno", "Chidi", "Dolores", "Esme", "Farouk", "Greta", "Hiro", "Ines", "Jonas")
_LAST_NAMES = ("Quillfeather", "Okonkwo-Test", "Marzipan", "Thistlewood", "Vandersloot", "Zielinska-Demo")
_STREETS = ("Imaginary Street", "Fictional Avenue", "Placeholder Lane", "Specimen Road")
_INWARD = {"CA": " 2T6", "GB": " 1AA"}  # the part that postal tables leave out
_PRODUCTS = ("Rain shell", "Wool beanie", "Trail bottle", "Sun hat", "Camp mug", "Fleece", "Dry bag", "Sandals")
_STATUS_AFTER = {
    world.CANCELLED: "voided",
    world.REFUNDED: "refunded",
    world.PARTLY_REFUNDED: "partially_refunded",
    world.EDITED: "partially_paid",
}


def money(cents: int) -> str:
    """Return an amount as the vendor writes it."""
    return f"{cents // 100}.{cents % 100:02d}"


def _money_set(amount: str, currency: str) -> dict[str, Any]:
    shop_money = {"amount": amount, "currency_code": currency}
    return {"shop_money": shop_money, "presentment_money": dict(shop_money)}


def local_time(epoch: int, zone: tzinfo) -> str:
    """Return an instant with the shop's UTC offset."""
    return datetime.fromtimestamp(int(epoch), zone).isoformat(timespec="seconds")


def _prices(record: np.void, current: int, profile: TenantProfile) -> dict[str, Any]:
    subtotal, tax, shipping = (int(record[name]) for name in ("subtotal_cents", "tax_cents", "shipping_cents"))
    shipping_now, are_included = _shipping_left(record, current), profile.taxes_included
    tax_now = taxes.of_items(current, are_included=are_included)
    tax_now += taxes.of_shipping_left(shipping, shipping_now, are_included=are_included)
    cents = {
        "subtotal_price": subtotal,
        "current_subtotal_price": current,
        "total_price": subtotal + shipping + (0 if are_included else tax),
        "current_total_price": current + shipping_now + (0 if are_included else tax_now),
        "total_tax": tax,
        "current_total_tax": tax_now,
        "total_discounts": int(record["discount_cents"]),
        "total_shipping_price": shipping,
    }
    amounts = {name: money(value) for name, value in cents.items()}
    sets = {f"{name}_set": _money_set(amount, profile.currency) for name, amount in amounts.items()}
    del amounts["total_shipping_price"]  # the vendor has only the set of this one
    return {**amounts, **sets}


def _shipping_left(record: np.void, current: int) -> int:
    return int(record["shipping_cents"] - record["shipping_back_cents"]) if current else 0


def _shipping_line(record: np.void, profile: TenantProfile) -> dict[str, Any]:
    """Return the shipping as it was charged: REST leaves it so when it is refunded, taxes included."""
    cents = int(record["shipping_cents"])
    tax, price = money(taxes.of_shipping(cents, are_included=profile.taxes_included)), money(cents)
    vat = {
        "title": "VAT",
        "rate": taxes.VAT_PERCENT / 100,
        "price": tax,
        "price_set": _money_set(tax, profile.currency),
    }
    return {
        "id": _shipping_line_id(record),
        "title": "Standard" if cents else "Free Shipping",
        "is_removed": False,
        "phone": None,
        "price": price,
        "price_set": _money_set(price, profile.currency),
        "discounted_price": price,
        "discounted_price_set": _money_set(price, profile.currency),
        "tax_lines": [vat] if profile.taxes_included and cents else [],
    }


def _shipping_line_id(record: np.void) -> int:
    return int(record["order_id"]) * 10 % 2**53


def _refunds(record: np.void, current: int, updated: str, profile: TenantProfile) -> list[dict[str, Any]]:
    """Return what was given back of the shipping, as one refund; the refunded items are in the amounts only."""
    back = int(record["shipping_cents"]) - _shipping_left(record, current)
    if not back:
        return []
    order_id, line_id = int(record["order_id"]), _shipping_line_id(record)
    line = {
        "id": line_id + 1,
        "shipping_line_id": line_id,
        "subtotal_amount_set": _money_set(money(back), profile.currency),
    }
    return [{"id": line_id, "order_id": order_id, "created_at": updated, "refund_shipping_lines": [line]}]


def _quantity_now(record: np.void, line: int, quantity: int, *, happened: bool) -> int:
    """Return what is left of a line: refunds and edits are of the first one, and nothing is left of nothing."""
    event = int(record["event"]) if happened else world.NO_EVENT
    if event in (world.CANCELLED, world.REFUNDED):
        return 0
    if (
        line == 0
        and event == world.PARTLY_REFUNDED
        and record["after_cents"] + record["unit_cents"] <= record["subtotal_cents"]
    ):
        return quantity - 1
    return quantity + 1 if line == 0 and event == world.EDITED else quantity


def _line_items(record: np.void, currency: str, *, happened: bool) -> list[dict[str, Any]]:
    order_id, person, price = int(record["order_id"]), int(record["person"]), money(int(record["unit_cents"]))
    return [
        {
            "id": order_id * 10 % 2**53 + line,
            "title": _PRODUCTS[(person + line) % len(_PRODUCTS)],
            "sku": f"SKU-{(person + line) % len(_PRODUCTS):03d}",
            "quantity": quantity,
            "current_quantity": _quantity_now(record, line, quantity, happened=happened),
            "price": price,
            "price_set": _money_set(price, currency),
            "total_discount": "0.00",
        }
        for line, quantity in enumerate([int(record["first_quantity"]), *[1] * (int(record["lines"]) - 1)])
    ]


def _person(record: np.void) -> dict[str, Any]:
    person = int(record["person"])
    first, last = _FIRST_NAMES[person % len(_FIRST_NAMES)], _LAST_NAMES[person % len(_LAST_NAMES)]
    return {
        "first_name": first,
        "last_name": last,
        "name": f"{first} {last}",
        "phone": f"+1555{person:07d}",
        "email": f"{first}.{last}.{person}@example.com".lower(),
    }


def _postal_code(place: Place, person: int) -> str:
    if place.country == "US" and person % 10 == 0:
        return f"{place.postal_code}-{1000 + person % 9000}"
    return place.postal_code + _INWARD.get(place.country, "")


def _shipping_address(record: np.void) -> dict[str, Any] | None:
    if record["address"] == world.NO_ADDRESS:
        return None
    place, person = PLACES[record["place"]], _person(record)
    nonsense = bool(record["address"] == world.NONSENSE_ADDRESS)
    located = bool(record["address"] == world.HAS_COORDINATES)
    return {
        "first_name": person["first_name"],
        "last_name": person["last_name"],
        "name": person["name"],
        "phone": person["phone"],
        "company": None,
        "address1": f"{1 + int(record['person']) % 980} {_STREETS[int(record['person']) % len(_STREETS)]}",
        "address2": None,
        "city": "Pick-up" if nonsense else place.city,
        "zip": "N/A" if nonsense else _postal_code(place, int(record["person"])),
        "province": None if nonsense else place.region,
        "province_code": None if nonsense else place.region_code,
        "country": COUNTRY_NAMES[place.country],
        "country_code": place.country,
        "latitude": float(record["latitude"]) if located else None,
        "longitude": float(record["longitude"]) if located else None,
    }


def order_json(record: np.void, at: datetime, zone: tzinfo, profile: TenantProfile) -> dict[str, Any]:
    """Return the order as the vendor shows it at a moment; later events are not yet visible."""
    event = int(record["event"])
    happened = event != world.NO_EVENT and int(record["event_at"]) <= at.timestamp()
    created = local_time(record["created"], zone)
    updated = local_time(record["event_at"], zone) if happened else created
    order_id, person, currency = int(record["order_id"]), _person(record), profile.currency
    current = int(record["after_cents"] if happened else record["subtotal_cents"])
    cancelled = happened and event == world.CANCELLED
    return {
        "id": order_id,
        "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
        "name": f"#{order_id % 10**11}",
        "order_number": order_id % 10**11,
        "created_at": created,
        "processed_at": created,
        "updated_at": updated,
        "cancelled_at": updated if cancelled else None,
        "cancel_reason": "customer" if cancelled else None,
        "closed_at": created if record["is_closed"] else None,
        "test": bool(record["is_test"]),
        "confirmed": True,
        "currency": currency,
        "presentment_currency": currency,
        "financial_status": _STATUS_AFTER[event] if happened else "paid",
        "fulfillment_status": "fulfilled" if record["is_closed"] else None,
        "taxes_included": profile.taxes_included,
        **_prices(record, current, profile),
        "shipping_lines": [_shipping_line(record, profile)],
        "refunds": _refunds(record, current, updated, profile),
        "line_items": _line_items(record, currency, happened=happened),
        "email": person["email"],
        "contact_email": person["email"],
        "phone": person["phone"],
        "browser_ip": "192.0.2.1",
        "customer": {"id": 10_000_000 + int(record["person"]), **person},
        "shipping_address": _shipping_address(record),
        "source_name": "web",
        "tags": "",
    }


def utc_text(at: datetime) -> str:
    """Return an instant in UTC with a Z, as the JSON APIs write it."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
