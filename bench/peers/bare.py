"""The physical limit: the same orders by a bare loop, `bare.py URL FOLDER FROM TO [windows]`. Runs in our .venv.

aiohttp, eight windows at once, msgspec into typed rows, columns by polars, one Delta commit. No contract, no places, no
comparison with what was there, no retries, no limits: nobody should run this against a vendor. Prints the seconds of the
work itself, without imports.
"""

import asyncio
import sys
import time
from datetime import datetime
from itertools import pairwise

import aiohttp
import msgspec
import polars as pl
from deltalake import write_deltalake

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


FLAT = [name for name in Order.__struct_fields__ if name not in ("line_items", "shipping_address")]
NOWHERE = Address()
FIELDS = ",".join(Order.__struct_fields__)


async def read(session: aiohttp.ClientSession, url: str, first: datetime, last: datetime) -> list[Order]:
    """Return a window's orders."""
    decoder, rows = msgspec.json.Decoder(Page), []
    params = {"status": "any", "limit": "250", "fields": FIELDS}
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


def main(url: str, folder: str, first: str, last: str, windows: str = str(WINDOWS)) -> None:
    """Read, make columns, commit."""
    begun, cpu = time.perf_counter(), time.process_time()
    span = datetime.fromisoformat(first), datetime.fromisoformat(last)
    orders = asyncio.run(read_all(url, *span, int(windows)))
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
