"""Ad delivery of a synthetic tenant, day by day. Numbers only: shapes are `meta.py` and `google_ads.py`.

Delivery of a finished day is fixed at once, unless a test restates it; conversions keep arriving for weeks, so a day read
later says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from weathervane_resources.sandbox import seeding
from weathervane_resources.sandbox.config import SandboxConfig

PLATFORMS = ("meta", "google_ads")
MATURE_AFTER_DAYS = 28
_MATURING_DAYS = 4.0
_REST_DAYS, _REST_SHARE = 9, 0.2


@dataclass(frozen=True)
class AdSet:
    """A thing that is delivered: an ad set on Meta, a campaign on Google (where both ids are the same)."""

    campaign_id: int
    campaign_name: str
    adset_id: int
    adset_name: str
    share: float
    tracks_conversions: bool


@dataclass(frozen=True)
class Delivery:
    """What one ad set did on one account-local day, as known at the moment of asking."""

    day: date
    adset: AdSet
    impressions: int
    clicks: int
    spend_micros: int
    conversions: float
    conversion_value_cents: int


@lru_cache(maxsize=1024)
def adsets(seed: int, tenant: str, platform: str) -> tuple[AdSet, ...]:
    """Return what a tenant advertises on a platform."""
    random = seeding.stream("adsets", seed, tenant, platform)
    first_id = 23_850_000_000_000_000 if platform == "meta" else 11_000_000_000
    base = first_id + seeding.number("ad ids", seed, tenant, platform) % 9_000_000 * 100
    found: list[tuple[int, int]] = []
    for campaign in range(int(random.integers(2, 5))):
        sets = int(random.integers(1, 4)) if platform == "meta" else 1
        found += [(campaign, adset) for adset in range(sets)]
    shares = random.dirichlet(np.full(len(found), 3.0))
    return tuple(
        AdSet(
            campaign_id=base + campaign * 10,
            campaign_name=f"{('Prospecting', 'Retargeting', 'Brand', 'Seasonal')[campaign]} {platform}",
            adset_id=base + campaign * 10 + (adset + 1 if platform == "meta" else 0),
            adset_name=f"Audience {adset + 1}",
            share=float(shares[index]),
            tracks_conversions=platform == "meta" or campaign != 1,
        )
        for index, (campaign, adset) in enumerate(found)
    )


def _resting(seed: int, known: tuple[AdSet, ...], ordinal: int) -> frozenset[int]:
    """Return which ad sets pause for these nine days: a quarter at most, so that the number of rows stays steady."""
    may_rest = [adset.adset_id for adset in known if adset.tracks_conversions]
    mood = {adset_id: seeding.share("rest", seed, adset_id, ordinal // _REST_DAYS) for adset_id in may_rest}
    tired = sorted((adset_id for adset_id, share in mood.items() if share < _REST_SHARE), key=mood.__getitem__)
    return frozenset(tired[: len(known) // 4])


@lru_cache(maxsize=16_384)
def _full_day(seed: int, tenant: str, platform: str, orders_per_day: int, ordinal: int) -> tuple[Delivery, ...]:
    """Return the final numbers of a day; ad sets without delivery are absent."""
    random = seeding.stream("delivery", seed, tenant, platform, ordinal)
    day, rows = date.fromordinal(ordinal), []
    busy = (1.0, 0.95, 0.95, 1.0, 1.1, 1.15, 1.05)[day.weekday()]
    known = adsets(seed, tenant, platform)
    resting = _resting(seed, known, ordinal)
    for adset in known:
        draw, value = random.normal(size=3), random.uniform(3_000, 8_000)
        if adset.adset_id in resting:
            continue
        spend = orders_per_day * 6.5 * adset.share * busy * float(np.exp(0.2 * draw[0]))
        impressions = int(spend / 9.0 * 1000 * np.exp(0.1 * draw[1])) + 1
        clicks = int(impressions * 0.013 * np.exp(0.15 * draw[2]))
        conversions = int(clicks * 0.035) if adset.tracks_conversions else 0
        rows.append(
            Delivery(
                day, adset, impressions, clicks, round(spend * 100) * 10_000, conversions, int(conversions * value)
            )
        )
    return tuple(rows)


def _seen(row: Delivery, ripeness: float, elapsed: float, left: float) -> Delivery | None:
    """Return a day's row as known so far; None when nothing was delivered yet. `left`: what restatements left of it."""
    impressions = int(row.impressions * elapsed)
    if impressions == 0:
        return None
    conversions = float(int(row.conversions * ripeness * elapsed * left))
    value = int(row.conversion_value_cents * conversions / row.conversions) if row.conversions else 0
    spend = int(row.spend_micros * elapsed * left) // 10_000 * 10_000
    return Delivery(row.day, row.adset, impressions, int(row.clicks * elapsed), spend, conversions, value)


def deliveries(
    config: SandboxConfig, tenant: str, platform: str, first: date, last: date, at: datetime
) -> list[Delivery]:
    """Return the delivery of each account-local day up to the moment of asking, by day and ad set."""
    profile = config.profile(tenant)
    local = at.astimezone(ZoneInfo(profile.timezone))
    rows: list[Delivery] = []
    day = first
    while day <= min(last, local.date()):
        age = (local.date() - day).days
        ripeness = 1.0 if age >= MATURE_AFTER_DAYS else 1 - 0.45 * float(np.exp(-age / _MATURING_DAYS))
        elapsed = 1.0 if age else (local.hour * 60 + local.minute) / 1440
        is_dark = (tenant, platform, day) in config.planted.dark
        full = () if is_dark else _full_day(config.seed, tenant, platform, profile.orders_per_day, day.toordinal())
        left = config.late_events.restated(tenant, platform, day, at)
        rows += [seen for row in full if (seen := _seen(row, ripeness, elapsed, left)) is not None]
        day += timedelta(days=1)
    return [row for row in rows if _still_delivers(config, tenant, row, at)]


def _still_delivers(config: SandboxConfig, tenant: str, row: Delivery, at: datetime) -> bool:
    """Say whether the ad set was there on the day of a row; the day it was deleted on counts in full."""
    deleted_at = config.late_events.deleted_at(tenant, row.adset.adset_id, at)
    return deleted_at is None or row.day <= deleted_at.astimezone(ZoneInfo(config.profile(tenant).timezone)).date()
