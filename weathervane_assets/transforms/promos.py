"""Klaviyo campaigns to rows of `Promos`, each on the tenant-local day it goes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl
from weathervane_resources.clients.klaviyo import Campaign
from weathervane_resources.local_time import local_date

from weathervane_assets.tables import Promos, conform
from weathervane_assets.transforms.rejects import Sorted, instant, set_aside

REQUIRED = ("campaign_id", "created_at", "updated_at")
TIMES = ("created_at", "scheduled_at", "send_time", "updated_at")


def promo_rows(
    campaigns: Sequence[Campaign],
    days: Sequence[date],
    *,
    tenant_id: str,
    timezone: str,
    source: str,
    as_of: datetime,
) -> Sorted:
    """Return the campaigns that fall on `days`: by send time, else scheduled time, else (drafts) creation time.

    One of which a time cannot be read, or creation or update time is absent, is set aside, on the day that is left.
    """
    text: dict[str, list[str | None]] = {
        "campaign_id": [c.id for c in campaigns],
        "name": [c.name for c in campaigns],
        "channel": [c.channel for c in campaigns],
        "status": [c.status or "Unknown" for c in campaigns],
        **{name: [getattr(c, name) for c in campaigns] for name in TIMES},
    }
    sent = pl.DataFrame([pl.Series(name, values, dtype=pl.String) for name, values in text.items()])
    frame = sent.with_columns(
        # %+ also reads a space for the T, as some datetimes arrive (Estuary changelog 2026-07-30)
        instant(*TIMES, written="%+"),
        pl.col("campaign_id").replace("", None),
        is_archived=pl.Series([bool(c.archived) for c in campaigns], dtype=pl.Boolean),
    )
    goes_out = local_date(pl.coalesce("send_time", "scheduled_at", "created_at"), timezone)
    usable, rejects = set_aside(sent, frame, REQUIRED, day=goes_out, key=pl.col("campaign_id"))
    dated = usable.with_columns(
        goes_out.alias("date"),
        tenant_id=pl.lit(tenant_id),
        source=pl.lit(source),
        as_of_utc=pl.lit(as_of).dt.cast_time_unit("us"),
    )
    mine = dated.filter(pl.col("date").is_in(list(days))).sort("date", "campaign_id")
    return Sorted(conform(mine, Promos), rejects)
