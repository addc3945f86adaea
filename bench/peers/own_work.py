"""Our own work without Dagster, `own_work.py FROM TO [rest|graphql] [WINDOWS]`: request to committed table, as the asset does it.

Counts the window at the vendor, reads it, finds the cells, keeps the contract's columns, compares with what was there and
commits table and ledger. WINDOWS of 1 reads one page after another by REST. Prints the seconds, without imports.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, date, datetime, timedelta

import polars as pl

from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.quarantine import Fetched, read_frame
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.transforms.orders import order_columns, order_rows
from weathervane_resources.clients import shopify_window
from weathervane_resources.connectors import ShopifyConnector
from weathervane_resources.geocoder import PostalPlaces
from weathervane_resources.platform import Platform


async def fetch(
    platform: Platform, tenant: str, first: datetime, last: datetime, protocol: str
) -> Fetched[pl.DataFrame]:
    """Return the window's orders."""
    shopify = ShopifyConnector()
    access = shopify.access(tenant, platform)
    async with shopify.connect(access, platform, protocol=protocol) as client:
        await client.order_counts([first, last])
        rows, bad = await read_frame(client.orders(first, last), order_columns)
        return Fetched(rows, bad, client.session.requests)


def main(first: str, last: str, protocol: str = "rest", windows: str = str(shopify_window.AT_ONCE)) -> None:
    """Do it once."""
    shopify_window.AT_ONCE = int(windows)
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    tenant = next(iter(platform.tenants().values()))
    lake, now = platform.lake(), datetime.now(UTC)
    days = [date.fromisoformat(first) + timedelta(days=n) for n in range((date.fromisoformat(last) - date.fromisoformat(first)).days + 1)]  # fmt: skip
    begun, cpu = time.perf_counter(), time.process_time()
    sent = asyncio.run(fetch(platform, tenant.id, *tenant.window(days[0], days[-1]), protocol))
    fetched = time.perf_counter()
    places = PostalPlaces(lake, is_stub=True).read({"US"})
    found = order_rows(sent.rows, places, tenant_id=tenant.id, timezone=tenant.timezone, source="stub", as_of=now)
    made = time.perf_counter()
    lake.replace(tenant.id, "orders", found.rows, shape=shape_of(CONTRACTS["orders"]), days=days, source="stub", run_id=str(os.getpid()), now=now)  # fmt: skip
    done, cpu = time.perf_counter(), time.process_time() - cpu
    parts = f"fetched {fetched - begun:.3f}, rows {made - fetched:.3f}, committed {done - made:.3f}"
    print(f"{found.rows.height} rows in {done - begun:.3f} s, {cpu:.3f} CPU ({parts})")


if __name__ == "__main__":
    main(*sys.argv[1:])
