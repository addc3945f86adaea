"""What the sandbox knows to be true, for tests to compare a pipeline with. Reads the worlds; knows no HTTP.

Every function takes the moment of asking (`at`): what lies after it has not happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from weathervane_resources.sandbox import ads_world, campaigns_world, commerce_world, order_history, weather_world
from weathervane_resources.sandbox.config import SandboxConfig
from weathervane_resources.sandbox.gazetteer import PLACES


@dataclass(frozen=True)
class OrderDay:
    """One tenant-local day of orders; `counted` leaves out test and cancelled ones."""

    orders: int
    net_revenue: Decimal
    counted_orders: int
    counted_net_revenue: Decimal


@dataclass(frozen=True)
class AdsDay:
    """One account-local day of one platform."""

    rows: int
    spend: Decimal
    impressions: int
    clicks: int
    conversions: float
    conversion_value: Decimal


def orders(config: SandboxConfig, tenant: str, day: date, at: datetime) -> list[dict[str, Any]]:
    """Return the orders created on a tenant-local day, as plain facts, in order of creation."""
    records = order_history.shop_orders(config, tenant, day, day, at)
    happened = order_history.event_has_happened(records, at)
    updated, cents = order_history.updated(records, at), order_history.net_cents(config, tenant, records, at)
    return [
        {
            "order_id": int(record["order_id"]),
            "created_at": datetime.fromtimestamp(int(record["created"]), UTC),
            "updated_at": datetime.fromtimestamp(int(updated[row]), UTC),
            "net_revenue": Decimal(int(cents[row])) / 100,
            "is_test": bool(record["is_test"]),
            "is_cancelled": bool(happened[row] and record["event"] == commerce_world.CANCELLED),
            "has_coordinates": bool(record["address"] == commerce_world.HAS_COORDINATES),
            "has_postal_code": bool(record["address"] <= commerce_world.HAS_POSTAL_CODE),
            "place": PLACES[record["place"]],
        }
        for row, record in enumerate(records)
    ]


def order_day(config: SandboxConfig, tenant: str, day: date, at: datetime) -> OrderDay:
    """Return the count and the net revenue of a day, with and without test and cancelled orders."""
    records = order_history.shop_orders(config, tenant, day, day, at)
    cents = order_history.net_cents(config, tenant, records, at)
    cancelled = order_history.event_has_happened(records, at) & (records["event"] == commerce_world.CANCELLED)
    counted = ~(records["is_test"] | cancelled)
    return OrderDay(
        orders=records.size,
        net_revenue=Decimal(int(cents.sum())) / 100,
        counted_orders=int(counted.sum()),
        counted_net_revenue=Decimal(int(cents[counted].sum())) / 100,
    )


def updated_orders(config: SandboxConfig, tenant: str, since: datetime, until: datetime) -> list[int]:
    """Return the ids of orders whose `updated_at` lies in [since, until] as seen at `until`."""
    zone = ZoneInfo(config.profile(tenant).timezone)
    first = since.astimezone(zone).date() - timedelta(days=order_history.longest_event_days(config, tenant) + 2)
    records = order_history.shop_orders(config, tenant, first, until.astimezone(zone).date(), until)
    updated = order_history.updated(records, until)
    inside = (updated >= since.timestamp()) & (updated <= until.timestamp())
    return [int(order_id) for order_id in records["order_id"][inside]]


def ads_day(config: SandboxConfig, tenant: str, platform: str, day: date, at: datetime) -> AdsDay:
    """Return the totals of a platform (`meta` or `google_ads`) on an account-local day."""
    rows = ads_world.deliveries(config, tenant, platform, day, day, at)
    return AdsDay(
        rows=len(rows),
        spend=Decimal(sum(row.spend_micros for row in rows)) / 1_000_000,
        impressions=sum(row.impressions for row in rows),
        clicks=sum(row.clicks for row in rows),
        conversions=sum(row.conversions for row in rows),
        conversion_value=Decimal(sum(row.conversion_value_cents for row in rows)) / 100,
    )


def spend(config: SandboxConfig, tenant: str, day: date, at: datetime) -> dict[str, Decimal]:
    """Return the spend of an account-local day by platform."""
    return {platform: ads_day(config, tenant, platform, day, at).spend for platform in ads_world.PLATFORMS}


def campaigns(config: SandboxConfig, tenant: str, day: date, at: datetime) -> list[campaigns_world.CampaignState]:
    """Return the campaigns whose send (or else schedule) time falls on a tenant-local day, as they stood."""
    zone = ZoneInfo(config.profile(tenant).timezone)
    lives = campaigns_world.lives(config, tenant, day - timedelta(days=1), day + timedelta(days=1))
    states = [state for life in lives if (state := campaigns_world.state_at(life, at)) is not None]
    moments = [(state, state.send_time or state.scheduled_at) for state in states]
    return [state for state, moment in moments if moment is not None and moment.astimezone(zone).date() == day]


def weather(config: SandboxConfig, latitude: float, longitude: float, day: date) -> dict[str, float]:
    """Return the true weather of a day at exactly this (grid) point, not rounded."""
    lat, lon = np.array([latitude]), np.array([longitude])
    days = np.array([day.toordinal()], dtype=np.int64)
    fields = weather_world.latents(config.seed, lat, lon, days)
    values = weather_world.daily(lat, weather_world.elevation_m(lat, lon), days, fields)
    return {name: float(column[0, 0]) for name, column in values.items()}
