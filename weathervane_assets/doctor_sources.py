"""What each source answers the doctor: whether it lets a tenant in, and whether it is what tenants.toml says.

Belongs here: one small question to each vendor, and in one line what to do about the answer. Does not belong here: the
parts of the installation itself (`doctor.py`) and what the environment alone tells (`doctor_credentials.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dagster as dg
from yarl import URL

from weathervane_assets.doctor_credentials import (
    Level,
    Line,
    names_of_nobody,
    names_without_tenant,
    shared_accounts,
    without_credentials,
)
from weathervane_resources.clients.google_ads import CampaignDay
from weathervane_resources.clients.open_meteo_answer import Point
from weathervane_resources.clients.shopify_window import ALL_ORDERS, VISIBLE
from weathervane_resources.connectors import (
    Connector,
    GoogleAdsConnector,
    KlaviyoConnector,
    MetaAdsConnector,
    OpenMeteoConnector,
    ShopifyConnector,
)
from weathervane_resources.credentials import Access, missing_to_renew
from weathervane_resources.http.errors import Unavailable, VendorError
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.lake_ledger import own_days
from weathervane_resources.platform import Platform
from weathervane_resources.shop_address import shop_host
from weathervane_resources.tenants import Tenant

ENDPOINT_PATIENCE_S = 60.0
PUBLIC_TOKENS_STOP = date(2027, 1, 1)
_ANNOUNCED = "Shopify's announcement; an app made for one shop or organisation is exempt"
ARCHIVE_PROBE_AGE = timedelta(days=30)


def source_lines(platform: Platform, now: datetime) -> Iterator[Line]:
    """Yield what each source says of each tenant of this shard, after what concerns several of them."""
    yield from names_without_tenant(list(platform.tenants()))
    yield from names_of_nobody(list(platform.tenants()))
    for connector, _ in PROBES:
        yield from shared_accounts(connector, list(platform.own_tenants()), platform)
    for tenant in platform.own_tenants().values():
        for connector, probe in PROBES:
            yield from _source(connector, probe, tenant, platform, now)


def marks_in_use(platform: Platform) -> set[tuple[str, str, str]]:
    """Return vendor, tenant and fingerprint of each credential of this shard's tenants that the vault may have a row of."""
    found = set()
    for tenant_id in platform.own_tenants():
        for connector, _ in PROBES:
            try:
                mark = connector.mark(connector.access(tenant_id, platform))
            except dg.Failure:
                continue  # said of the source
            if mark is not None:
                found.add((connector.names.vendor, tenant_id, mark))
    return found


def _source(connector: Connector, probe: Probe, tenant: Tenant, platform: Platform, now: datetime) -> Iterator[Line]:
    subject = f"{connector.names.vendor} {tenant.id}"
    access = None
    try:
        access = connector.access(tenant.id, platform)
        if access.is_stub or not access.is_configured:
            yield without_credentials(connector, access, tenant, platform, now)
            return
        said = asyncio.run(asyncio.wait_for(probe(connector, access, platform, tenant, now), ENDPOINT_PATIENCE_S))
        ends = connector.ending(access, platform, now)  # the probe has just renewed what could be renewed
    except dg.Failure as failure:
        yield Line(subject, "finding", _refusal(failure, access))
        return
    except LakeError as error:
        yield Line(subject, "finding", str(error))
        return
    except TimeoutError:
        text = f"no answer within {ENDPOINT_PATIENCE_S:g} s; is the endpoint reachable from here, and is its quota not spent?"
        yield Line(subject, "finding", text)
        return
    yield from (Line(subject, level, text) for level, text in (*said, *_not_renewed(connector, access)))
    if ends:
        yield Line(subject, "finding", ends)


def _refusal(failure: dg.Failure, access: Access | None) -> str:
    """Say what a source answered in the words of a question, not of a run; of one that did not, where it was asked if not at home."""
    error = failure.__cause__
    if not isinstance(error, VendorError):
        return failure.description or "failed"
    error.window = ""
    error.hint = error.hint.replace("run the window again", "ask again")
    urls = {name: URL(url) for name, url in (access.values if access else {}).items() if name.endswith("_URL")}
    where = ", ".join(f"{name} is {url.with_user(None).with_query(None)}" for name, url in urls.items())
    return f"{error}; {where}" if where and isinstance(error, Unavailable) else str(error)


def _not_renewed(connector: Connector, access: Access) -> list[Said]:
    """Say that the app's names that all tenants share are not all there; what is half a tenant's own has failed already."""
    begun, missing = missing_to_renew(connector.names, access.values)
    if not missing:
        return []
    lacking = " and ".join(missing)
    return [("note", f"{' and '.join(begun)} renews no token without {lacking}: this one is used as it is, to its end")]


Said = tuple[Level, str]
Probe = Callable[[Any, Any, Platform, Tenant, datetime], Awaitable[list[Said]]]


