"""What stands between this installation and good data: credentials, versions, endpoints, lake and state database.

Belongs here: asking each part one small question and saying in one line what to do. Does not belong here: printing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dagster as dg

from weathervane_assets.overridable import OVERRIDABLE
from weathervane_checks.alert_routing import configured_targets
from weathervane_resources.alert_outbox import count_waiting
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.clients.google_ads import CampaignDay
from weathervane_resources.clients.open_meteo_answer import Point
from weathervane_resources.connectors import (
    Connector,
    GoogleAdsConnector,
    KlaviyoConnector,
    MetaAdsConnector,
    OpenMeteoConnector,
    ShopifyConnector,
)
from weathervane_resources.credentials import tenant_variable
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.lake_ledger import own_days
from weathervane_resources.platform import Platform
from weathervane_resources.settings import Settings
from weathervane_resources.state import StateError, open_state
from weathervane_resources.tenants import Tenant
from weathervane_resources.tokens import Vault
from weathervane_resources.versions import DEFAULT_VERSIONS, VersionWarning, sunset_of
from weathervane_resources.versions import warnings as version_warnings

Level = Literal["ok", "note", "finding"]
ENDPOINT_PATIENCE_S = 60.0
ALERTER_PATIENCE = timedelta(minutes=15)
MOST_GAPS = 5
ARCHIVE_PROBE_AGE = timedelta(days=30)


@dataclass(frozen=True)
class Line:
    """One line: what was looked at, how it stands, and what to do about it."""

    subject: str
    level: Level
    text: str


def examine(settings: Settings, now: datetime) -> Iterator[Line]:
    """Yield one line for each part. A `note` needs nobody; a `finding` needs someone.

    Raises: ConfigurationError: tenants.toml or a variable is wrong.
    """
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    tenants = platform.tenants()
    own = platform.own_tenants()
    served = f"; shard {settings.shard}: {', '.join(own) or 'none'}" if settings.shard.count > 1 else ""
    yield Line("tenants", "ok", f"{settings.tenants_file}: {', '.join(tenants)}{served}")
    yield _lake(settings)
    yield from _state(settings, now)
    yield from _alerting(settings, list(tenants.values()), now)
    yield from _versions(list(tenants), now)
    for tenant in own.values():
        yield from _unread_days(tenant, platform.lake())
        for connector, probe in PROBES:
            yield _source(connector, probe, tenant, platform, now)


def _lake(settings: Settings) -> Line:
    try:
        Lake(settings.lake).check_usable()
    except LakeError as error:
        return Line("lake", "finding", str(error))
    return Line("lake", "ok", settings.lake)


def _state(settings: Settings, now: datetime) -> Iterator[Line]:
    try:
        state = open_state(settings.state_url)
        state.check_whole()
        stored = Vault(state, settings.token_key, lambda: now).list_tokens()
    except StateError as error:
        yield Line("state", "finding", str(error))
        return
    yield Line("state", "ok", f"{state!r}, {len(stored)} stored tokens")
    for token in stored:
        if token.status in ("dead", "unreadable"):
            cure = (
                "connect the account again"
                if token.status == "dead"
                else "set the WEATHERVANE_TOKEN_KEY it was stored with"
            )
            yield Line(f"token {token.vendor} {token.tenant}", "finding", f"{token.status}; {cure}")


def _alerting(settings: Settings, tenants: list[Tenant], now: datetime) -> Iterator[Line]:
    """Yield whether alerts can reach someone, and whether the alerter lives: nobody else looks after it."""
    targets, complaints = configured_targets(settings, tenants)
    for complaint in complaints:
        yield Line("alert target", "finding", complaint)
    try:
        with AlertStore(open_state(settings.state_url)).session() as session:
            watch, waiting = session.watch(), count_waiting(session)
    except StateError:
        return  # said already
    if watch is None:
        yield Line(
            "alerter",
            "note",
            "has never run; switch the sensor `alerts` on in the UI, or set WEATHERVANE_AUTOMATION=on",
        )
    elif now - watch.beat_at > ALERTER_PATIENCE:
        yield Line(
            "alerter",
            "finding",
            f"has not run since {watch.beat_at:%Y-%m-%d %H:%M} UTC: is the daemon up, the sensor `alerts` on?",
        )
    elif watch.lag_s > ALERTER_PATIENCE.total_seconds():
        yield Line("alerter", "finding", f"is {watch.lag_s / 60:.0f} minutes behind the event log")
    else:
        yield Line("alerter", "ok", f"{len(targets)} targets, {waiting.waiting} messages wait")
    if waiting.parked:
        yield Line("alerts", "finding", f"{waiting.parked} messages never arrived; try `weathervane alerts test`")
    if not targets:
        yield Line("alert target", "note", "none: set WEATHERVANE_ALERT_URLS, or alert_urls in tenants.toml")


def _versions(tenant_ids: list[str], now: datetime) -> Iterator[Line]:
    """Yield each version in use with its end: the installation's, and those that a tenant has set for itself."""
    by_owner = {"": {name: os.environ.get(name, "").strip() for name in DEFAULT_VERSIONS}}
    for tenant_id in tenant_ids:
        own = {name: os.environ.get(tenant_variable(tenant_id, name), "").strip() for name in DEFAULT_VERSIONS}
        by_owner[tenant_id] = {name: version for name, version in own.items() if version}
    for owner, versions in by_owner.items():
        warned = {warning.variable: warning for warning in version_warnings(now.date(), versions)}
        for name, version in versions.items():
            yield _version(f"version {owner}".strip(), name, version or DEFAULT_VERSIONS[name], warned.get(name))


