"""The physical limit: the same bytes by a bare loop, `bare.py URL FOLDER FROM TO [windows|bulk]`. Runs in our .venv.

aiohttp, eight windows at once by REST or one bulk operation by GraphQL, msgspec into typed rows, columns by polars, one Delta
commit. It asks for the fields that we ask for, and reads of them what a table needs. No contract, no places, no comparison
with what was there, no retries, no limits: nobody should run this against a vendor. Prints the seconds of the work itself,
without imports.
"""

import asyncio
import sys
import time
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any

import aiohttp
import msgspec
import polars as pl
from deltalake import write_deltalake

from weathervane_resources.clients import shopify_bulk, shopify_rest

WINDOWS = 8
AMOUNTS = ("total_price", "subtotal_price", "total_tax", "total_discounts", "current_subtotal_price")


class Line(msgspec.Struct):
    """A line item."""

    quantity: int


class Address(msgspec.Struct):
    """A place."""

    zip: str | None = None
    country_code: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class Order(msgspec.Struct):
    """An order."""

    id: int
    created_at: str
    updated_at: str
    currency: str
    total_price: str
    subtotal_price: str
    total_tax: str
    total_discounts: str
    current_subtotal_price: str | None = None
    name: str | None = None
    cancelled_at: str | None = None
    test: bool = False
    financial_status: str | None = None
    line_items: list[Line] = []
    shipping_address: Address | None = None


class Page(msgspec.Struct):
    """A page."""

    orders: list[Order]


class Money(msgspec.Struct, rename="camel"):
    """An amount."""

    amount: str
    currency_code: str


class Bag(msgspec.Struct, rename="camel"):
    """An amount in the shop's currency."""

    shop_money: Money


class NodeAddress(Address):
    """A place as GraphQL spells it."""

    country_code: str | None = msgspec.field(name="countryCodeV2", default=None)


class Node(msgspec.Struct, rename="camel"):
    """A line of a bulk operation's file: an order, or one of its line items."""

    id: str
    parent_id: str | None = msgspec.field(name="__parentId", default=None)
    quantity: int = 0
    legacy_resource_id: str = ""
    name: str | None = None
    created_at: str = ""
    updated_at: str = ""
    cancelled_at: str | None = None
    test: bool = False
    display_financial_status: str | None = None
    currency_code: str = ""
    total_price_set: Bag | None = None
    subtotal_price_set: Bag | None = None
    total_tax_set: Bag | None = None
    total_discounts_set: Bag | None = None
    current_subtotal_price_set: Bag | None = None
    shipping_address: NodeAddress | None = None


FLAT = [name for name in Order.__struct_fields__ if name not in ("line_items", "shipping_address")]
NOWHERE = Address()
LOOK_EACH_S = 0.5
RUN = "mutation Run($query: String!) { bulkOperationRunQuery(query: $query) { bulkOperation { id } } }"
LOOK = "query Look($id: ID!) { node(id: $id) { ... on BulkOperation { status url } } }"


async def read(session: aiohttp.ClientSession, url: str, first: datetime, last: datetime) -> list[Order]:
    """Return a window's orders."""
    decoder, rows = msgspec.json.Decoder(Page), []
    params = {"status": "any", "limit": "250", "fields": shopify_rest.FIELDS}
    params |= {"created_at_min": first.isoformat(), "created_at_max": last.isoformat()}
    link = f"{url}/orders.json"
    while link:
        async with session.get(link, params=params) as answer:
            answer.raise_for_status()
            rows += decoder.decode(await answer.read()).orders
            link, params = str(answer.links["next"]["url"]) if "next" in answer.links else "", None
    return rows


async def read_all(url: str, first: datetime, last: datetime, windows: int) -> list[Order]:
    """Return the orders of all windows, read at once."""
    edges = [first + (last - first) * n / windows for n in range(windows + 1)]
    async with aiohttp.ClientSession(headers={"X-Shopify-Access-Token": "stub"}) as session:
        parts = await asyncio.gather(*(read(session, url, *pair) for pair in pairwise(edges)))
    return [order for part in parts for order in part]


async def ask(session: aiohttp.ClientSession, url: str, document: str, **variables: str) -> Any:
    """Return the one field of an answer."""
    async with session.post(f"{url}/graphql.json", json={"query": document, "variables": variables}) as answer:
        answer.raise_for_status()
        (value,) = msgspec.json.decode(await answer.read())["data"].values()
        return value


async def read_bulk(url: str, first: datetime, last: datetime) -> list[Order]:
    """Return the orders of one bulk operation."""
    search = f"created_at:>='{first.isoformat()}' created_at:<='{last.isoformat()}'"
    async with aiohttp.ClientSession(headers={"X-Shopify-Access-Token": "stub"}) as session:
        started = await ask(session, url, RUN, query=shopify_bulk.ORDERS_QUERY % search)
        while (found := await ask(session, url, LOOK, id=started["bulkOperation"]["id"]))["status"] != "COMPLETED":  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EACH_S)
        async with session.get(found["url"]) as answer:
            nodes = msgspec.json.Decoder(Node).decode_lines(await answer.read())
    lines: dict[str, list[Line]] = defaultdict(list)
    for node in nodes:
        if node.parent_id:
            lines[node.parent_id].append(Line(node.quantity))
    return [order_of(node, lines[node.id]) for node in nodes if not node.parent_id]


def order_of(node: Node, lines: list[Line]) -> Order:
    """Return a line of the file as a REST order."""
    amounts = {name: bag.shop_money.amount for name in AMOUNTS if (bag := getattr(node, f"{name}_set"))}
    return Order(
        int(node.legacy_resource_id), node.created_at, node.updated_at, node.currency_code, name=node.name,
        cancelled_at=node.cancelled_at, test=node.test, financial_status=node.display_financial_status, line_items=lines,
        shipping_address=node.shipping_address, **amounts,
    )  # fmt: skip


def main(url: str, folder: str, first: str, last: str, windows: str = str(WINDOWS)) -> None:
    """Read, make columns, commit."""
    begun, cpu = time.perf_counter(), time.process_time()
    span = datetime.fromisoformat(first), datetime.fromisoformat(last)
    reading = read_bulk(url, *span) if windows == "bulk" else read_all(url, *span, int(windows))
    orders = asyncio.run(reading)
    columns = {name: [getattr(order, name) for order in orders] for name in FLAT}
    places = [order.shipping_address or NOWHERE for order in orders]
    columns |= {name: [getattr(place, name) for place in places] for name in Address.__struct_fields__}
    columns["line_item_count"] = [len(order.line_items) for order in orders]
    at = pl.col("created_at", "updated_at", "cancelled_at").str.to_datetime("%+", time_zone="UTC")
    frame = pl.DataFrame(columns).with_columns(at, pl.col(AMOUNTS).cast(pl.Decimal(18, 4)))
    write_deltalake(f"{folder}/orders", frame.with_columns(month=pl.col("created_at").dt.strftime("%Y-%m")), partition_by=["month"])  # fmt: skip
    print(f"{frame.height} rows in {time.perf_counter() - begun:.3f} s, {time.process_time() - cpu:.3f} CPU")


if __name__ == "__main__":
    main(*sys.argv[1:])
