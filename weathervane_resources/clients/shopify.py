"""Shopify Admin REST: orders by created or updated time, their count, the shop, the token's scopes.

Facts (shopify.dev, read 2026-11): `status` defaults to `open` and forgets closed orders; `created_at_max` is
inclusive; with `page_info` only `limit` and `fields` may be sent; without `read_all_orders`, orders older than 60
days are absent, not an error; a retired version is served by the oldest living one and only `X-Shopify-API-Version`
tells.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

import msgspec

from weathervane_resources.clients.rows import BadRow, PageDecoder
from weathervane_resources.http.paging import LinkHeader, Trail
from weathervane_resources.http.session import Reply, Request, VendorSession
from weathervane_resources.http.strict_json import decode

R = TypeVar("R")
AmountField = Literal["total_price", "subtotal_price", "total_tax", "total_discounts", "current_subtotal_price"]
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
    total_price: str | None = None
    subtotal_price: str | None = None
    total_tax: str | None = None
    total_discounts: str | None = None
    current_subtotal_price: str | None = None
    total_price_set: MoneySet | None = None
    subtotal_price_set: MoneySet | None = None
    total_tax_set: MoneySet | None = None
    total_discounts_set: MoneySet | None = None
    current_subtotal_price_set: MoneySet | None = None
    line_items: list[LineItem] | None = None
    shipping_address: ShippingAddress | None = None

    def amount(self, field: AmountField) -> str | None:
        """Return an amount in the shop's currency, from the `_set` where present, else the plain field."""
        money = self._shop_money(field)
        plain: str | None = getattr(self, field)
        return money.amount if money and money.amount is not None else plain

    def shop_currency(self) -> str | None:
        """Return the currency that `amount` is in."""
        money = self._shop_money("total_price")
        return money.currency_code if money and money.currency_code else self.currency

    def _shop_money(self, field: AmountField) -> Money | None:
        money_set: MoneySet | None = getattr(self, f"{field}_set")
        return money_set.shop_money if money_set else None


class _Orders(msgspec.Struct, Generic[R]):
    orders: list[R]


class _Count(msgspec.Struct):
    count: int


class _ShopPage(msgspec.Struct):
    shop: Shop


class _Scope(msgspec.Struct):
    handle: str


class _Scopes(msgspec.Struct):
    access_scopes: list[_Scope]


FIELDS = ",".join(Order.__struct_fields__)
PAGE_SIZE = 250
_PAGE: PageDecoder[Order, Any] = PageDecoder(
    msgspec.json.Decoder(_Orders[Order]), msgspec.json.Decoder(_Orders[msgspec.Raw]), Order, lambda p: p.orders, ("id",)
)


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """One page. `duplicates` were on an earlier page, `outside` are the inclusive bound's edge: both are left out."""

    rows: list[Order]
    bad: list[BadRow]
    duplicates: int = 0
    outside: int = 0


@dataclass(frozen=True, slots=True)
class ShopifyClient:
    """One shop. `base_url` is `https://<shop>.myshopify.com` or its override."""

    session: VendorSession
    base_url: str
    api_version: str

    async def shop(self) -> Shop:
        """Return the shop's time zone, currency and the API version that really answers."""
        request = Request("GET", self._url("shop.json"), params={"fields": "iana_timezone,currency"}, window="shop")

        def parse(reply: Reply) -> Shop:
            shop = decode(reply.body, _ShopPage, self.session.where("shop")).shop
            return msgspec.structs.replace(shop, served_version=reply.headers.get("x-shopify-api-version"))

        return await self.session.read(request, parse)

    async def access_scopes(self) -> frozenset[str]:
        """Return the token's scopes; without `read_all_orders` orders older than 60 days are invisible."""
        url = f"{self.base_url.rstrip('/')}/admin/oauth/access_scopes.json"
        where = self.session.where("scopes")
        request = Request("GET", url, window="scopes")
        page = await self.session.read(request, lambda reply: decode(reply.body, _Scopes, where))
        return frozenset(scope.handle for scope in page.access_scopes)

    async def order_count(self, created_from: datetime, created_to: datetime) -> int:
        """Return how many orders were created in [from, to), by Shopify's own count (times have whole seconds)."""
        params = _bounds("created_at", created_from, created_to - timedelta(seconds=1))
        window = _window(created_from, created_to)
        request = Request("GET", self._url("orders/count.json"), params=params, window=window)
        where = self.session.where(window)
        return (await self.session.read(request, lambda reply: decode(reply.body, _Count, where))).count

    def orders(self, created_from: datetime, created_to: datetime) -> AsyncIterator[OrdersPage]:
        """Yield the orders created in [from, to), each once."""
        return self._orders("created_at", created_from, created_to)

    def changed_orders(self, updated_from: datetime, updated_to: datetime) -> AsyncIterator[OrdersPage]:
        """Yield the orders last updated in [from, to), each once."""
        return self._orders("updated_at", updated_from, updated_to)

    async def _orders(self, by: TimeField, start: datetime, end: datetime) -> AsyncIterator[OrdersPage]:
        window = _window(start, end)
        where = self.session.where(window)
        links = LinkHeader(self.session.origin, Trail(where))
        paging = {"limit": str(PAGE_SIZE), "fields": FIELDS}
        params = {**_bounds(by, start, end), "order": f"{by} asc", **paging}
        seen: set[int] = set()

        def parse(reply: Reply) -> tuple[Reply, list[Order], list[BadRow]]:
            _, rows, bad = _PAGE.decode(reply.body, where)
            return reply, rows, bad

        while True:
            request = Request("GET", self._url("orders.json"), params=params, window=window)
            reply, rows, bad = await self.session.read(request, parse)
            page = _page(rows, bad, seen, by, start, end)
            is_stale = bool(rows) and page.duplicates == len(rows)
            page_info = links.next(reply.headers, len(reply.body), is_stale=is_stale)
            yield page
            if page_info is None:
                return
            params = {"page_info": page_info, **paging}

    def _url(self, path: str) -> str:
        return f"{self.base_url.rstrip('/')}/admin/api/{self.api_version}/{path}"


def _page(
    rows: list[Order], bad: list[BadRow], seen: set[int], by: TimeField, start: datetime, end: datetime
) -> OrdersPage:
    """Return the page's new rows within [start, end); `seen` is extended."""
    kept: list[Order] = []
    duplicates = outside = 0
    for order in rows:
        at = _instant(getattr(order, by))
        if at is None:
            bad = [*bad, BadRow(f"{by} is not a time with an offset", str(order.id))]
        elif not start <= at < end:
            outside += 1
        elif order.id in seen:
            duplicates += 1
        else:
            kept.append(order)
        seen.add(order.id)
    return OrdersPage(kept, bad, duplicates, outside)


def _instant(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else None


def _bounds(by: TimeField, start: datetime, end: datetime) -> dict[str, str]:
    return {"status": "any", f"{by}_min": _stamp(start), f"{by}_max": _stamp(end)}


def _stamp(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("a window needs aware datetimes")
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _window(start: datetime, end: datetime) -> str:
    return f"{start.isoformat(timespec='seconds')}..{end.isoformat(timespec='seconds')}"
