"""One order record as Shopify's REST API shows it. Shape only: which orders exist is `commerce_world`.

The people are invented. They are here so that a test can prove that no name, e-mail, phone or street reaches the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

import numpy as np

from weathervane_resources.sandbox import commerce_world as world
from weathervane_resources.sandbox import taxes
from weathervane_resources.sandbox.config import TenantProfile
from weathervane_resources.sandbox.gazetteer import COUNTRY_NAMES, PLACES, Place
from weathervane_resources.sandbox.made_fields import MadeFields

Record = Mapping[str, Any]
"""An order's record as Python's own numbers, by the names of `world.ORDER_RECORD`."""

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
_COLUMNS = tuple(world.ORDER_RECORD.names or ())


class _Order:
    """An order at a moment; later events are not yet visible."""

    def __init__(self, record: np.void, at: datetime, zone: tzinfo, profile: TenantProfile) -> None:
        self.record: Record = dict(zip(_COLUMNS, record.item(), strict=True))
        event = self.record["event"]
        self.zone, self.profile = zone, profile
        self.event = event if event != world.NO_EVENT and self.record["event_at"] <= at.timestamp() else world.NO_EVENT
        self.current: int = self.record["after_cents" if self.event else "subtotal_cents"]

    @property
    def created(self) -> str:
        """Return when it was placed."""
        return local_time(self.record["created"], self.zone)

    @property
    def updated(self) -> str:
        """Return when it last changed."""
        return local_time(self.record["event_at" if self.event else "created"], self.zone)

    @property
    def cancelled(self) -> str | None:
        """Return when it was cancelled, if it was."""
        return self.updated if self.event == world.CANCELLED else None

    @property
    def shipping_left(self) -> int:
        """Return what shipping costs after refunds, in cents."""
        return int(self.record["shipping_cents"] - self.record["shipping_back_cents"]) if self.current else 0


def shown_order(record: np.void, at: datetime, zone: tzinfo, profile: TenantProfile) -> MadeFields:
    """Return the order as the vendor shows it at a moment."""
    return MadeFields(_FIELDS, _Order(record, at, zone, profile))


@lru_cache(maxsize=16_384)
def money(cents: int) -> str:
    """Return an amount as the vendor writes it."""
    return f"{cents // 100}.{cents % 100:02d}"


def _money_set(amount: str, currency: str) -> dict[str, Any]:
    return {
        "shop_money": {"amount": amount, "currency_code": currency},
        "presentment_money": {"amount": amount, "currency_code": currency},
    }


@lru_cache(maxsize=1024)
def local_time(epoch: int, zone: tzinfo) -> str:
    """Return an instant with the shop's UTC offset."""
    return datetime.fromtimestamp(epoch, zone).isoformat(timespec="seconds")


def _total(order: _Order) -> int:
    record = order.record
    tax = 0 if order.profile.taxes_included else record["tax_cents"]
    return int(record["subtotal_cents"] + record["shipping_cents"] + tax)


def _current_total(order: _Order) -> int:
    return order.current + order.shipping_left + (0 if order.profile.taxes_included else _current_tax(order))


def _current_tax(order: _Order) -> int:
    are_included, shipping = order.profile.taxes_included, order.record["shipping_cents"]
    of_shipping = taxes.of_shipping_left(shipping, order.shipping_left, are_included=are_included)
    return int(taxes.of_items(order.current, are_included=are_included)) + of_shipping


_CENTS: Mapping[str, Callable[[_Order], int]] = {
    "subtotal_price": lambda order: order.record["subtotal_cents"],
    "current_subtotal_price": lambda order: order.current,
    "total_price": _total,
    "current_total_price": _current_total,
    "total_tax": lambda order: order.record["tax_cents"],
    "current_total_tax": _current_tax,
    "total_discounts": lambda order: order.record["discount_cents"],
    "total_shipping_price": lambda order: order.record["shipping_cents"],
}


def _amount_of(name: str) -> Callable[[_Order], str]:
    cents = _CENTS[name]
    return lambda order: money(cents(order))


def _set_of(name: str) -> Callable[[_Order], dict[str, Any]]:
    cents = _CENTS[name]
    return lambda order: _money_set(money(cents(order)), order.profile.currency)


def _shipping_line(order: _Order) -> dict[str, Any]:
    """Return the shipping as it was charged: REST leaves it so when it is refunded, taxes included."""
    cents, profile = order.record["shipping_cents"], order.profile
    tax, price = money(taxes.of_shipping(cents, are_included=profile.taxes_included)), money(cents)
    vat = {
        "title": "VAT",
        "rate": taxes.VAT_PERCENT / 100,
        "price": tax,
        "price_set": _money_set(tax, profile.currency),
    }
    return {
        "id": _shipping_line_id(order.record),
        "title": "Standard" if cents else "Free Shipping",
        "is_removed": False,
        "phone": None,
        "price": price,
        "price_set": _money_set(price, profile.currency),
        "discounted_price": price,
        "discounted_price_set": _money_set(price, profile.currency),
        "tax_lines": [vat] if profile.taxes_included and cents else [],
    }