def _version(subject: str, name: str, version: str, warning: VersionWarning | None) -> Line:
    if warning is not None:
        return Line(subject, "note" if warning.ends is None else "finding", warning.message)
    row = sunset_of(name, version)
    return Line(subject, "ok", f"{name}={version} is served until {row.day if row else 'an unknown day'}")


def _unread_days(tenant: Tenant, lake: Lake) -> Iterator[Line]:
    """Yield the gaps between days whose orders were read: a night catches up on two weeks, and nothing else looks for older ones."""
    try:
        ledger = lake.ledger(tenant.id, "orders")
    except LakeError as error:
        yield Line(f"days {tenant.id}", "finding", str(error))
        return
    days = sorted(own_days(ledger) or ledger["date"])
    gaps = [(a + timedelta(days=1), b - timedelta(days=1)) for a, b in pairwise(days) if (b - a).days > 1]
    for first, last in gaps[:MOST_GAPS]:
        command = f"weathervane backfill --tenant {tenant.id} --from {first} --to {last}"
        yield Line(f"days {tenant.id}", "finding", f"{first} to {last} were never read: {command}")


def _source(connector: Connector, probe: Probe, tenant: Tenant, platform: Platform, now: datetime) -> Line:
    subject = f"{connector.names.vendor} {tenant.id}"
    try:
        access = connector.access(tenant.id, platform)
        if access.is_stub:
            return Line(subject, "note", f"no credentials: stub rows; set {' and '.join(connector.names.complete[0])}")
        if not access.is_configured:
            return Line(subject, "note", "no credentials: its partitions stay empty")
        said = asyncio.run(asyncio.wait_for(probe(connector, access, platform, tenant, now), ENDPOINT_PATIENCE_S))
    except dg.Failure as failure:
        return Line(subject, "finding", failure.description or "failed")
    except TimeoutError:
        return Line(
            subject, "finding", f"no answer within {ENDPOINT_PATIENCE_S:g} s; is the endpoint reachable from here?"
        )
    return said if isinstance(said, Line) else Line(subject, "ok", str(said))


Probe = Callable[[Any, Any, Platform, Tenant, datetime], Awaitable["str | Line"]]


