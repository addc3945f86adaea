"""The asset `promos`: Klaviyo campaigns on the day they go out."""

import asyncio

import dagster as dg

from weathervane_assets.quarantine import Fetched, read_pages, tolerate
from weathervane_assets.tables import Promos, polars_schema
from weathervane_assets.transforms.promos import promo_rows
from weathervane_assets.window import Window, checkpoints, empty_batch, open_window, vet_stubs
from weathervane_resources.clients.klaviyo import Campaign
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import KlaviyoConnector
from weathervane_resources.credentials import Access
from weathervane_resources.lake_io import Batch
from weathervane_resources.platform import Platform


def promos(context: dg.AssetExecutionContext, platform: Platform, clock: Clock, klaviyo: KlaviyoConnector) -> Batch:
    """Every Klaviyo campaign, e-mail, SMS and mobile push, archived or not, on the tenant-local day it goes out.

    The day is the send time's, else the scheduled time's, else (drafts) the creation time's. Every status is kept.
    """
    window = open_window(context.partition_keys, platform, clock)
    access = klaviyo.access(window.tenant.id, platform)
    vet_stubs(context, access, window)
    if not access.is_configured:
        return empty_batch(context, window, polars_schema(Promos))
    sent = asyncio.run(_fetch(klaviyo, access, platform, window))
    found = promo_rows(
        sent.rows,
        window.days,
        tenant_id=window.tenant.id,
        timezone=window.tenant.timezone,
        source=access.source,
        as_of=window.now,
    )
    by_day = {day: {"checkpoint": at} for day, at in checkpoints(found.rows).items()}
    rejects = tolerate(found, sent, window, "klaviyo campaigns")
    return Batch(found.rows, access.source, {"requests": sent.requests}, by_day, rejects)


async def _fetch(
    klaviyo: KlaviyoConnector, access: Access, platform: Platform, window: Window
) -> Fetched[list[Campaign]]:
    """Read every campaign created before the window ends: Klaviyo cannot filter by send time, and creation precedes it."""
    _, end = window.tenant.window(window.first, window.last)
    async with klaviyo.connect(access, platform) as client:
        rows, bad = await read_pages(client.all_campaigns(created_to=end))
        return Fetched(rows, bad, client.session.requests)
