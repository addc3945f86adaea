"""The assets `meta_ads`, `google_ads` and `ads`: what was spent on ads, by account-local day."""

import asyncio
from datetime import date

import dagster as dg
import polars as pl

from weathervane_assets.lineage import OF_ADS, lineage
from weathervane_assets.quarantine import Fetched, read_pages, tolerate
from weathervane_assets.retention import reach_of
from weathervane_assets.tables import Ads, conform, polars_schema
from weathervane_assets.transforms.ads import google_rows, meta_rows
from weathervane_assets.window import Window, empty_batch, in_window, open_window, vet_stubs
from weathervane_resources.clients.google_ads import KEEPS as GOOGLE_KEEPS
from weathervane_resources.clients.google_ads import CampaignDay
from weathervane_resources.clients.meta_ads import KEEPS as META_KEEPS
from weathervane_resources.clients.meta_ads import Insight
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import GoogleAdsConnector, MetaAdsConnector
from weathervane_resources.credentials import NOT_CONFIGURED, NOT_KEPT, UNREAD, Access
from weathervane_resources.lake_io import Batch
from weathervane_resources.platform import Platform


def meta_ads(context: dg.AssetExecutionContext, platform: Platform, clock: Clock, meta: MetaAdsConnector) -> Batch:
    """What each Meta ad set spent and brought in, by day of the ad account's time zone.

    Days without delivery have no row, nor have days that are too old for Meta (source `not_kept`). Numbers are restated by Meta for up to 28 days.
    """
    window = open_window(context.partition_keys, platform, clock)
    access = meta.access(window.tenant.id, platform)
    vet_stubs(context, access, window)
    if not access.is_configured:
        return empty_batch(context, window, polars_schema(Ads))
    reach = reach_of(context, window, access, META_KEEPS)
    if not reach.asked:
        return reach.without_asking(access)
    sent, currency = asyncio.run(_fetch_meta(meta, access, platform, reach.asked))
    found = meta_rows(sent.rows, tenant_id=window.tenant.id, currency=currency, source=access.source, as_of=window.now)
    rejects = tolerate(found, sent, reach.asked, "meta insights")
    rows = in_window(found.rows, reach.asked)
    return reach.joined(Batch(rows, access.source, {"requests": sent.requests}, rejects=rejects))


async def _fetch_meta(
    meta: MetaAdsConnector, access: Access, platform: Platform, window: Window
) -> tuple[Fetched[list[Insight]], str]:
    async with meta.connect(access, platform) as client:
        account = await client.account()
        rows, bad = await read_pages(client.insights(window.first, window.last))
        return Fetched(rows, bad, client.session.requests), account.currency


def google_ads(
    context: dg.AssetExecutionContext, platform: Platform, clock: Clock, google: GoogleAdsConnector
) -> Batch:
    """What each Google Ads campaign spent and brought in, by day of the customer's time zone.

    Days without delivery have no row, nor have days that are too old for Google (source `not_kept`). Conversions are restated by Google for the conversion window, 30 days by default.
    """
    window = open_window(context.partition_keys, platform, clock)
    access = google.access(window.tenant.id, platform)
    vet_stubs(context, access, window)
    if not access.is_configured:
        return empty_batch(context, window, polars_schema(Ads))
    reach = reach_of(context, window, access, GOOGLE_KEEPS)
    if not reach.asked:
        return reach.without_asking(access)
    sent = asyncio.run(_fetch_google(google, access, platform, reach.asked))
    found = google_rows(sent.rows, tenant_id=window.tenant.id, source=access.source, as_of=window.now)
    rejects = tolerate(found, sent, reach.asked, "google ads")
    rows = in_window(found.rows, reach.asked)
    return reach.joined(Batch(rows, access.source, {"requests": sent.requests}, rejects=rejects))


async def _fetch_google(
    google: GoogleAdsConnector, access: Access, platform: Platform, window: Window
) -> Fetched[list[CampaignDay]]:
    async with google.connect(access, platform) as client:
        rows, bad = await read_pages(client.campaign_days(window.first, window.last))
        return Fetched(rows, bad, client.session.requests)


def ads(
    context: dg.AssetExecutionContext,
    platform: Platform,
    clock: Clock,
    meta_ads: pl.LazyFrame,
    google_ads: pl.LazyFrame,
) -> Batch:
    """What both ad platforms cost and brought in: Meta's ad sets and Google's campaigns in one table, told apart by `platform`.

    Spend is in each account's currency, days are each account's own.
    """
    window = open_window(context.partition_keys, platform, clock)
    both = pl.concat([window.whole("meta_ads", meta_ads), window.whole("google_ads", google_ads)])
    frame = conform(both.sort("date", "platform", "campaign_id", "adset_id"), Ads)
    shown = {window.last: lineage(OF_ADS)}
    by_day = sources_by_day(window, ["meta_ads", "google_ads"])
    return Batch(frame, NOT_CONFIGURED, {"requests": 0}, shown, source_by_day=by_day)


def sources_by_day(window: Window, datasets: list[str]) -> dict[date, str]:
    """Return the sources that the datasets were last written from, joined by `+`, for each of the window's days.

    Of a day that nobody was asked for there is one: `not_kept` where it is too old for any of them.
    """
    ledger = window.lake.ledger(window.tenant.id).filter(
        pl.col("dataset").is_in(datasets) & pl.col("date").is_in(list(window.days))
    )
    found = dict(ledger.group_by("date").agg(pl.col("source").unique().sort()).iter_rows())
    joined = {day: NOT_KEPT if set(of) == UNREAD else "+".join(of) for day, of in found.items()}
    return dict.fromkeys(window.days, NOT_CONFIGURED) | joined
