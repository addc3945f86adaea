"""Shopify orders as rows, and what a client of a shop can do, whichever protocol it speaks.

Belongs here: the shape of an order and of the interface. Does not belong here: how Shopify is asked (`shopify_rest.py`,
`shopify_graphql.py`) and which orders a window has (`shopify_window.py`).
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Literal, Protocol, get_args

import msgspec

from weathervane_resources.clients.rows import BadRow
from weathervane_resources.http.session import VendorSession

AmountField = Literal[
    "total_price", "subtotal_price", "total_tax", "total_discounts", "current_subtotal_price", "current_total_tax"
]
TimeField = Literal["created_at", "updated_at"]


class Shop(msgspec.Struct, frozen=True, gc=False):
    """The shop's day and money; `served_version` is what Shopify echoes, older than asked once ours is retired."""

    iana_timezone: str
    currency: str
    served_version: str | None = None


class Money(msgspec.Struct, frozen=True, gc=False):
    """A decimal string and its currency."""

    amount: str | None = None
    currency_code: str | None = None


class MoneySet(msgspec.Struct, frozen=True, gc=False):
    """An amount in the shop's currency; the buyer's (presentment) is not kept."""

    shop_money: Money | None = None


class LineItem(msgspec.Struct, frozen=True, gc=False):
    """How many were ordered, and how many remain after edits and refunds."""

    quantity: int | None = None
    current_quantity: int | None = None


class TaxLine(msgspec.Struct, frozen=True, gc=False):
    """One tax on a part of an order."""

    price: str | None = None
    price_set: MoneySet | None = None


class ShippingLine(msgspec.Struct, frozen=True):
    """A way of shipping that was paid for; one that an edit removed stays in the list, marked.

    The tax lines stay as they were when shipping is refunded; the current price falls. REST may not send that one.
    """

    tax_lines: list[TaxLine] | None = None
    is_removed: bool | None = None
    id: int | None = None
    discounted_price: str | None = None
    discounted_price_set: MoneySet | None = None
    current_discounted_price_set: MoneySet | None = None


class RefundedShipping(msgspec.Struct, frozen=True, gc=False):
    """What was given back of a shipping line, tax included where prices include it."""

    shipping_line_id: int | None = None
    subtotal_amount_set: MoneySet | None = None


class Refund(msgspec.Struct, frozen=True):
    """What a refund says of shipping; the items of it are in the order's current amounts."""

    refund_shipping_lines: list[RefundedShipping] | None = None


class ShippingAddress(msgspec.Struct, frozen=True, gc=False):
    """Where an order ships, to the city: no name, street or phone."""

    zip: str | None = None
    country_code: str | None = None
    city: str | None = None
    province_code: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class Order(msgspec.Struct, frozen=True):
    """An order as sent: times are strings with the shop's offset, amounts decimal strings."""

    id: int
    created_at: str
    name: str | None = None
    updated_at: str | None = None
    cancelled_at: str | None = None
    test: bool | None = None
    financial_status: str | None = None
    currency: str | None = None
    taxes_included: bool | None = None
    total_price: str | None = None
    subtotal_price: str | None = None
    total_tax: str | None = None
    total_discounts: str | None = None
    current_subtotal_price: str | None = None
    current_total_tax: str | None = None
    total_price_set: MoneySet | None = None
    subtotal_price_set: MoneySet | None = None
    total_tax_set: MoneySet | None = None
    total_discounts_set: MoneySet | None = None
    current_subtotal_price_set: MoneySet | None = None
    current_total_tax_set: MoneySet | None = None
    shipping_lines: list[ShippingLine] | None = None
    refunds: list[Refund] | None = None
    line_items: list[LineItem] | None = None
    shipping_address: ShippingAddress | None = None

    def amount(self, field: AmountField) -> str | None:
        """Return an amount in the shop's currency, from the `_set` where present, else the plain field."""
        plain, in_set = _AMOUNTS[field]
        return _shop_amount(plain(self), in_set(self))

    def shipping_taxes(self) -> list[str | None]:
        """Return each tax on what shipping cost before it was refunded, in the shop's currency."""
        return [_shop_amount(tax.price, tax.price_set) for line in self._shipping() for tax in line.tax_lines or ()]

    def shipping_charged(self) -> list[str] | None:
        """Return each price of shipping after discounts, before refunds; None where one was not sent."""
        return _all_sent(_shop_amount(line.discounted_price, line.discounted_price_set) for line in self._shipping())

    def shipping_left(self) -> list[str] | None:
        """Return each price of shipping after discounts and refunds; None where one was not sent."""
        return _all_sent(_shop_amount(None, line.current_discounted_price_set) for line in self._shipping())

    def shipping_refunded(self) -> list[str] | None:
        """Return each refund of shipping; None where there is none, or one was not sent."""
        lines = {line.id for line in self._shipping()}
        back = [one for refund in self.refunds or () for one in refund.refund_shipping_lines or ()]
        return _all_sent(_shop_amount(None, one.subtotal_amount_set) for one in back if one.shipping_line_id in lines)

    def _shipping(self) -> list[ShippingLine]:
        return [line for line in self.shipping_lines or () if not line.is_removed]

    def shop_currency(self) -> str | None:
        """Return the currency that `amount` is in."""
        money = self.total_price_set.shop_money if self.total_price_set else None
        return money.currency_code if money and money.currency_code else self.currency


def _shop_amount(plain: str | None, money_set: MoneySet | None) -> str | None:
    money = money_set.shop_money if money_set else None
    return plain if money is None or money.amount is None else money.amount


def _all_sent(amounts: Iterable[str | None]) -> list[str] | None:
    found = list(amounts)
    sent = [text for text in found if text is not None]
    return sent if sent and len(sent) == len(found) else None


_AMOUNTS = {name: (attrgetter(name), attrgetter(f"{name}_set")) for name in get_args(AmountField)}


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """One page. `duplicates` were on an earlier page, `outside` are the inclusive bound's edge: both are left out."""

    rows: list[Order]
    bad: list[BadRow]
    duplicates: int = 0
    outside: int = 0


class ShopifyClient(Protocol):
    """One shop. Windows are half-open, of aware datetimes; an order that is yielded is yielded once."""

    @property
    def session(self) -> VendorSession:
        """The session, for its counts."""

    @property
    def api_version(self) -> str:
        """The version asked for."""

    async def shop(self) -> Shop:
        """Return the shop's time zone, currency and the API version that really answers."""

    async def access_scopes(self) -> frozenset[str]:
        """Return the token's scopes; without `read_all_orders` orders older than 60 days are invisible."""

    async def order_count(self, created_from: datetime, created_to: datetime) -> int:
        """Return how many orders were created in [from, to), by Shopify's own count.

        Raises: PermissionLost: the window has days that the token cannot see.
        """

    async def order_counts(self, edges: Sequence[datetime]) -> list[int]:
        """Return Shopify's own count between each two neighbours of `edges`: of each day, given the days' starts.

        Raises: PermissionLost: the window has days that the token cannot see.
        """

    def orders(self, created_from: datetime, created_to: datetime) -> AsyncIterator[OrdersPage]:
        """Yield the orders created in [from, to), whatever their status.

        Raises: PermissionLost: the window has days that the token cannot see.
        """

    def changed_orders(self, updated_from: datetime, updated_to: datetime) -> AsyncIterator[OrdersPage]:
        """Yield the orders last updated in [from, to), whatever their status."""