def _unless_found(ok: str, said: list[Said]) -> list[Said]:
    """Return what was said, and that all else is well where nobody has to do something."""
    return said if any(level == "finding" for level, _ in said) else [("ok", ok), *said]


async def _shopify(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    async with connector.connect(access, platform) as client:
        shop = await client.shop()
        scopes = await client.access_scopes()
    said: list[Said] = []
    if not _same_hours(tenant, shop.iana_timezone, now) or shop.currency != tenant.currency:
        differs = (
            f"the shop says {shop.iana_timezone}, {shop.currency}; tenants.toml {tenant.timezone}, {tenant.currency}"
        )
        said.append(
            ("finding", f"{differs}; days and sums follow tenants.toml: correct it there and read the days again")
        )
    if shop.served_version and shop.served_version != client.api_version:
        said.append(("finding", f"asked for {client.api_version}, served {shop.served_version}: upgrade"))
    said += _sight(scopes, tenant, platform.lake(), now)
    said += _fixed_token(access, now)
    host = shop_host(access.values["SHOPIFY_SHOP_DOMAIN"])
    return _unless_found(f"{host}: {shop.iana_timezone}, {shop.currency}, {client.api_version}", said)


def _fixed_token(access: Access, now: datetime) -> list[Said]:
    """Say until when Shopify takes the permanent token of a public app; whether the app is one, no answer tells."""
    is_renewed = {"SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"} <= set(access.values)
    if is_renewed or now.date() >= PUBLIC_TOKENS_STOP:
        return []
    return [("note", f"if this app is public, its permanent token stops on {PUBLIC_TOKENS_STOP} ({_ANNOUNCED})")]


def _sight(scopes: frozenset[str], tenant: Tenant, lake: Lake, now: datetime) -> list[Said]:
    """Say which orders a token does not see: none at all, or those of long ago, which matters until they were read."""
    if not scopes & {"read_orders", "write_orders"}:
        return [("finding", "no order can be read: the token has not the scope read_orders; ask for it")]
    if ALL_ORDERS in scopes:
        return []
    absent = f"without {ALL_ORDERS}, orders older than 60 days are absent"
    unread = _unread_before(tenant.today(now - VISIBLE), tenant, lake)
    if not unread:
        return [("note", absent)]
    days = f"{unread[0]} to {unread[-1]} were not read yet"
    return [("finding", f"{absent}, and {days}: ask for the scope, or set start_date of {tenant.id} to a later day")]


def _unread_before(end: date, tenant: Tenant, lake: Lake) -> list[date]:
    """Return the days from the tenant's first on, and before `end`, whose orders were never read."""
    read = set(own_days(lake.ledger(tenant.id, "orders")))
    wanted = (tenant.start_date + timedelta(days=n) for n in range((end - tenant.start_date).days))
    return [day for day in wanted if day not in read]


async def _meta(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    async with connector.connect(access, platform) as client:
        account = await client.account()
    notes = _other_account(tenant, account.currency, account.timezone_name, now)
    return [("ok", f"account {client.account_id} in {account.timezone_name}, {account.currency}"), *notes]


def _other_account(tenant: Tenant, currency: str | None, zone: str | None, now: datetime) -> list[Said]:
    """Say how an ad account differs from the shop: it stays so, and stops no night."""
    texts = (_other_currency(tenant, currency) if currency else "", _other_days(tenant, zone, now) if zone else "")
    return [("note", text) for text in texts if text]


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


async def _google(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    today = tenant.today(now)
    rows: list[CampaignDay] = []
    async with connector.connect(access, platform) as client:
        async for page in client.campaign_days(today - timedelta(days=1), today):
            rows += page.rows
    accounts = {(row.customer.currency_code, row.customer.time_zone): None for row in rows}
    notes = [note for currency, zone in accounts for note in _other_account(tenant, currency, zone, now)]
    return [("ok", f"customer {client.customer_id}: {len(rows)} campaign days of yesterday and today"), *notes]


async def _klaviyo(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    since = tenant.day_start(tenant.today(now)) - timedelta(days=30)
    count = 0
    async with connector.connect(access, platform) as client:
        async for page in client.campaigns(channel="email", archived=False, updated_from=since):
            count += len(page.rows)
    return [("ok", f"{count} e-mail campaigns changed in 30 days")]


async def _open_meteo(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    del tenant
    day, point = now.date() - ARCHIVE_PROBE_AGE, [Point(52.5, 13.4, "GMT")]
    async with connector.connect(access, platform) as client:
        for host, at in (("archive", day), ("forecast", now.date())):
            async for _ in client.daily(host, point, at, at, ["temperature_2m_mean"]):
                pass
    return [("ok", "archive and forecast answer")]


PROBES: tuple[tuple[Connector, Probe], ...] = (
    (ShopifyConnector(outage_s=0), _shopify),
    (MetaAdsConnector(outage_s=0), _meta),
    (GoogleAdsConnector(outage_s=0), _google),
    (KlaviyoConnector(outage_s=0), _klaviyo),
    (OpenMeteoConnector(outage_s=0), _open_meteo),
)
