"""The asset `orders`: Shopify orders of a tenant's days, with the cell each was shipped to."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import dagster as dg
import polars as pl

from weathervane_assets.drawing import prepare
from weathervane_assets.pictures import FEWEST_DAYS, orders_picture
from weathervane_assets.quarantine import Fetched, noted_refusal, read_frame, tolerate
from weathervane_assets.tables import Orders, polars_schema
from weathervane_assets.transforms.orders import geocoded_by_day, order_columns, order_rows
from weathervane_assets.window import Window, checkpoints, empty_batch, in_window, open_window, vet_stubs
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import GeoNamesConnector, ShopifyConnector
from weathervane_resources.credentials import Access
from weathervane_resources.failures import as_failure
from weathervane_resources.geocoder import COUNTRY, BadPlacesFile, PostalPlaces, geo_tags, parse_postal_zip
from weathervane_resources.http.errors import Malformed, VendorError
from weathervane_resources.lake import VendorCount
from weathervane_resources.lake_io import Batch
from weathervane_resources.platform import Platform

COUNTED_BY_DAY_UP_TO = 31
"""Days in a window that Shopify counts one by one; a longer window is counted, and judged, as a whole."""


def orders(
    context: dg.AssetExecutionContext,
    platform: Platform,
    clock: Clock,
    shopify: ShopifyConnector,
    geonames: GeoNamesConnector,
) -> Batch:
    """Every Shopify order a tenant's customers placed, on the tenant-local day it was placed.

    Cancelled and test orders are kept and marked. Each order carries the geohash cell it ships to, found by the
    address's coordinates, else its postal code, else its city. No names, e-mails, phones or streets.
    """
    window = open_window(context.partition_keys, platform, clock)
    access = shopify.access(window.tenant.id, platform)
    vet_stubs(context, access, window)
    if not access.is_configured:
        return empty_batch(context, window, polars_schema(Orders))
    if len(window.days) >= FEWEST_DAYS:
        prepare()
    with noted_refusal(window, "orders"):
        sent = asyncio.run(_fetch(shopify, access, platform, window))
    with as_failure():
        places = asyncio.run(_places(context, sent.rows, PostalPlaces(window.lake, access.is_stub), platform, geonames))
    found = order_rows(
        sent.rows,
        places,
        tenant_id=window.tenant.id,
        timezone=window.tenant.timezone,
        source=access.source,
        as_of=window.now,
    )
    rejects = tolerate(found, sent, window, "shopify orders")
    batch = Batch(in_window(found.rows, window), access.source, {"requests": sent.requests}, rejects=rejects)
    return replace(batch, metadata_by_day=_metadata(batch.frame, window), vendor_count=sent.vendor_count)


async def _fetch(
    shopify: ShopifyConnector, access: Access, platform: Platform, window: Window
) -> Fetched[pl.DataFrame]:
    start, end = window.tenant.window(window.first, window.last)
    async with shopify.connect(access, platform, protocol=window.tenant.shopify_protocol) as client:
        counts = await client.order_counts(_edges(window))
        promised = sum(counts)
        rows, bad = await read_frame(client.orders(start, end), order_columns)
        if len(rows) + len(bad) < promised:
            # the count was asked first, and orders only come, so fewer rows are a page that was lost
            text = f"{len(rows) + len(bad)} orders came, but Shopify counts {promised}"
            raise Malformed(text, **client.session.where(f"{window.first}..{window.last}"))
        return Fetched(rows, bad, client.session.requests, _vendor_count(window, counts))


async def _places(
    context: dg.AssetExecutionContext,
    orders: pl.DataFrame,
    postal: PostalPlaces,
    platform: Platform,
    geonames: GeoNamesConnector,
) -> pl.DataFrame:
    """Return the postal places of the countries shipped to; a country not fetched yet is fetched once.

    Without a table orders still go by their coordinates; the log says so and the next run tries again.
    """
    countries = {country for country in orders["country"].unique().drop_nulls() if COUNTRY.fullmatch(country)}
    missing = sorted(countries - postal.countries()) if countries else []
    if missing:
        async with geonames.connect("", platform, is_stub=postal.is_stub) as fetch:
            for country in missing:
                try:
                    postal.write(country, parse_postal_zip(await fetch(country), country))
                except (VendorError, BadPlacesFile) as error:
                    context.log.warning(f"postal places of {country} are missing, so codes there find no cell: {error}")
    return postal.read(countries)


def _edges(window: Window) -> list[datetime]:
    """Return the instants between which Shopify is asked to count: of each day, or of a long window as a whole."""
    days = (window.last - window.first).days + 1
    starts = range(days) if days <= COUNTED_BY_DAY_UP_TO else (0,)
    return [window.tenant.day_start(window.first + timedelta(days=n)) for n in (*starts, days)]


def _vendor_count(window: Window, counts: Sequence[int]) -> VendorCount:
    span = (window.last - window.first).days + 1
    if len(counts) == span:
        return VendorCount({window.first + timedelta(days=n): count for n, count in enumerate(counts)})
    # the count of a window with gaps says nothing of the days in it
    return VendorCount(total=counts[0] if len(window.days) == span else None)


def _metadata(frame: pl.DataFrame, window: Window) -> dict[date, dict[str, object]]:
    seen = checkpoints(frame)
    by_day: dict[date, dict[str, object]] = {
        row["date"]: {
            "geocoded_ratio": row["geocoded_ratio"],
            "geo_tags": ", ".join(geo_tags(row["orders"], row["geocoded"])),
            "checkpoint": seen[row["date"]],
        }
        for row in geocoded_by_day(frame).iter_rows(named=True)
    }
    if len(window.days) >= FEWEST_DAYS:  # a night is one bar, and half a second to draw
        by_day.setdefault(window.last, {})["orders"] = dg.MetadataValue.md(orders_picture(frame, window.days))
    return by_day
