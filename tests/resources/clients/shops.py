"""Orders as facts that both protocols must agree on, and the clients of a shop in the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args
from zoneinfo import ZoneInfo

from tests.resources.clients.loopback import NOW, base_of, reaching
from tests.resources.http.scripted import Naps
from weathervane_resources.clients.shopify import AmountField, Order, ShopifyClient
from weathervane_resources.clients.shopify_graphql import ShopifyGraphql
from weathervane_resources.clients.shopify_rest import ShopifyRest
from weathervane_resources.sandbox import RunningSandbox

AMOUNTS: tuple[AmountField, ...] = get_args(AmountField)


def rest(session: Any, base: str, naps: Naps) -> ShopifyClient:
    return ShopifyRest(session, base, "2026-10", lambda: NOW)


def graphql(session: Any, base: str, naps: Naps, **options: Any) -> ShopifyClient:
    return ShopifyGraphql(session, base, "2026-10", clock=lambda: NOW, sleep=naps, **options)


PROTOCOLS = {"rest": rest, "graphql": graphql}


def using(
    sandbox: RunningSandbox,
    tenant: str,
    make: Callable[[Any, str, Naps], ShopifyClient],
    use: Callable[[ShopifyClient], Awaitable[Any]],
) -> Any:
    async def main() -> Any:
        naps = Naps()
        async with reaching(sandbox, "shopify", naps=naps) as session:
            return await use(make(session, base_of(sandbox, tenant), naps))

    return asyncio.run(main())


def facts(order: Order) -> tuple[Any, ...]:
    """Everything an order row is made of, so that spelling makes no difference."""
    amounts = [Decimal(text) if (text := order.amount(field)) else None for field in AMOUNTS]
    times = [_instant(text) for text in (order.created_at, order.updated_at, order.cancelled_at)]
    lines = [(line.quantity, line.current_quantity) for line in order.line_items or ()]
    status = (order.name, order.test, order.financial_status, order.shop_currency())
    return (order.id, *status, *times, *amounts, lines, order.shipping_address)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def days_of(zone: str, first: date, days: int) -> list[datetime]:
    """The starts of local days, the end of the last one included."""
    local = [first + timedelta(days=n) for n in range(days + 1)]
    return [datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) for day in local]


async def every_order(client: ShopifyClient, edges: list[datetime]) -> list[Order]:
    pages = [page async for page in client.orders(edges[0], edges[-1])]
    assert not [bad for page in pages for bad in page.bad]
    return sorted((row for page in pages for row in page.rows), key=lambda order: order.id)
