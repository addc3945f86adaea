"""What memory a long window of orders takes, `order_memory [ORDERS ...]`: bulk files read, rows made and committed, as the asset does it.

The files are made by a process of their own, one for each part of a window; each number of orders is measured in a fresh
process. The aim: a million orders in what a deployed run is given (deploy/helm: 2 GiB), beside the 240 MiB that Dagster and the assets take.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from weathervane_assets.quarantine import read_frame
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.transforms.orders import order_columns, order_rows
from weathervane_resources.clients.shopify import OrdersPage
from weathervane_resources.clients.shopify_file import parse
from weathervane_resources.clients.shopify_window import kept_page
from weathervane_resources.geocoder import PLACES_SCHEMA
from weathervane_resources.lake import Lake

FIRST, DAYS, LINES = datetime(2025, 1, 1, tzinfo=UTC), 365, 3
IN_A_PART = 62_500
"""A million orders that are spread evenly are halved four times before a part has less than 100,000."""
AIM_MIB = 2048 - 240


def bag(amount: str) -> dict[str, Any]:
    """Return an amount as Shopify sends it."""
    return {"shopMoney": {"amount": amount, "currencyCode": "USD"}}


def lines_of(number: int, at: datetime) -> list[dict[str, Any]]:
    """Return an order and its line items."""
    gid, text = f"gid://shopify/Order/{number}", at.strftime("%Y-%m-%dT%H:%M:%SZ")
    names = ("totalPriceSet", "subtotalPriceSet", "totalTaxSet", "totalDiscountsSet", "currentSubtotalPriceSet", "currentTotalTaxSet")  # fmt: skip
    place = {"zip": f"{10001 + number % 800}", "countryCodeV2": "US", "city": "New York", "provinceCode": "NY", "latitude": 40.7 + number % 997 / 1e3, "longitude": -73.9}  # fmt: skip
    order = {"id": gid, "legacyResourceId": str(number), "name": f"#{number}", "createdAt": text, "updatedAt": text, "cancelledAt": None, "test": False, "displayFinancialStatus": "PAID", "currencyCode": "USD", "taxesIncluded": False}  # fmt: skip
    order |= {name: bag(f"{number % 900}.{n}0") for n, name in enumerate(names)} | {"shippingAddress": place}
    order |= {"shippingLine": {"discountedPriceSet": bag("5.95"), "currentDiscountedPriceSet": bag("5.95"), "taxLines": [{"priceSet": bag("1.0")}]}}  # fmt: skip
    items = [{"id": f"gid://shopify/LineItem/{number * LINES + n}", "quantity": 1, "currentQuantity": 1, "__parentId": gid} for n in range(LINES)]  # fmt: skip
    return [order, *items]


def make_files(folder: Path, orders: int) -> None:
    """Write a bulk operation's file for each part."""
    for part, first in enumerate(range(0, orders, IN_A_PART)):
        with (folder / f"{part:03}.jsonl").open("w") as file:
            for n in range(first, min(orders, first + IN_A_PART)):
                at = FIRST + timedelta(seconds=n * DAYS * 86_400 // orders)
                file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines_of(5 * 10**12 + n, at))


async def pages_of(files: list[Path]) -> AsyncIterator[OrdersPage]:
    """Yield the parts, as the client does."""
    where: Any = {"vendor": "shopify", "tenant": "acme", "window": "a year"}
    for path in files:
        body = path.read_bytes()
        count = body.count(b"\n")
        found = parse(body, count, count // (LINES + 1), where)
        del body
        page = kept_page(found.orders, found.bad, set(), "created_at", FIRST, FIRST + timedelta(days=DAYS))
        del found
        yield page
        del page


def rss_mib(field: str) -> int:
    """Return what the process has, or had at most."""
    if field == "most":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20


def measure(folder: Path, orders: int) -> int:
    """Read, make rows, commit; print the memory on the way, and return the most of it."""
    begun, base = time.perf_counter(), rss_mib("now")
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(DAYS)]
    sent, _ = asyncio.run(read_frame(pages_of(sorted(folder.glob("*.jsonl"))), order_columns))
    read = rss_mib("most")
    found = order_rows(sent, PLACES_SCHEMA.to_frame(), tenant_id="acme", timezone="UTC", source="stub", as_of=FIRST)
    del sent
    made = rss_mib("most")

    def commit() -> int:
        Lake(str(folder / "lake")).replace("acme", "orders", found.rows, shape=shape_of(CONTRACTS["orders"]), days=days, source="stub", run_id="bench", now=FIRST)  # fmt: skip
        return rss_mib("most")

    once, again, seconds = commit(), commit(), time.perf_counter() - begun
    print(f"{orders:9,} orders: {base} MiB at first, most when read {read}, rows made {made}, committed {once}, committed over themselves {again}; {seconds:.0f} s")  # fmt: skip
    return again


def main(arguments: list[str]) -> int:
    """Measure each number in a process of its own."""
    if arguments[:1] == ["--one"]:
        return int(measure(Path(arguments[1]), int(arguments[2])) > AIM_MIB)
    codes = []
    for orders in arguments or ["300000", "1000000"]:
        with tempfile.TemporaryDirectory() as folder:
            make_files(Path(folder), int(orders))
            command = [sys.executable, "-m", "bench.order_memory", "--one", folder, orders]
            codes.append(subprocess.run(command, check=False).returncode)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