def _shipping_line_id(record: Record) -> int:
    return int(record["order_id"] * 10 % 2**53)


def _refunds(order: _Order) -> list[dict[str, Any]]:
    """Return what was given back of the shipping, as one refund; the refunded items are in the amounts only."""
    back = order.record["shipping_cents"] - order.shipping_left
    if not back:
        return []
    order_id, line_id = order.record["order_id"], _shipping_line_id(order.record)
    line = {
        "id": line_id + 1,
        "shipping_line_id": line_id,
        "subtotal_amount_set": _money_set(money(back), order.profile.currency),
    }
    return [{"id": line_id, "order_id": order_id, "created_at": order.updated, "refund_shipping_lines": [line]}]


def _quantity_now(order: _Order, line: int, quantity: int) -> int:
    """Return what is left of a line: refunds and edits are of the first one, and nothing is left of nothing."""
    record, event = order.record, order.event
    if event in (world.CANCELLED, world.REFUNDED):
        return 0
    if (
        line == 0
        and event == world.PARTLY_REFUNDED
        and record["after_cents"] + record["unit_cents"] <= record["subtotal_cents"]
    ):
        return quantity - 1
    return quantity + 1 if line == 0 and event == world.EDITED else quantity


def _line_items(order: _Order) -> list[dict[str, Any]]:
    record, currency = order.record, order.profile.currency
    order_id, person, price = record["order_id"], record["person"], money(record["unit_cents"])
    return [
        {
            "id": order_id * 10 % 2**53 + line,
            "title": _PRODUCTS[(person + line) % len(_PRODUCTS)],
            "sku": f"SKU-{(person + line) % len(_PRODUCTS):03d}",
            "quantity": quantity,
            "current_quantity": _quantity_now(order, line, quantity),
            "price": price,
            "price_set": _money_set(price, currency),
            "total_discount": "0.00",
        }
        for line, quantity in enumerate([record["first_quantity"], *[1] * (record["lines"] - 1)])
    ]


def _person(record: Record) -> dict[str, Any]:
    person = record["person"]
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


def _shipping_address(order: _Order) -> dict[str, Any] | None:
    record = order.record
    if record["address"] == world.NO_ADDRESS:
        return None
    place, person, number = PLACES[record["place"]], _person(record), record["person"]
    nonsense, located = record["address"] == world.NONSENSE_ADDRESS, record["address"] == world.HAS_COORDINATES
    return {
        "first_name": person["first_name"],
        "last_name": person["last_name"],
        "name": person["name"],
        "phone": person["phone"],
        "company": None,
        "address1": f"{1 + number % 980} {_STREETS[number % len(_STREETS)]}",
        "address2": None,
        "city": "Pick-up" if nonsense else place.city,
        "zip": "N/A" if nonsense else _postal_code(place, number),
        "province": None if nonsense else place.region,
        "province_code": None if nonsense else place.region_code,
        "country": COUNTRY_NAMES[place.country],
        "country_code": place.country,
        "latitude": record["latitude"] if located else None,
        "longitude": record["longitude"] if located else None,
    }


_FIELDS: Mapping[str, Callable[[_Order], Any]] = {
    "id": lambda order: order.record["order_id"],
    "admin_graphql_api_id": lambda order: f"gid://shopify/Order/{order.record['order_id']}",
    "name": lambda order: f"#{order.record['order_id'] % 10**11}",
    "order_number": lambda order: order.record["order_id"] % 10**11,
    "created_at": lambda order: order.created,
    "processed_at": lambda order: order.created,
    "updated_at": lambda order: order.updated,
    "cancelled_at": lambda order: order.cancelled,
    "cancel_reason": lambda order: "customer" if order.event == world.CANCELLED else None,
    "closed_at": lambda order: order.created if order.record["is_closed"] else None,
    "test": lambda order: order.record["is_test"],
    "confirmed": lambda _: True,
    "currency": lambda order: order.profile.currency,
    "presentment_currency": lambda order: order.profile.currency,
    "financial_status": lambda order: _STATUS_AFTER.get(order.event, "paid"),
    "fulfillment_status": lambda order: "fulfilled" if order.record["is_closed"] else None,
    "taxes_included": lambda order: order.profile.taxes_included,
    # the vendor has only the set of what shipping costs
    **{name: _amount_of(name) for name in _CENTS if name != "total_shipping_price"},
    **{f"{name}_set": _set_of(name) for name in _CENTS},
    "shipping_lines": lambda order: [_shipping_line(order)],
    "refunds": _refunds,
    "line_items": _line_items,
    "email": lambda order: _person(order.record)["email"],
    "contact_email": lambda order: _person(order.record)["email"],
    "phone": lambda order: _person(order.record)["phone"],
    "browser_ip": lambda _: "192.0.2.1",
    "customer": lambda order: {"id": 10_000_000 + order.record["person"], **_person(order.record)},
    "shipping_address": _shipping_address,
    "source_name": lambda _: "web",
    "tags": lambda _: "",
}


def utc_text(at: datetime) -> str:
    """Return an instant in UTC with a Z, as the JSON APIs write it."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