async def _shopify(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> str | Line:
    async with connector.connect(access, platform) as client:
        shop = await client.shop()
        scopes = await client.access_scopes()
    subject = f"shopify {tenant.id}"
    if not _same_hours(tenant, shop.iana_timezone, now) or shop.currency != tenant.currency:
        differs = (
            f"the shop says {shop.iana_timezone}, {shop.currency}; tenants.toml {tenant.timezone}, {tenant.currency}"
        )
        return Line(subject, "finding", f"{differs}; days and sums follow tenants.toml")
    if shop.served_version and shop.served_version != client.api_version:
        return Line(subject, "finding", f"asked for {client.api_version}, served {shop.served_version}: upgrade")
    if "read_all_orders" not in scopes:
        return Line(
            subject, "finding", "without read_all_orders, orders older than 60 days are absent: ask for the scope"
        )
    return f"{shop.iana_timezone}, {shop.currency}, {client.api_version}"


async def _meta(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> str | Line:
    async with connector.connect(access, platform) as client:
        account = await client.account()
    if other := _other_currency(tenant, account.currency) or _other_days(tenant, account.timezone_name, now):
        return Line(f"meta_ads {tenant.id}", "finding", other)
    return f"account in {account.timezone_name}, {account.currency}"


def _other_currency(tenant: Tenant, currency: str) -> str:
    """Say that an ad account's money cannot be added to the shop's; empty where both are in one currency."""
    if currency == tenant.currency:
        return ""
    return f"the account is in {currency}, the shop in {tenant.currency}: its spend is null in features"


def _other_days(tenant: Tenant, zone: str, now: datetime) -> str:
    """Say that an ad account's days are not the shop's; empty where both zones have the same hours."""
    if _same_hours(tenant, zone, now):
        return ""
    return (
        f"the account's days are those of {zone}, the shop's of {tenant.timezone}: features joins an ad day to the shop's day of the"
        " same date, hours apart; set the account's time zone where the vendor lets you"
    )


def _same_hours(tenant: Tenant, zone: str, now: datetime) -> bool:
    """Say whether a vendor's time zone has the tenant's hours for a year from `now`, whatever its name: US/Eastern is New York's."""
    try:
        hours = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    moments = [now + timedelta(days=n) for n in range(366)]
    return all(at.astimezone(hours).utcoffset() == at.astimezone(tenant.zone).utcoffset() for at in moments)


async def _google(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> str | Line:
    today = tenant.today(now)
    rows: list[CampaignDay] = []
    async with connector.connect(access, platform) as client:
        async for page in client.campaign_days(today - timedelta(days=1), today):
            rows += page.rows
    accounts = sorted({(row.customer.currency_code or "", row.customer.time_zone or "") for row in rows})
    for currency, zone in accounts:
        other = _other_currency(tenant, currency) if currency else ""
        if other := other or (_other_days(tenant, zone, now) if zone else ""):
            return Line(f"google_ads {tenant.id}", "finding", other)
    return f"{len(rows)} campaign days of yesterday and today"


async def _klaviyo(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> str | Line:
    since = tenant.day_start(tenant.today(now)) - timedelta(days=30)
    count = 0
    async with connector.connect(access, platform) as client:
        async for page in client.campaigns(channel="email", archived=False, updated_from=since):
            count += len(page.rows)
    return f"{count} e-mail campaigns changed in 30 days"


async def _open_meteo(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> str | Line:
    del tenant
    day, point = now.date() - ARCHIVE_PROBE_AGE, [Point(52.5, 13.4, "GMT")]
    async with connector.connect(access, platform) as client:
        for host, at in (("archive", day), ("forecast", now.date())):
            async for _ in client.daily(host, point, at, at, ["temperature_2m_mean"]):
                pass
    return "archive and forecast answer"


PROBES: tuple[tuple[Connector, Probe], ...] = (
    (ShopifyConnector(outage_s=0), _shopify),
    (MetaAdsConnector(outage_s=0), _meta),
    (GoogleAdsConnector(outage_s=0), _google),
    (KlaviyoConnector(outage_s=0), _klaviyo),
    (OpenMeteoConnector(outage_s=0), _open_meteo),
)
