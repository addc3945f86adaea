"""Shopify Admin REST, for shops that still use it: orders by created or updated time, their count, shop and scopes.

Facts (shopify.dev, read 2026-11): legacy since 2024-10-01, still served; `status` defaults to `open` and forgets closed
orders; `created_at_max` is inclusive; with `page_info` only `limit` and `fields` may be sent; a retired version is served
by the oldest living one and only `X-Shopify-API-Version` tells.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Generic, TypeVar

import msgspec

from weathervane_resources.clients.rows import BadRow, PageDecoder
from weathervane_resources.clients.shopify import Order, OrdersPage, Shop, TimeField
from weathervane_resources.clients.shopify_window import (
    ceil_second,
    kept_page,
    parts_of,
    require_sight,
    stamp,
    window_name,
)
from weathervane_resources.http.paging import LinkHeader, Trail
from weathervane_resources.http.session import Reply, Request, VendorSession, utc_now
from weathervane_resources.http.strict_json import decode

R = TypeVar("R")


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
class ShopifyRest:
    """One shop. `base_url` is `https://<shop>.myshopify.com` or its override."""

    session: VendorSession
    base_url: str
    api_version: str
    clock: Callable[[], datetime] = utc_now

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
        """Return how many orders were created in [from, to), by Shopify's own count."""
        return (await self.order_counts([created_from, created_to]))[0]

    async def order_counts(self, edges: Sequence[datetime]) -> list[int]:
        """Return the count between each two neighbours of `edges`, one request each."""
        spans = list(pairwise(edges))
        if spans:
            await self._require_sight(edges[0], window_name(edges[0], edges[-1]))
        return [await self._count(start, end) for start, end in spans]

    async def _count(self, start: datetime, end: datetime) -> int:
        """Count up to the last whole second of the window: `created_at_max` is inclusive."""
        params = _bounds("created_at", start, ceil_second(end) - timedelta(seconds=1))
        window = window_name(start, end)
        request, where = (
            Request("GET", self._url("orders/count.json"), params=params, window=window),
            self.session.where(window),
        )
        return (await self.session.read(request, lambda reply: decode(reply.body, _Count, where))).count

    async def orders(self, created_from: datetime, created_to: datetime) -> AsyncIterator[OrdersPage]:
        """Yield the orders created in [from, to), each once; parts of a long window are read at the same time.

        The time of creation does not change, so an order is in one part only; `changed_orders` has no such parts.
        """
        await self._require_sight(created_from, window_name(created_from, created_to))
        reads = [asyncio.create_task(self._part(*part)) for part in parts_of(created_from, created_to)]
        try:
            for pages in await asyncio.gather(*reads):
                for page in pages:
                    yield page
        finally:
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

    async def changed_orders(self, updated_from: datetime, updated_to: datetime) -> AsyncIterator[OrdersPage]:
        """Yield the orders last updated in [from, to), each once."""
        await self._require_sight(updated_from, window_name(updated_from, updated_to))
        async for page in self._orders("updated_at", updated_from, updated_to):
            yield page

    async def _part(self, start: datetime, end: datetime) -> list[OrdersPage]:
        return [page async for page in self._orders("created_at", start, end)]

    async def _orders(self, by: TimeField, start: datetime, end: datetime) -> AsyncIterator[OrdersPage]:
        window = window_name(start, end)
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
            page = kept_page(rows, bad, seen, by, start, end)
            is_stale = bool(rows) and page.duplicates == len(rows)
            page_info = links.next(reply.headers, len(reply.body), is_stale=is_stale)
            yield page
            if page_info is None:
                return
            params = {"page_info": page_info, **paging}

    async def _require_sight(self, start: datetime, window: str) -> None:
        await require_sight(start, self.clock(), self.access_scopes, self.session.where(window))

    def _url(self, path: str) -> str:
        return f"{self.base_url.rstrip('/')}/admin/api/{self.api_version}/{path}"


def _bounds(by: TimeField, start: datetime, end: datetime) -> dict[str, str]:
    return {"status": "any", f"{by}_min": stamp(start), f"{by}_max": stamp(end)}
