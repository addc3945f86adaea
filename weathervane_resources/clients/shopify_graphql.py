"""Shopify Admin GraphQL, the default protocol: orders, in pages or in bulk, their count, the shop, the token's scopes.

Facts (shopify.dev, read 2026-11): a page has at most 250 orders and a query may cost 1000 points; without `status:any`
the search may leave out archived orders; counts are capped at 10,000 unless `limit` is null; a retired version is served
by the oldest living one and only `X-Shopify-API-Version` tells.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Generic, TypeVar

import msgspec

from weathervane_resources.clients.jobs import Jobs, MemoryJobs
from weathervane_resources.clients.shopify import OrdersPage, Shop, TimeField
from weathervane_resources.clients.shopify_bulk import BulkReader
from weathervane_resources.clients.shopify_graph import Graph
from weathervane_resources.clients.shopify_long import LongWindow
from weathervane_resources.clients.shopify_pages import pages, search
from weathervane_resources.clients.shopify_window import require_sight, window_name
from weathervane_resources.http.errors import Malformed
from weathervane_resources.http.session import Reply, VendorSession, utc_now
from weathervane_resources.http.strict_json import decode

D = TypeVar("D")
COUNTS_AT_ONCE = 50
LONGEST_IN_PAGES = timedelta(days=31)

_SHOP = "query Shop { shop { ianaTimezone currencyCode } }"
_SCOPES = "query Scopes { currentAppInstallation { accessScopes { handle } } }"


class _Answer(msgspec.Struct, Generic[D]):
    data: D


class _Count(msgspec.Struct):
    count: int
    precision: str


class _ShopFacts(msgspec.Struct, rename="camel"):
    iana_timezone: str
    currency_code: str


class _ShopOf(msgspec.Struct):
    shop: _ShopFacts


class _Scope(msgspec.Struct):
    handle: str


class _Installation(msgspec.Struct, rename="camel"):
    access_scopes: list[_Scope]


class _ScopesOf(msgspec.Struct, rename="camel"):
    current_app_installation: _Installation


@dataclass(slots=True)
class ShopifyGraphql:
    """One shop. `base_url` is `https://<shop>.myshopify.com` or its override."""

    session: VendorSession
    base_url: str
    api_version: str
    jobs: Jobs = field(default_factory=MemoryJobs)
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    graph: Graph = field(init=False)
    _bulk: BulkReader = field(init=False)

    def __post_init__(self) -> None:
        """Name the endpoint."""
        url = f"{self.base_url.rstrip('/')}/admin/api/{self.api_version}/graphql.json"
        self.graph = Graph(self.session, url)
        self._bulk = BulkReader(self.graph, self.jobs, self.clock, self.sleep)

    async def shop(self) -> Shop:
        """Return the shop's time zone, currency and the API version that really answers."""

        def parse(reply: Reply) -> Shop:
            facts = decode(reply.body, _Answer[_ShopOf], self.session.where("shop")).data.shop
            return Shop(facts.iana_timezone, facts.currency_code, reply.headers.get("x-shopify-api-version"))

        return await self.graph.ask(_SHOP, {}, parse, "shop")

    async def access_scopes(self) -> frozenset[str]:
        """Return the token's scopes; without `read_all_orders` orders older than 60 days are invisible."""
        where = self.session.where("scopes")
        found = await self.graph.ask(_SCOPES, {}, lambda reply: decode(reply.body, _Answer[_ScopesOf], where), "scopes")
        return frozenset(scope.handle for scope in found.data.current_app_installation.access_scopes)

    async def order_count(self, created_from: datetime, created_to: datetime) -> int:
        """Return how many orders were created in [from, to), by Shopify's own count."""
        return (await self.order_counts([created_from, created_to]))[0]

    async def order_counts(self, edges: Sequence[datetime]) -> list[int]:
        """Return the count between each two neighbours of `edges`, many in one request."""
        if len(edges) > 1:
            await self._require_sight(edges[0], window_name(edges[0], edges[-1]))
        return await self._counts("created_at", edges)

    async def _counts(self, by: TimeField, edges: Sequence[datetime]) -> list[int]:
        spans = list(pairwise(edges))
        parts = [spans[at : at + COUNTS_AT_ONCE] for at in range(0, len(spans), COUNTS_AT_ONCE)]
        return [count for part in parts for count in await self._count_some(by, part)]

    async def _count_some(self, by: TimeField, spans: Sequence[tuple[datetime, datetime]]) -> list[int]:
        window = window_name(spans[0][0], spans[-1][1])
        where = self.session.where(window)
        asked = [f'n{n}: ordersCount(query: "{search(by, *span)}", limit: null)' for n, span in enumerate(spans)]
        document = "query Counts { " + " ".join(f"{one} {{ count precision }}" for one in asked) + " }"

        def parse(reply: Reply) -> list[int]:
            counts = decode(reply.body, _Answer[dict[str, _Count]], where).data
            if any(count.precision != "EXACT" for count in counts.values()) or len(counts) != len(spans):
                raise Malformed("Shopify did not count exactly", hint="use API version 2025-07 or newer", **where)
            return [counts[f"n{n}"].count for n in range(len(spans))]

        return await self.graph.ask(document, {}, parse, window)

    def orders(self, created_from: datetime, created_to: datetime) -> AsyncIterator[OrdersPage]:
        """Yield the orders created in [from, to), each once."""
        return self._orders("created_at", created_from, created_to)

    def changed_orders(self, updated_from: datetime, updated_to: datetime) -> AsyncIterator[OrdersPage]:
        """Yield the orders last updated in [from, to), each once."""
        return self._orders("updated_at", updated_from, updated_to)

    async def _orders(self, by: TimeField, start: datetime, end: datetime) -> AsyncIterator[OrdersPage]:
        """Yield pages of a short window; try bulk operations for a long one."""
        await self._require_sight(start, window_name(start, end))
        is_long = end - start > LONGEST_IN_PAGES
        found = (
            LongWindow(self._bulk, self._counts, by).pages(start, end) if is_long else pages(self.graph, by, start, end)
        )
        async for page in found:
            yield page
            del page  # of a long window it is large

    async def _require_sight(self, start: datetime, window: str) -> None:
        await require_sight(start, self.clock(), self.access_scopes, self.session.where(window))
